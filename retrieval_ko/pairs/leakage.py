"""Proof that a collection's splits keep what they promise: what dev and test ask was not answered in training."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import combinations
from typing import NamedTuple

from retrieval_ko.collection import Judgements, SplitRule
from retrieval_ko.pairs.near_duplicates import near_duplicates
from retrieval_ko.pairs.splits import PARTS, part_of, split_name
from retrieval_ko.records import Query


class Leak(NamedTuple):
    """Something that two parts of one scheme have in common.

    Args:
        kind: `query`, `near-duplicate`, `group`, `date` or `passage`.
        splits: the names of the two splits.
        queries: a query of each.
        detail: what they share, in words.
    """

    kind: str
    splits: tuple[str, str]
    queries: tuple[str, str]
    detail: str

    def __str__(self) -> str:
        return f"{self.splits[0]} and {self.splits[1]}: {self.detail} ({self.queries[0]}, {self.queries[1]})"


def leaks(queries: Mapping[str, Query], judgements: Mapping[str, Judgements], rules: Mapping[str, SplitRule]) -> Iterator[Leak]:
    """Yield what the parts of each scheme have in common and, by the scheme's rule, must not.

    Under every rule a leak is a query in two parts, near-duplicate texts, and a group (`metadata.group`) in two parts; under the rule
    `passage` also a relevant passage in two parts, under `date` a date out of order. Splits whose names end in none of train, dev and
    test are passed over.

    Args:
        queries: all queries by id.
        judgements: split name → judgements.
        rules: scheme → the rule that collection.json promises; a scheme without one promises no more than the first three.
    """
    schemes: dict[str, list[str]] = {}
    for split in judgements:
        if found := part_of(split):
            schemes.setdefault(found[0], []).append(found[1])
    for scheme in sorted(schemes):
        for earlier, later in combinations(sorted(schemes[scheme], key=PARTS.index), 2):
            pair = split_name(scheme, earlier), split_name(scheme, later)
            yield from _leaks_between(pair, queries, (judgements[pair[0]], judgements[pair[1]]), rules.get(scheme))


def _leaks_between(
    splits: tuple[str, str], queries: Mapping[str, Query], judged: tuple[Judgements, Judgements], rule: SplitRule | None
) -> Iterator[Leak]:
    ids = [[query for query in part if any(grade > 0 for grade in part[query].values())] for part in judged]
    twice = set(ids[0]) & set(ids[1])
    for query in sorted(twice):
        yield Leak("query", splits, (query, query), "one query stands in both")
    ids = [[query for query in part if query not in twice] for part in ids]

    for pair in near_duplicates([queries[query].text for query in ids[1]], [queries[query].text for query in ids[0]]):
        held_out, earlier = ids[1][pair.left], ids[0][pair.right]
        yield Leak("near-duplicate", splits, (earlier, held_out), f"{pair.containment:.0%} of one query's text stands in the other's")

    groups = [{str(group): query for query in part if (group := queries[query].metadata.get("group"))} for part in ids]
    yield from _shared("group", splits, groups[0], groups[1], "both are of the group")
    if rule and rule.by == "passage":
        passages = [
            {passage: query for query in part for passage, grade in judgements[query].items() if grade > 0}
            for part, judgements in zip(ids, judged, strict=True)
        ]
        yield from _shared("passage", splits, passages[0], passages[1], "relevant for both is the passage")
    if rule and rule.by == "date":
        dated = [sorted((str(queries[query].metadata.get("date", "")), query) for query in part) for part in ids]
        if dated[0] and dated[1]:
            (last, earlier), (first, later) = dated[0][-1], dated[1][0]
            if first <= last:
                detail = f"the last of the one is of {last}, the first of the other of {first or 'no date'}"
                yield Leak("date", splits, (earlier, later), detail)


def _shared(kind: str, splits: tuple[str, str], left: dict[str, str], right: dict[str, str], words: str) -> Iterator[Leak]:
    for name in sorted(left.keys() & right.keys()):
        yield Leak(kind, splits, (left[name], right[name]), f"{words} {name}")
