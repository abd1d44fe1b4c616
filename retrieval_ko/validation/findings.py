"""What a check finds: an error makes training or indexing wrong or impossible, a remark is worth a look."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from enum import StrEnum
from pathlib import Path
from typing import NamedTuple

KEPT_OF_A_KIND = 1000
"""A corpus of the wrong encoding has as many faults as lines; all are counted, these many of each kind are kept to be read."""


class Severity(StrEnum):
    """How bad it is."""

    ERROR = "error"
    REMARK = "remark"


class Finding(NamedTuple):
    """One fault: `kind` is a name to count by, `line` is 0 where the whole file is meant."""

    kind: str
    severity: Severity
    file: Path
    line: int
    message: str

    def __str__(self) -> str:
        """Return the finding as it is read in a terminal."""
        where = f"{self.file}, line {self.line}" if self.line else str(self.file)
        return f"{where}: {self.message}"


def error(kind: str, file: Path, line: int, message: str) -> Finding:
    """Return a finding that makes the data unusable."""
    return Finding(kind, Severity.ERROR, file, line, message)


def remark(kind: str, file: Path, line: int, message: str) -> Finding:
    """Return a finding that may be meant so."""
    return Finding(kind, Severity.REMARK, file, line, message)


class Findings:
    """All findings counted, the first of each kind kept, in the order in which they were found."""

    def __init__(self, found: Iterable[Finding] = ()) -> None:
        self.kept: list[Finding] = []
        self.counts: dict[Severity, Counter[str]] = {severity: Counter() for severity in Severity}
        for finding in found:
            self.add(finding)

    def add(self, finding: Finding) -> None:
        """Count a finding, and keep it if there are not too many of its kind."""
        counts = self.counts[finding.severity]
        counts[finding.kind] += 1
        if counts[finding.kind] <= KEPT_OF_A_KIND:
            self.kept.append(finding)

    @property
    def errors(self) -> int:
        """How many errors there are."""
        return self.counts[Severity.ERROR].total()

    @property
    def remarks(self) -> int:
        """How many remarks there are."""
        return self.counts[Severity.REMARK].total()
