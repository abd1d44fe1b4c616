"""`sparse-ko data split`: a collection's judged queries parted into train, dev and test without leakage."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

from retrieval_ko.collection import Collection, write_judgements
from retrieval_ko.errors import UsageError
from retrieval_ko.files import write_json
from retrieval_ko.pairs.splits import PARTS, Split, judged_queries, part_of, split_by_date, split_by_group, split_by_passage, split_name
from retrieval_ko.terminal import exit_on_error, notes, out, print_json


class SplitBy(StrEnum):
    """What may not stand on both sides."""

    DATE = "date"
    GROUP = "group"
    PASSAGE = "passage"


def split(
    collection: Annotated[Path, typer.Argument(help="A collection folder (BEIR) with judgements.", metavar="DIR")],
    by: Annotated[
        SplitBy,
        typer.Option(help="date: old ones train. group: whole groups by chance. passage: none is relevant on both sides."),
    ] = SplitBy.GROUP,
    train_before: Annotated[str, typer.Option(help="For --by date: train is older (ISO).", metavar="DATE")] = "",
    dev_before: Annotated[
        str, typer.Option(help="For --by date: dev is older and not train; without it there is no test.", metavar="DATE")
    ] = "",
    shares: Annotated[str, typer.Option(help="For group and passage: shares of train, dev and test.")] = "0.8,0.1,0.1",
    seed: Annotated[int, typer.Option(help="For group and passage.")] = 0,
    name: Annotated[
        str, typer.Option(help="The scheme's name: NAME-train, NAME-dev … stand beside splits that are there. None: train, dev, test.")
    ] = "",
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Part a collection's judged queries into train, dev and test, and write qrels/ anew; near-duplicates never cross.

    The queries are those of all splits that are there; the rule goes into collection.json, where `data check` holds the splits against it.
    By date and by group it needs metadata.date and metadata.group in queries.jsonl.

    Example: sparse-ko data split my-collection --by date --train-before 2018-01-01
    """
    with exit_on_error():
        if name and part_of(name):
            raise UsageError(f"A scheme cannot be called {name!r}: its parts would be read as parts of another one.", "Another --name.")
        read = Collection.read(collection)
        pool = judged_queries(read)
        if by is SplitBy.DATE:
            if not train_before:
                raise UsageError("--by date needs --train-before.", "For example: --train-before 2018-01-01")
            done = split_by_date(pool, train_before=train_before, dev_before=dev_before)
        else:
            divide = split_by_group if by is SplitBy.GROUP else split_by_passage
            done = divide(pool, shares=_three(shares), seed=seed)
        _write(collection, read, name, done)
        if as_json:
            print_json(
                {
                    "scheme": name,
                    "rule": done.rule.model_dump(exclude_defaults=True),
                    "queries": {part: len(ids) for part, ids in done.parts.items()},
                    "dropped": dict(done.dropped),
                }
            )
            return
        for part, ids in done.parts.items():
            out.print(f"{split_name(name, part)}: {len(ids):,} queries")
        for reason, count in done.dropped.items():
            notes.print(f"Dropped: {count:,} × {escape(reason)}.")


def _three(text: str) -> tuple[float, float, float]:
    try:
        first, second, third = (float(share) for share in text.split(","))
    except ValueError as failure:
        raise UsageError(f"--shares {text!r} is not three numbers.", "For example: --shares 0.8,0.1,0.1") from failure
    return first, second, third


def _write(folder: Path, read: Collection, name: str, done: Split) -> None:
    """Write the parts; what was dropped stays as a split of its own, so that another rule can still use it."""
    grades: dict[str, dict[str, int]] = {}
    for judgements in read.judgements.values():
        for query, judged in judgements.items():
            grades.setdefault(query, {}).update(judged)
    used = {query for ids in done.parts.values() for query in ids}
    parts = {**done.parts, "dropped": [query for query in grades if query not in used]}
    for part in (*PARTS, "dropped"):
        target = folder / "qrels" / f"{split_name(name, part)}.tsv"
        if parts.get(part):
            write_judgements(target, {query: grades[query] for query in parts[part]})
        else:
            target.unlink(missing_ok=True)
    read.splits[name] = done.rule
    write_json(folder / "collection.json", read.card())
