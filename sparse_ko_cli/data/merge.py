"""`sparse-ko data merge` and `data list`: several collections as one, and which there are."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.filesize import decimal
from rich.markup import escape
from rich.table import Table

from retrieval_ko.listing import find_collections
from retrieval_ko.merging import merge_collections
from retrieval_ko.terminal import exit_on_error, out, print_json

JsonOption = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]


def merge(
    collections: Annotated[list[Path], typer.Argument(help="Two or more collection folders (BEIR).", metavar="DIR…")],
    out_folder: Annotated[Path, typer.Option("--out", help="The collection folder to write; it must be new.", metavar="DIR")],
    prefix: Annotated[bool, typer.Option("--prefix", help="Put each collection's name before its ids: law:p1.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Make one collection of several: passages, queries, splits, pairs, synonyms, licences and sources.

    Records of one id must be equal; where they are not, --prefix keeps them apart.

    Example: sparse-ko data merge statutes wiki --out both --prefix
    """
    with exit_on_error():
        merged = merge_collections(collections, out_folder, prefix=prefix)
        if as_json:
            print_json(
                {
                    "out": str(out_folder),
                    "passages": len(merged.passages),
                    "queries": len(merged.queries),
                    "synonyms": len(merged.synonyms),
                    "splits": {split: len(judged) for split, judged in merged.judgements.items()},
                    "licence": merged.licence,
                    "sources": merged.sources,
                }
            )
            return
        out.print(escape(f"{out_folder}: {len(merged.passages):,} passages, {len(merged.queries):,} queries."), soft_wrap=True)
        out.print(escape(f"Licence: {merged.licence or 'not stated'}."), soft_wrap=True)


def list_collections(
    folder: Annotated[Path, typer.Argument(help="The folder to look below.", metavar="DIR")] = Path(), as_json: JsonOption = False
) -> None:
    """List the collections and pair files below a folder, with counts and sizes.

    Example: sparse-ko data list data
    """
    with exit_on_error():
        rows = find_collections(folder)
        if as_json:
            print_json(rows)
            return
        table = Table("path", "kind", box=None)
        for name in ("passages", "queries", "splits", "pairs", "size"):
            table.add_column(name, justify="right")
        for row in rows:
            pairs = row["pairs"] if isinstance(row["pairs"], int) else sum(row["pairs"].values())
            splits = ", ".join(f"{split} {count:,}" for split, count in row.get("splits", {}).items())
            counts = [f"{row[name]:,}" if name in row else "" for name in ("passages", "queries")]
            table.add_row(escape(row["path"]), row["kind"], *counts, splits, f"{pairs:,}" if pairs else "", decimal(row["bytes"]))
        out.print(table if rows else f"There is no collection below {escape(str(folder))}.")
