"""`sparse-ko data check`: is a collection, a passage file or a pair file sound."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.markup import escape
from rich.progress import Progress, TaskID
from rich.table import Table

from retrieval_ko.collection_statistics.reading import count_lines
from retrieval_ko.errors import DataError, UsageError
from retrieval_ko.terminal import exit_on_error, notes, out, print_json, progress_bar
from retrieval_ko.validation.checks import check_collection
from retrieval_ko.validation.contents import Contents
from retrieval_ko.validation.findings import Findings, Severity
from retrieval_ko.validation.single_files import check_file

COUNTED_FILES = ("corpus.jsonl", "queries.jsonl", "synonyms.jsonl", "qrels/*.tsv", "pairs/*.jsonl")
_SHOWN_EVERY_LINES = 1000


def check(
    source: Annotated[Path, typer.Argument(help="A collection folder (BEIR), or a .jsonl file of passages or pairs.", metavar="PATH")],
    corpus: Annotated[
        Path | None, typer.Option(help="Where the ids of a pair file stand: a passage file or a collection.", metavar="PATH")
    ] = None,
    strict: Annotated[bool, typer.Option("--strict", help="Remarks fail too.")] = False,
    show: Annotated[int, typer.Option(help="How many findings to print.", min=0)] = 20,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON, with up to 1,000 findings of each kind.")] = False,
) -> None:
    """Find everything that is wrong: errors, which make the data unusable, and remarks, which may be meant so.

    The exit code is 1 where there is an error; with --strict, also where there is a remark.

    Example: sparse-ko data check my-collection
    """
    with exit_on_error():
        findings = Findings()
        facts: dict[str, Any] = {"path": str(source)}
        contents = Contents(source)
        if source.is_dir():
            if corpus is not None:
                raise UsageError("--corpus is for a file of pairs; a collection has a corpus of its own.", "Leave --corpus out.")
            files = [file for pattern in COUNTED_FILES for file in source.glob(pattern)]
            found = check_collection(contents)
        elif source.exists():
            files = [source, *([corpus] if corpus and corpus.is_file() else [])]
            found = check_file(contents, source, corpus)
        else:
            raise DataError(f"There is no collection folder or file {source}.")
        with _counting(files) as contents.on_line:
            for finding in found:
                findings.add(finding)
        facts |= {"passages": len(contents.passages), "queries": len(contents.queries), "pairs": contents.pairs}
        failed = findings.errors > 0 or (strict and findings.remarks > 0)
        if as_json:
            kept = [{**finding._asdict(), "file": str(finding.file)} for finding in findings.kept]
            counts = {f"{severity}s": dict(sorted(findings.counts[severity].items())) for severity in Severity}
            print_json({**facts, "sound": not failed, **counts, "findings": kept})
        else:
            _show(findings, source, _holdings(contents), show)
        if failed:
            raise typer.Exit(1)


@contextmanager
def _counting(files: list[Path]) -> Iterator[Any]:
    """Show a bar over the lines of the files; yield what is to be called for each line."""
    with progress_bar("lines") as bar:
        task = bar.add_task("Checking", total=sum(count_lines(file) for file in files))
        counter = _LineCounter(bar, task)
        yield counter
        counter.finish()


class _LineCounter:
    """Moves a bar on, but not for every single line: drawing would take longer than checking."""

    def __init__(self, bar: Progress, task: TaskID) -> None:
        self._bar = bar
        self._task = task
        self._count = 0

    def __call__(self, file: Path) -> None:
        self._count += 1
        if self._count % _SHOWN_EVERY_LINES == 0:
            self._bar.update(self._task, completed=self._count, description=f"Checking {escape(file.name)}")

    def finish(self) -> None:
        self._bar.update(self._task, completed=self._count)


def _holdings(contents: Contents) -> str:
    pairs = sum(contents.pairs.values())
    if not contents.passages:
        return f"{pairs:,} pairs; without --corpus, nobody looked whether the ids of their passages exist"
    return f"{len(contents.passages):,} passages, {len(contents.queries):,} queries" + (f", {pairs:,} pairs" if pairs else "")


def _show(findings: Findings, source: Path, holds: str, show: int) -> None:
    errors_first = sorted(findings.kept, key=lambda finding: finding.severity is Severity.REMARK)
    for finding in errors_first[:show]:
        colour = "red" if finding.severity is Severity.ERROR else "yellow"
        out.print(f"[{colour}]{finding.severity}[/] {escape(str(finding))}", soft_wrap=True)
    left = findings.errors + findings.remarks - min(show, len(errors_first))
    if left:
        notes.print(f"… and {left:,} more; --show N prints more of them, --json up to 1,000 of each kind.")
    if findings.errors or findings.remarks:
        table = Table("kind", "severity", "found", box=None)
        for severity in Severity:
            for kind, count in sorted(findings.counts[severity].items()):
                table.add_row(kind, severity, f"{count:,}")
        out.print(table)
    if findings.errors:
        out.print(f"{escape(str(source))} has {findings.errors:,} errors and {findings.remarks:,} remarks.", soft_wrap=True)
    else:
        remarks = f" Remarks: {findings.remarks:,}." if findings.remarks else ""
        out.print(f"{escape(str(source))} is fine: {holds}.{remarks}", soft_wrap=True)
