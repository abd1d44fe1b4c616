"""`sparse-ko data check` and `data stats`: is a collection sound, and what does it hold."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape
from rich.table import Table

from retrieval_ko.collection import Collection
from retrieval_ko.terminal import exit_on_error, out, print_json

CollectionArgument = Annotated[Path, typer.Argument(help="A collection folder (BEIR).", metavar="DIR")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]


def check(collection: CollectionArgument) -> None:
    """Read a collection as training and indexing would; name the first file and line that is wrong.

    Example: sparse-ko data check my-collection
    """
    with exit_on_error():
        read = Collection.read(collection)
        out.print(f"{escape(str(collection))} is fine: {len(read.passages):,} passages, {len(read.queries):,} queries.")


def stats(collection: CollectionArgument, as_json: JsonOption = False) -> None:
    """Count what a collection holds.

    Example: sparse-ko data stats my-collection --json
    """
    with exit_on_error():
        read = Collection.read(collection)
        lengths = sorted(len(passage.passage_text) for passage in read.passages.values())
        facts: dict[str, object] = {
            "name": read.name,
            "licence": read.licence,
            "passages": len(lengths),
            "characters_median": lengths[len(lengths) // 2],
            "characters_longest": lengths[-1],
            "queries": len(read.queries),
            "synonyms": len(read.synonyms),
            "splits": {
                split: {
                    "queries": len(judged),
                    "grades": dict(Counter(str(grade) for grades in judged.values() for grade in grades.values())),
                }
                for split, judged in read.judgements.items()
            },
        }
        if as_json:
            print_json(facts)
            return
        table = Table(box=None, show_header=False)
        for name, value in facts.items():
            table.add_row(name, escape(str(value)))
        out.print(table)
