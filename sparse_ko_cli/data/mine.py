"""`sparse-ko data mine`: hard and random negatives for a collection's training pairs."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape
from rich.progress import Progress

from retrieval_ko.bm25 import Bm25Index, Ranking
from retrieval_ko.collection import Collection
from retrieval_ko.errors import UsageError
from retrieval_ko.pairs.mining import MiningReport, MiningSettings, mine, pairs_of, unmarked_answers
from retrieval_ko.pairs.training_pairs import read_pairs, write_pairs
from retrieval_ko.records import TrainingPair
from retrieval_ko.term_cache import TermCache
from retrieval_ko.terminal import exit_on_error, out, print_json, progress_bar
from retrieval_ko.terms import Tokenization, available_cores


class Siblings(StrEnum):
    """Which passages stand and fall with a positive."""

    AUTO = "auto"
    PARENT = "parent"
    NONE = "none"


def mine_negatives(
    collection: Annotated[Path, typer.Argument(help="A collection folder (BEIR).", metavar="DIR")],
    split: Annotated[list[str], typer.Option(help="Whose queries get negatives; may be repeated.")] = ["train"],  # noqa: B006  read only
    hard: Annotated[int, typer.Option(help="Hard negatives a query.", min=0)] = 10,
    random: Annotated[int, typer.Option(help="Random negatives a query.", min=0)] = 5,
    depth: Annotated[int, typer.Option(help="How many of BM25's best are looked at.", min=1)] = 100,
    skip_first: Annotated[int, typer.Option(help="Ranks at the top to pass over.", min=0)] = 0,
    score_share: Annotated[
        float, typer.Option(help="Hold back what scores this share of the best positive, or more; 0: do not ask.", min=0)
    ] = 0.95,
    tokenization: Annotated[Tokenization, typer.Option(help="What BM25 counts; bigram needs no Kiwi.")] = Tokenization.KIWI_CONTENT,
    siblings: Annotated[
        Siblings, typer.Option(help="parent: no passage of a positive's parent. auto: so where judgements name parents.")
    ] = Siblings.AUTO,
    workers: Annotated[int, typer.Option(help="Processes for Kiwi and threads for BM25; 0: one a core.", min=0)] = 0,
    seed: Annotated[int, typer.Option(help="Of the random negatives.")] = 0,
    cache: Annotated[bool, typer.Option("--cache", help="Keep Kiwi's analyses on disk and use those that are there.")] = False,
    out_file: Annotated[Path | None, typer.Option("--out", help="For one split; else DIR/pairs/SPLIT.jsonl.", metavar="FILE")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Add negatives to the pairs of a split: passages that BM25 holds for answers and that are none, and random ones.

    The positives are those of DIR/pairs/SPLIT.jsonl where it is there, else what the split's judgements call relevant.

    Example: sparse-ko data mine my-collection --hard 32 --tokenization bigram
    """
    with exit_on_error(), ExitStack() as stack:
        if out_file and len(split) > 1:
            raise UsageError(f"--out {out_file} is one file, and there are {len(split)} splits.", "Leave --out away, or name one --split.")
        settings = MiningSettings(hard=hard, random=random, depth=depth, skip_first=skip_first, score_share=score_share or None, seed=seed)
        read = Collection.read(collection)
        groups = _groups(read, siblings)
        targets = {name: collection / "pairs" / f"{name}.jsonl" for name in split}
        given = {name: list(read_pairs(known)) for name, known in targets.items() if known.exists()}
        for name in targets.keys() - given:
            read.relevant(name)  # an unknown split is told before the index is made, not after
        store = stack.enter_context(TermCache()) if cache and tokenization.needs_kiwi else None
        report = MiningReport()
        with progress_bar("") as bar:
            index = Bm25Index(
                read.passages.values(),
                tokenization=tokenization,
                workers=workers or available_cores(),
                cache=store,
                on_progress=_shown(bar, "Passages into terms", len(read.passages)),
            )
            pairs = {name: given[name] if name in given else list(pairs_of(read, name, index)) for name in targets}
            asked = list({_identity(pair): pair for members in pairs.values() for pair in members}.values())
            rankings = _counted(index.rank_many((pair.query_text for pair in asked), depth), bar, len(asked))
            mined = mine(
                asked,
                read.passages,
                rankings,
                settings,
                report,
                group_of=groups.__getitem__ if groups else None,
                excluded=unmarked_answers(read),
            )
            negatives = {_identity(pair): pair for pair in mined}
        for name, target in targets.items():
            write_pairs(out_file or target, (_with_negatives(pair, negatives[_identity(pair)]) for pair in pairs[name]))
        _show(report, [out_file] if out_file else list(targets.values()), as_json)


def _identity(pair: TrainingPair) -> tuple[str, ...]:
    """Return what two splits' pairs have in common where they are the same question with the same answers."""
    return (pair.query_id, pair.query_text, *pair.positive_passages)


def _with_negatives(pair: TrainingPair, mined: TrainingPair) -> TrainingPair:
    return pair.model_copy(update={"hard_negatives": mined.hard_negatives, "random_negatives": mined.random_negatives})


def _groups(collection: Collection, siblings: Siblings) -> dict[str, str]:
    """Return passage id → parent id where siblings of a positive are no negatives, else nothing; without a parent it has no siblings."""
    if siblings is Siblings.NONE or (siblings is Siblings.AUTO and collection.judged == "passage"):
        return {}
    groups = {passage.id: str(passage.metadata.get("parent_id") or f"\0{passage.id}") for passage in collection.passages.values()}
    if all(group.startswith("\0") for group in groups.values()):
        raise UsageError("--siblings parent needs metadata.parent_id in corpus.jsonl; no passage has one.", "Try --siblings none.")
    return groups


def _shown(bar: Progress, description: str, total: int) -> Callable[[int], None]:
    task = bar.add_task(description, total=total)
    return lambda done: bar.update(task, completed=done)


def _counted(rankings: Iterator[Ranking], bar: Progress, total: int) -> Iterator[Ranking]:
    task = bar.add_task("Queries", total=total)
    start = time.monotonic()
    for done, ranking in enumerate(rankings, start=1):
        yield ranking
        rate = done / max(time.monotonic() - start, 1e-9)
        bar.update(task, completed=done, description=f"Queries, {rate:,.0f} a second")


def _show(report: MiningReport, targets: list[Path], as_json: bool) -> None:
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
