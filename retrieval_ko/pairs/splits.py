"""Train, dev and test parts that do not leak: by date, by group (a case, a guide), or with no relevant passage in common.

Whatever the rule, no query of dev or test is a near-duplicate of one in an earlier part: it is dropped and counted, not moved, since
moving it would break the rule. Chance is a hash of the seed and the name, so a query's part depends neither on the order of a file
nor on what else stands in it.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from itertools import chain

from retrieval_ko.collection import Collection, SplitRule
from retrieval_ko.errors import DataError, UsageError
from retrieval_ko.pairs.near_duplicates import near_duplicates

PARTS = ("train", "dev", "test")


@dataclass(frozen=True, slots=True)
class JudgedQuery:
    """What a split has to know of a query.

    Args:
        relevant: the passages (or parents) judged relevant, at least one.
        date: ISO; empty where it has none.
        group: what must not be torn apart: a case, a guide.
    """

    id: str
    text: str
    relevant: frozenset[str]
    date: str = ""
    group: str = ""


@dataclass(slots=True)
class Split:
    """Query ids by part, in the order they came in, and how many were dropped, by reason."""

    rule: SplitRule
    parts: dict[str, list[str]]
    dropped: Counter[str] = field(default_factory=Counter)


def judged_queries(collection: Collection) -> list[JudgedQuery]:
    """Return the queries of all splits of a collection that have a relevant passage, in the order of its queries."""
    relevant: dict[str, set[str]] = {}
    for judgements in collection.judgements.values():
        for query, grades in judgements.items():
            relevant.setdefault(query, set()).update(passage for passage, grade in grades.items() if grade > 0)
    return [
        JudgedQuery(
            id=query.id,
            text=query.text,
            relevant=frozenset(relevant[query.id]),
            date=str(query.metadata.get("date", "")),
            group=str(query.metadata.get("group", "")),
        )
        for query in collection.queries.values()
        if relevant.get(query.id)
    ]


def split_by_date(queries: Iterable[JudgedQuery], *, train_before: str, dev_before: str = "") -> Split:
    """Train is what was decided before `train_before`, dev what came before `dev_before` (empty: all the rest), test what came after.

    Raises:
        DataError: a query has no date.
        UsageError: the two dates stand in the wrong order.
    """
    if dev_before and dev_before <= train_before:
        raise UsageError(f"dev ends on {dev_before}, before it begins on {train_before}.")

    def part(query: JudgedQuery) -> str:
        if not query.date:
            raise DataError(f"The query {query.id} has no date, so it cannot be split by date.", "Write metadata.date, or split by group.")
        if query.date < train_before:
            return "train"
        return "dev" if not dev_before or query.date < dev_before else "test"

    return _assigned(queries, part, SplitRule(by="date", train_before=train_before, dev_before=dev_before))


def split_by_group(queries: Iterable[JudgedQuery], *, shares: tuple[float, float, float] = (0.8, 0.1, 0.1), seed: int = 0) -> Split:
    """Whole groups go to train, dev and test by chance, in these shares; a query without a group is a group of its own."""
    _check_shares(shares)
    rule = SplitRule(by="group", seed=seed)
    return _assigned(queries, lambda query: _by_chance(shares, seed, query.group or query.id), rule)


def split_by_passage(queries: Iterable[JudgedQuery], *, shares: tuple[float, float, float] = (0.8, 0.2, 0.0), seed: int = 0) -> Split:
    """No passage that is relevant in one part is relevant in another: what is asked about in dev was never asked about in training.

    Each relevant passage is given to a part by chance; a query whose passages fell into several parts is dropped, and so is a
    training query of a group that dev or test has a query of.
    """
    _check_shares(shares)
    pool = list(queries)

    def own_part(query: JudgedQuery) -> str:
        parts = {_by_chance(shares, seed, passage) for passage in query.relevant}
        return parts.pop() if len(parts) == 1 else ""

    parts = {query.id: own_part(query) for query in pool}
    last_of_group: dict[str, int] = {}
    for query in pool:
        if query.group and parts[query.id]:
            last_of_group[query.group] = max(last_of_group.get(query.group, 0), PARTS.index(parts[query.id]))
    dropped: Counter[str] = Counter()
    kept: list[JudgedQuery] = []
    for query in pool:
        if not parts[query.id]:
            dropped["its relevant passages fell into several parts"] += 1
        elif query.group and PARTS.index(parts[query.id]) < last_of_group[query.group]:
            dropped["another query of its group is held out"] += 1
        else:
            kept.append(query)
    split = _assigned(kept, lambda query: parts[query.id], SplitRule(by="passage", seed=seed))
    split.dropped = dropped + split.dropped
    return split


def part_of(split: str) -> tuple[str, str] | None:
    """Return (scheme, part) of a split's name: `train` is ("", "train"), `article-dev` is ("article", "dev"); None where it is neither."""
    scheme, _, part = split.rpartition("-")
    return (scheme, part) if part in PARTS else None


def split_name(scheme: str, part: str) -> str:
    """Return the name of a part of a scheme, the counterpart of `part_of`."""
    return f"{scheme}-{part}" if scheme else part


def _check_shares(shares: Sequence[float]) -> None:
    if len(shares) != len(PARTS) or min(shares) < 0 or abs(sum(shares) - 1) > 1e-6 or not shares[0]:
        raise UsageError(f"The shares of train, dev and test are {', '.join(map(str, shares))}.", "Three numbers that add up to 1.")


def _by_chance(shares: Sequence[float], seed: int, name: str) -> str:
    drawn = int.from_bytes(hashlib.blake2b(f"{seed}\0{name}".encode(), digest_size=8).digest()) / 2**64
    if drawn < shares[0]:
        return PARTS[0]
    return PARTS[1] if drawn < shares[0] + shares[1] else PARTS[2]


def _assigned(queries: Iterable[JudgedQuery], part_of_query: Callable[[JudgedQuery], str], rule: SplitRule) -> Split:
    parts: dict[str, list[JudgedQuery]] = {part: [] for part in PARTS}
    for query in queries:
        parts[part_of_query(query)].append(query)
    dropped: Counter[str] = Counter()
    for number, part in enumerate(PARTS[1:], start=1):
        earlier = list(chain.from_iterable(parts[name] for name in PARTS[:number]))
        found = near_duplicates([query.text for query in parts[part]], [query.text for query in earlier])
        repeated = {pair.left for pair in found}
        if repeated:
            dropped[f"{part}: a near-duplicate of an earlier part's query"] += len(repeated)
        parts[part] = [query for place, query in enumerate(parts[part]) if place not in repeated]
    return Split(rule, {part: [query.id for query in members] for part, members in parts.items() if members}, dropped)
