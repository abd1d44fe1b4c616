"""What was read from a source, what was written, what was left out on purpose, and what was wrong."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from retrieval_ko.errors import DataError
from retrieval_ko.files import read_lines
from retrieval_ko.legal.reading import Problem


@dataclass(slots=True)
class SourceReport:
    """Counts and problems of one conversion.

    Args:
        strict: the first problem stops everything.
        read: what stood in the source, by kind.
        written: what stands in the collection, by kind.
        left_out: what was left out by a rule, by reason.
        from_cache: whether the collection was converted on an earlier run.
    """

    strict: bool = False
    read: Counter[str] = field(default_factory=Counter)
    written: Counter[str] = field(default_factory=Counter)
    left_out: Counter[str] = field(default_factory=Counter)
    problems: list[Problem] = field(default_factory=list)
    from_cache: bool = False

    def add_problem(self, place: str, reason: str) -> None:
        """Note that something is wrong at `place` (a file, with its line or record) and go on.

        Raises:
            DataError: with `strict`.
        """
        problem = Problem(place, reason)
        if self.strict:
            raise DataError(str(problem), "Without --strict, what is wrong is reported and the rest goes on.")
        self.problems.append(problem)

    @contextmanager
    def noting(self, place: str) -> Iterator[None]:
        """Turn a `DataError` inside the block into a problem at `place`; what comes after the block goes on."""
        try:
            yield
        except DataError as error:
            self.add_problem(place, error.problem)


def read_rows(source: Path, report: SourceReport) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield (line number, object) of a JSON-lines file; lines that are wrong and a cut-off end go to `report`, the rest goes on.

    Raises:
        DataError: the file is missing or not one line of it can be read; with `strict`, the first problem.
    """
    found = False
    problems_before = len(report.problems)
    try:
        for number, line in read_lines(source):
            if not line.strip():
                continue
            try:
                row = json.loads(line)
            except (ValueError, RecursionError) as failure:
                report.add_problem(f"{source}, line {number}", f"not JSON ({failure}).")
                continue
            if not isinstance(row, dict):
                report.add_problem(f"{source}, line {number}", f"expected a JSON object, found {type(row).__name__}.")
                continue
            found = True
            yield number, row
    except DataError as damage:
        if report.strict or not found or not damage.problem.startswith(str(source)):
            raise
        report.add_problem(str(source), damage.problem.removeprefix(str(source)).lstrip(":, ") + " What stands before was read.")
    if not found:
        first = report.problems[problems_before:][:1]
        raise DataError(str(first[0]) if first else f"{source} is empty: it holds no record.")


def field_of(row: dict[str, Any], name: str) -> str:
    """Return a field that must hold text (or a whole number, as ids do), in NFC.

    Raises:
        DataError: it is missing, empty, or something else.
    """
    value = row.get(name)
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    if not isinstance(value, str):
        found = "is missing" if value is None else f"is {type(value).__name__}, expected text"
        raise DataError(f"the field {name!r} {found}; there are: {', '.join(sorted(map(str, row))) or 'none'}.")
    if not value.strip():
        raise DataError(f"the field {name!r} is empty.")
    return value
