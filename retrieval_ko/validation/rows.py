"""Reading on past what is damaged: every line of a file is a value or a finding."""

from __future__ import annotations

import hashlib
import json
import re
import unicodedata
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from retrieval_ko.compressed import opened
from retrieval_ko.errors import DataError
from retrieval_ko.validation.findings import Finding, error, remark

Record = TypeVar("Record", bound=BaseModel)

_LONE_SURROGATE = re.compile("[\ud800-\udfff]")


def lines_of(source: Path) -> Iterator[tuple[int, str] | Finding]:
    """Yield (line number, line without its end), or what is wrong with the line; `.zst` and `.gz` are decompressed on the way."""
    try:
        with opened(source) as file:
            for number, raw in enumerate(file, start=1):
                if number == 1:
                    raw = raw.removeprefix(b"\xef\xbb\xbf")
                if b"\0" in raw:
                    yield error("nul_byte", source, number, "holds a NUL byte, so this is not a text file (or is damaged).")
                    continue
                try:
                    yield number, raw.decode("utf-8").rstrip("\r\n")
                except UnicodeDecodeError as failure:
                    yield error("not_utf8", source, number, f"not valid UTF-8 (byte {failure.start + 1}); CP949 is turned by iconv.")
    except DataError as failure:
        yield error("unreadable_file", source, 0, failure.problem)


def rows_of(source: Path) -> Iterator[tuple[int, dict[str, Any]] | Finding]:
    """Yield (line number, object), or what is wrong with the line; blank lines are passed over."""
    for entry in lines_of(source):
        if isinstance(entry, Finding):
            yield entry
            continue
        number, line = entry
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except (ValueError, RecursionError) as failure:
            yield error("not_json", source, number, f"not JSON ({failure}).")
            continue
        if isinstance(row, dict):
            yield number, row
        else:
            yield error("not_json", source, number, f"expected a JSON object, found {type(row).__name__}.")


def records_of(
    source: Path,
    record_type: type[Record],
    on_line: Callable[[Path], None],
    repair: Callable[[dict[str, Any]], dict[str, Any]] | None = None,
) -> Iterator[tuple[int, Record] | Finding]:
    """Yield (line number, record), or each thing that is wrong with the line.

    Args:
        source: JSON lines.
        record_type: what a line is to be.
        on_line: called for each line that is JSON.
        repair: applied to a row before it is read as a record.
    """
    for entry in rows_of(source):
        if isinstance(entry, Finding):
            yield entry
            continue
        number, row = entry
        on_line(source)
        record = record_of(record_type, repair(row) if repair else row, source, number)
        if isinstance(record, list):
            yield from record
        else:
            yield number, record


def record_of(record_type: type[Record], row: dict[str, Any], source: Path, number: int) -> Record | list[Finding]:
    """Return the row as a record, or everything that is wrong with it."""
    try:
        return record_type.model_validate(row)
    except ValidationError as failure:
        return [_complaint(problem, source, number) for problem in failure.errors()]


def _complaint(problem: Any, source: Path, number: int) -> Finding:  # noqa: ANN401  pydantic's error dictionary
    field = ".".join(str(part) for part in problem["loc"]) or "the record"
    if problem["type"] == "missing":
        return error("missing_field", source, number, f"has no {field}.")
    return error("bad_field", source, number, f"{field}: {problem['msg'].lower()} (found {str(problem['input'])[:60]!r}).")


def text_findings(text: str, name: str, source: Path, number: int) -> Iterator[Finding]:
    """Yield what is wrong with a text whatever it says: nothing in it, half a character, jamo that are not composed."""
    if not text.strip():
        yield error("empty_text", source, number, f"{name} is empty.")
    if not text.isascii():
        if _LONE_SURROGATE.search(text):
            yield error("lone_surrogate", source, number, f"{name} holds half a character (a lone surrogate, \\ud800 to \\udfff).")
        elif not unicodedata.is_normalized("NFC", text):
            yield remark("not_nfc", source, number, f"{name} is not in NFC: the same word may be another string elsewhere.")


def fingerprint(text: str) -> int:
    """Return 64 bits that texts share which differ in white space, case or normal form at most.

    Among a million texts two others share them once in 37 million collections.
    """
    plain = " ".join(unicodedata.normalize("NFC", text).casefold().split())
    return int.from_bytes(hashlib.blake2b(plain.encode("utf-8", "replace"), digest_size=8).digest(), "big")
