"""`sparse-ko data stats`: what does a collection hold."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape
from rich.table import Table

from retrieval_ko.collection_statistics.counting import CollectionStatistics, collect_statistics, lines_to_read
from retrieval_ko.collection_statistics.report import OWN_FILES, write_statistics_report
from retrieval_ko.collection_statistics.tables import GROUP_HEADER, LENGTH_HEADER, group_rows, length_rows, overview
from retrieval_ko.files import check_replaceable
from retrieval_ko.terminal import exit_on_error, notes, out, print_json, progress_bar
from retrieval_ko.terms import Tokenization

_SHOWN_EVERY_PASSAGES = 1000


def stats(
    collection: Annotated[Path, typer.Argument(help="A collection folder (BEIR).", metavar="DIR")],
    out_folder: Annotated[
        Path | None, typer.Option("--out", help="Also write a report with figures to this folder.", metavar="REPORTDIR")
    ] = None,
    tokenization: Annotated[
        Tokenization, typer.Option(help="What overlap and vocabulary count. Bigrams are fast; Kiwi reads 60,000 characters a second.")
    ] = Tokenization.BIGRAM,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Count what a collection holds: lengths, splits, positives, negatives, and how far queries use the words of their answers.

    Example: sparse-ko data stats my-collection --out report
    """
    with exit_on_error():
        if out_folder is not None:
            check_replaceable(out_folder, OWN_FILES, "report.json")
        with progress_bar("passages") as bar:
            task = bar.add_task("Counting", total=lines_to_read(collection))
            seen = 0

            def count() -> None:
                nonlocal seen
                seen += 1
                if seen % _SHOWN_EVERY_PASSAGES == 0:
                    bar.update(task, completed=seen)

            statistics = collect_statistics(collection, tokenization, count)
            bar.update(task, completed=seen)
        if out_folder is not None:
            write_statistics_report(statistics, out_folder)
        if as_json:
            print_json(statistics.as_json())
        else:
            _show(statistics)
        if out_folder is not None:
            notes.print(f"Report: {escape(str(out_folder / 'report.md'))}", soft_wrap=True)


def _show(statistics: CollectionStatistics) -> None:
    out.print(f"[bold]{escape(statistics.name)}[/]")
    facts = Table(box=None, show_header=False)
    for name, value in overview(statistics):
        facts.add_row(name, escape(value))
    out.print(facts)
    _table(LENGTH_HEADER, length_rows(statistics))
    _table(GROUP_HEADER, group_rows(statistics))
    _table(
        ["hardest queries", "from", "overlap"],
        [[query.text, query.group, f"{share:.0%}"] for query, share in statistics.hardest],
    )


def _table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print a table, or nothing where it would have no row."""
    if not rows:
        return
    table = Table(box=None)
    for number, name in enumerate(header):
        table.add_column(name, justify="left" if number == 0 else "right")
    for row in rows:
        table.add_row(*map(escape, row))
    out.print()
    out.print(table)
