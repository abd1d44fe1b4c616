"""What both ways to mine negatives share: the pairs that get them, the files they stand in, and what a person is told."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from enum import StrEnum
from pathlib import Path
from typing import TypeVar

from rich.markup import escape
from rich.progress import Progress

from retrieval_ko.collection import Collection
from retrieval_ko.errors import UsageError
from retrieval_ko.pairs.mining import MiningReport
from retrieval_ko.pairs.training_pairs import read_pairs, write_pairs
from retrieval_ko.records import TrainingPair
from retrieval_ko.terminal import out, print_json

T = TypeVar("T")


class Siblings(StrEnum):
    """Which passages stand and fall with a positive."""

    AUTO = "auto"
    PARENT = "parent"
    NONE = "none"


class PairFiles:
    """The pair files of some splits: DIR/pairs/SPLIT.jsonl, or one that is named.

    Args:
        collection: as read.
        folder: from where.
        splits: whose queries get negatives.
        named: another file to write, for one split.

    Raises:
        UsageError: one file is named for several splits.
        DataError: a split has neither a pair file nor judgements, or a pair file is damaged.
    """

    def __init__(self, collection: Collection, folder: Path, splits: Sequence[str], named: Path | None) -> None:
        if named and len(splits) > 1:
            raise UsageError(f"--out {named} is one file, and there are {len(splits)} splits.", "Leave --out away, or name one --split.")
        self._named = named
        self._targets = {name: folder / "pairs" / f"{name}.jsonl" for name in splits}
        self._pairs = {name: list(read_pairs(known)) for name, known in self._targets.items() if known.exists()}
        for name in self._targets.keys() - self._pairs:
            collection.relevant(name)  # an unknown split is told before anything is computed, not after

    def asked(self, judged_pairs: Callable[[str], list[TrainingPair]]) -> list[TrainingPair]:
        """Return each pair of all splits once; `judged_pairs` returns those of a split that has no file."""
        for name in self._targets:
            if name not in self._pairs:
                self._pairs[name] = judged_pairs(name)
        return list({_identity(pair): pair for pairs in self._pairs.values() for pair in pairs}.values())

    def write(self, mined: Iterable[TrainingPair]) -> list[Path]:
        """Write every split's pairs with their negatives, and return the files."""
        negatives = {_identity(pair): pair for pair in mined}
        written = []
        for name, target in self._targets.items():
            written.append(self._named or target)
            write_pairs(written[-1], (_with_negatives(pair, negatives[_identity(pair)]) for pair in self._pairs[name]))
        return written


def _identity(pair: TrainingPair) -> tuple[str, ...]:
    """Return what two splits' pairs have in common where they are the same question with the same answers."""
    return (pair.query_id, pair.query_text, *pair.positive_passages)


def _with_negatives(pair: TrainingPair, mined: TrainingPair) -> TrainingPair:
    return pair.model_copy(update={"hard_negatives": mined.hard_negatives, "random_negatives": mined.random_negatives})


def groups_of(collection: Collection, siblings: Siblings) -> dict[str, str]:
    """Return passage id → parent id where siblings of a positive are no negatives, else nothing; without a parent it has no siblings."""
    if siblings is Siblings.NONE or (siblings is Siblings.AUTO and collection.judged == "passage"):
        return {}
    groups = {passage.id: str(passage.metadata.get("parent_id") or f"\0{passage.id}") for passage in collection.passages.values()}
    if all(group.startswith("\0") for group in groups.values()):
        raise UsageError("--siblings parent needs metadata.parent_id in corpus.jsonl; no passage has one.", "Try --siblings none.")
    return groups


def counter(bar: Progress, description: str, total: int) -> Callable[[int], None]:
    """Return what is told how many are done of a new bar."""
    task = bar.add_task(description, total=total)
    return lambda done: bar.update(task, completed=done)


def counted(found: Iterator[T], bar: Progress, total: int) -> Iterator[T]:
    """Yield what was found for each query, and show how many queries are done and how fast."""
    task = bar.add_task("Queries", total=total)
    start = time.monotonic()
    for done, one in enumerate(found, start=1):
        yield one
        rate = done / max(time.monotonic() - start, 1e-9)
        bar.update(task, completed=done, description=f"Queries, {rate:,.0f} a second")


def show_mined(report: MiningReport, targets: list[Path], *, as_json: bool) -> None:
    """Say what was chosen and what was held back."""
    facts = report.as_json()
    written = ", ".join(map(str, targets))
    if as_json:
        print_json({"pairs": written, **facts})
        return
    out.print(
        escape(f"{written}: {report.queries:,} queries, {report.hard:,} hard and {report.random:,} random negatives."), soft_wrap=True
    )
    if report.ranks:
        out.print(f"Median rank of the hard ones: {facts['median_rank_of_hard']:g}.")
    if report.padded:
        out.print(f"Random ones in place of hard ones: {report.padded:,}.")
    if report.short_of_random:
        out.print(f"Queries with fewer negatives than asked for, since the collection is too small: {report.short_of_random:,}.")
    for reason, count in facts["held_back"].items():
        if count:
            out.print(f"Held back: {count:,} × {reason.replace('_', ' ')}.")
