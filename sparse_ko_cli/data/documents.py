"""Where documents come from, a folder or an archive, and how their problems are shown."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from rich.markup import escape

from retrieval_ko.compressed import Readable, is_archive, opened_archive
from retrieval_ko.errors import DataError
from retrieval_ko.legal.precedents import PrecedentReport
from retrieval_ko.legal.reading import DEFAULT_GLOB, Problem, ReadingReport, find_documents
from retrieval_ko.terminal import notes

SHOWN_PROBLEMS = 20


@contextmanager
def documents(source: Path, report: ReadingReport | PrecedentReport, strict: bool, glob: str = DEFAULT_GLOB) -> Iterator[list[Readable]]:
    """Yield the documents of a folder or an archive; what stands before an archive's damage is read, the damage goes to `report`."""
    if not is_archive(source):
        yield find_documents(source, glob)
        return
    with opened_archive(source) as archive:
        if archive.problem and strict:
            raise DataError(archive.problem, "Without --strict, what stands before the damage is read.")
        if archive.problem:
            report.problems.append(Problem(str(source), archive.problem.removeprefix(str(source)).lstrip(":, ")))
        yield find_documents(archive, glob)


def show_problems(problems: list[Problem]) -> None:
    """Print the first problems on standard error."""
    for problem in problems[:SHOWN_PROBLEMS]:
        notes.print(escape(str(problem)), soft_wrap=True)
    if len(problems) > SHOWN_PROBLEMS:
        notes.print(f"… and {len(problems) - SHOWN_PROBLEMS:,} more; --json lists all.")
