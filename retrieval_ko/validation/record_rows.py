"""Passages and queries, line by line."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from retrieval_ko.collection import PASSAGE_LIMIT_CHARACTERS
from retrieval_ko.records import Passage, Query
from retrieval_ko.validation.contents import Contents
from retrieval_ko.validation.findings import Finding, error, remark
from retrieval_ko.validation.rows import fingerprint, records_of, text_findings


def check_passages(contents: Contents) -> Iterator[Finding]:
    """Passages have ids of their own and texts; texts that stand there twice are remarked on."""
    source = contents.corpus_file
    if not source.exists():
        yield error("missing_file", source, 0, "is missing; a collection is a folder with corpus.jsonl, queries.jsonl and qrels/.")
        return
    lines: dict[str, int] = {}
    whole: dict[int, int] = {}
    for entry in records_of(source, Passage, contents.on_line, _with_id):
        if isinstance(entry, Finding):
            yield entry
            continue
        number, record = entry
        yield from _id_findings(record.id, lines, source, number)
        yield from passage_findings(record, source, number)
        if contents.judged == "parent":
            parent = record.metadata.get("parent_id")
            if isinstance(parent, str) and parent:
                contents.parents.add(parent)
            else:
                yield error("missing_field", source, number, f"{record.id!r} has no metadata.parent_id, but judgements name parents.")
        lines.setdefault(record.id, number)
        contents.passages[record.id] = fingerprint(record.text)
        if record.title:
            contents.titles.add(fingerprint(record.title))
        first = whole.setdefault(fingerprint(record.passage_text), number)
        if first != number and record.text.strip():
            yield remark("duplicate_text", source, number, f"{record.id!r} says the same as the passage in line {first}.")
    if not lines:
        yield error("empty_file", source, 0, "holds no passage.")


def check_queries(contents: Contents) -> Iterator[Finding]:
    """Queries have ids of their own and texts; texts that stand there twice are remarked on."""
    source = contents.query_file
    if not source.exists():
        return
    lines: dict[str, int] = {}
    texts: dict[int, int] = {}
    for entry in records_of(source, Query, contents.on_line, _with_id):
        if isinstance(entry, Finding):
            yield entry
            continue
        number, record = entry
        yield from _id_findings(record.id, lines, source, number)
        yield from text_findings(record.text, f"the text of {record.id!r}", source, number)
        yield from _length_findings(record.id, record.text, source, number)
        lines.setdefault(record.id, number)
        contents.queries[record.id] = record
        contents.query_lines[record.id] = number
        first = texts.setdefault(fingerprint(record.text), number)
        if first != number and record.text.strip():
            yield remark("duplicate_text", source, number, f"{record.id!r} says the same as the query in line {first}.")
    if not lines:
        yield error("empty_file", source, 0, "holds no query.")


def passage_findings(record: Passage, source: Path, number: int) -> Iterator[Finding]:
    """Yield what is wrong with the texts of a passage."""
    yield from text_findings(record.text, f"the text of {record.id!r}", source, number)
    if record.title.strip():
        yield from text_findings(record.title, f"the title of {record.id!r}", source, number)
    yield from _length_findings(record.id, record.text, source, number)


def _length_findings(key: str, text: str, source: Path, number: int) -> Iterator[Finding]:
    if len(text) > PASSAGE_LIMIT_CHARACTERS:
        yield error(
            "too_long", source, number, f"the text of {key!r} has {len(text):,} characters; the limit is {PASSAGE_LIMIT_CHARACTERS:,}."
        )


def _id_findings(key: str, lines: dict[str, int], source: Path, number: int) -> Iterator[Finding]:
    if key in lines:
        yield error("duplicate_id", source, number, f"the _id {key!r} was used before, in line {lines[key]}.")
    if not key.isascii() and not unicodedata.is_normalized("NFC", key):
        yield remark("not_nfc", source, number, f"the _id {key!r} is not in NFC.")


def _with_id(row: dict[str, Any]) -> dict[str, Any]:
    """Return the row with a number as its id turned to text, as `Collection.read` does."""
    for key in ("_id", "id"):
        if isinstance(row.get(key), int) and not isinstance(row[key], bool):
            row[key] = str(row[key])
    return row
