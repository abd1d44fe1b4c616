"""The files of a collection as a stream, for counts that need no passage twice."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TypeVar

from pydantic import ValidationError

from retrieval_ko.collection import first_complaint
from retrieval_ko.compressed import opened
from retrieval_ko.errors import DataError
from retrieval_ko.files import read_jsonl, read_lines
from retrieval_ko.records import Passage, Query

_CHUNK_BYTES = 1 << 20
_ALL_FAULTS = "`sparse-ko data check` lists all faults."

Record = TypeVar("Record", Passage, Query)


def count_lines(source: Path) -> int:
    """Return how many lines a file has, the last one with or without its end."""
    count, last = 0, b"\n"
    with opened(source) as file:
        while chunk := file.read(_CHUNK_BYTES):
            count += chunk.count(b"\n")
            last = chunk[-1:]
    return count + (last != b"\n")


def stream_records(source: Path, record_type: type[Record]) -> Iterator[Record]:
    """Yield the passages or queries of a file.

    Raises:
        DataError: a line is damaged; `sparse-ko data check` lists all of them.
    """
    for number, row in read_jsonl(source):
        for key in ("_id", "id"):
            if isinstance(row.get(key), int):
                row[key] = str(row[key])
        try:
            yield record_type.model_validate(row)
        except ValidationError as failure:
            raise DataError(
                f"{source}, line {number}: {first_complaint(failure)}.", "`sparse-ko data check` lists all faults."
            ) from failure


def stream_judgements(source: Path) -> Iterator[tuple[str, str, int]]:
    """Yield (query id, passage id, grade) of a file of judgements.

    Raises:
        DataError: a line has other fields.
    """
    for number, line in read_lines(source):
        if not line.strip() or (number == 1 and line.startswith("query-id")):
            continue
        try:
            query, passage, grade = line.split("\t")
            yield query, passage, int(grade)
        except ValueError:
            raise DataError(
                f"{source}, line {number}: expected query-id, corpus-id and a whole number, separated by tabs.",
                _ALL_FAULTS,
            ) from None
