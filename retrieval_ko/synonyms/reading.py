"""Synonym sources as people have them: JSON lines, CSV, TSV, the synonyms.jsonl of a collection."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterable, Iterator
from fnmatch import fnmatchcase
from pathlib import Path
from typing import NamedTuple

from retrieval_ko.errors import DataError
from retrieval_ko.files import read_jsonl, read_lines

LICENCES = {
    "cldr-*": "Unicode-3.0",
    "d2l": "CC-BY-SA-4.0",
    "cncf": "CC-BY-4.0",
    "soundblue-*": "Apache-2.0",
    "wikipedia": "CC-BY-SA-3.0",
    "sample": "CC0-1.0",
}
"""The licence of each source of the shared terms, and of the sample collection."""

UNKNOWN_LICENCE = "unknown"

_COLUMNS = ("ko", "en", "source", "domain")


class RawPair(NamedTuple):
    """A pair as its file holds it, nothing cleaned; `where` is file and line."""

    ko: str
    en: str
    source: str
    domain: str
    where: str


def licence_of(source: str) -> str:
    """Return the SPDX name of a source's licence, `unknown` for a source of the user's own."""
    return next((licence for pattern, licence in LICENCES.items() if fnmatchcase(source, pattern)), UNKNOWN_LICENCE)


def read_source(path: Path) -> Iterator[RawPair]:
    """Yield the pairs of a file (.jsonl, .csv, .tsv, each also .zst or .gz) or of a collection folder's synonyms.jsonl.

    JSON lines hold {ko, en, source?, domain?}; CSV and TSV have a header with `ko` and `en`, or are two columns, Korean first.
    A pair without `source` gets the file's name.

    Raises:
        DataError: the file is missing, damaged, of another kind, or a line lacks a side. Names the line.
    """
    path = Path(path)
    if path.is_dir():
        path = path / "synonyms.jsonl"
    name = path.name.removesuffix(".zst").removesuffix(".gz")
    stem, _, kind = name.rpartition(".")
    if kind == "jsonl":
        yield from _read_json_lines(path, stem)
    elif kind in {"csv", "tsv"}:
        yield from _read_table(path, stem, "," if kind == "csv" else "\t")
    else:
        raise DataError(f"{path}: cannot tell what kind of file this is.", "Name it .jsonl, .csv or .tsv (also with .zst or .gz).")


def _read_json_lines(path: Path, stem: str) -> Iterator[RawPair]:
    for number, row in read_jsonl(path):
        values = {column: row.get(column, "") for column in _COLUMNS}
        for column, value in values.items():
            if not isinstance(value, str):
                raise DataError(f"{path}, line {number}: {column} is not a string (found {str(value)[:60]!r}).")
        if missing := [side for side in ("ko", "en") if side not in row]:
            raise DataError(f"{path}, line {number}: has no {missing[0]}.", 'Every line needs both: {"ko": "보증금", "en": "deposit"}')
        yield RawPair(values["ko"], values["en"], values["source"] or stem, values["domain"], f"{path}, line {number}")


def _read_table(path: Path, stem: str, delimiter: str) -> Iterator[RawPair]:
    columns = ["ko", "en"]
    lines = (line for _, line in read_lines(path))
    reader = csv.reader(lines, delimiter=delimiter, strict=True)
    try:
        for row in reader:
            number = reader.line_num
            if not any(cell.strip() for cell in row):
                continue
            names = [cell.strip().lower() for cell in row]
            if number == 1 and {"ko", "en"} <= set(names):
                columns = names
                continue
            values = dict(zip(columns, row, strict=False))
            if len(row) < len(columns) or (len(row) > len(columns) and columns == ["ko", "en"]):
                raise DataError(
                    f"{path}, line {number}: expected {len(columns)} fields ({', '.join(columns)}), found {len(row)}.",
                    "A first line with names (ko, en, source, domain) says which column is which.",
                )
            yield RawPair(values["ko"], values["en"], values.get("source", "") or stem, values.get("domain", ""), f"{path}, line {number}")
    except csv.Error as failure:
        raise DataError(f"{path}, line {reader.line_num}: not a table that can be read ({failure}).") from failure


def chosen(sources: Iterable[str], licences: Iterable[str]) -> Callable[[RawPair], bool]:
    """Return a filter on source and on licence; patterns as of a shell (`cldr-*`), none: everything."""
    wanted_sources, wanted_licences = list(sources), list(licences)

    def is_chosen(pair: RawPair) -> bool:
        return _matches(pair.source, wanted_sources) and _matches(licence_of(pair.source), wanted_licences)

    return is_chosen


def _matches(value: str, patterns: list[str]) -> bool:
    return not patterns or any(fnmatchcase(value, pattern) for pattern in patterns)
