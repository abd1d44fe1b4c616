"""One file by itself: passages (BEIR or LexDPR), queries, or pairs; which of them it is, its first line tells."""

from __future__ import annotations

from collections.abc import Iterator
from enum import StrEnum
from pathlib import Path

from pydantic import BaseModel, Field

from retrieval_ko.errors import DataError, UsageError
from retrieval_ko.records import Passage, RecordId
from retrieval_ko.validation.contents import Contents
from retrieval_ko.validation.findings import Finding, error, remark
from retrieval_ko.validation.pair_rows import pair_findings
from retrieval_ko.validation.record_rows import passage_findings
from retrieval_ko.validation.rows import fingerprint, records_of, rows_of


class FileKind(StrEnum):
    """What a file holds."""

    PAIRS = "pairs"
    PASSAGES = "passages"
    LEGAL_PASSAGES = "legal passages"


class _LegalRow(BaseModel):
    """A line of LexDPR's passage files; precedents carry other fields, so only these are asked for."""

    id: RecordId
    text: str
    parent_id: str = Field(min_length=1)
    type: str = Field(min_length=1)


def kind_of(source: Path) -> FileKind:
    """Return what a file holds, by the first line that can be read.

    Raises:
        DataError: there is none, or its fields are none that we know.
    """
    row = next((entry[1] for entry in rows_of(source) if not isinstance(entry, Finding)), None)
    if row is None:
        raise DataError(f"{source} holds no line that is a JSON object.", "A file of passages or pairs has one JSON object a line.")
    if "query_text" in row or "positive_passages" in row:
        return FileKind.PAIRS
    if "parent_id" in row and "_id" not in row:
        return FileKind.LEGAL_PASSAGES
    if "text" in row and ("_id" in row or "id" in row):
        return FileKind.PASSAGES
    raise DataError(
        f"{source}: what its lines are cannot be told from their fields ({', '.join(list(row)[:8])}).",
        'Passages: {"_id", "title", "text"}; legal passages: {"id", "parent_id", "type", "text", …}; pairs: {"query_text", …}.',
    )


def check_file(contents: Contents, source: Path, corpus: Path | None = None) -> Iterator[Finding]:
    """Yield everything that is wrong with a file.

    Args:
        contents: empty; afterwards it tells how much there was.
        source: a pair file or a passage file.
        corpus: a passage file or a collection folder in which a pair file's ids are looked up.

    Raises:
        DataError: it cannot be told what the file holds.
        UsageError: `corpus` is given for what is no pair file.
    """
    kind = kind_of(source)
    if kind is not FileKind.PAIRS:
        if corpus is not None:
            raise UsageError(f"--corpus is for a file of pairs; {source} holds {kind}.", "Leave --corpus out.")
        yield from _passages_of(source, contents, kind)
        return
    if corpus is None:
        yield from pair_findings(source, contents, None)
        return
    passage_file = corpus / "corpus.jsonl" if corpus.is_dir() else corpus
    yield from _passages_of(passage_file, contents, kind_of(passage_file))
    yield from pair_findings(source, contents, contents.passages)


def _passages_of(source: Path, contents: Contents, kind: FileKind) -> Iterator[Finding]:
    """Check a passage file by itself; its ids and texts stand in `contents` afterwards."""
    if kind is FileKind.PAIRS:
        raise UsageError(f"{source} holds pairs, not passages.", "Name a passage file or a collection folder with --corpus.")
    lines: dict[str, int] = {}
    texts: dict[int, int] = {}
    row_type: type[_LegalRow | Passage] = _LegalRow if kind is FileKind.LEGAL_PASSAGES else Passage
    for entry in records_of(source, row_type, contents.on_line):
        if isinstance(entry, Finding):
            yield entry
            continue
        number, record = entry
        passage = record if isinstance(record, Passage) else Passage(_id=record.id, text=record.text)
        if passage.id in lines:
            yield error("duplicate_id", source, number, f"the id {passage.id!r} was used before, in line {lines[passage.id]}.")
        yield from passage_findings(passage, source, number)
        lines.setdefault(passage.id, number)
        contents.passages[passage.id] = fingerprint(passage.text)
        first = texts.setdefault(fingerprint(passage.passage_text), number)
        if first != number and passage.text.strip():
            yield remark("duplicate_text", source, number, f"{passage.id!r} says the same as the passage in line {first}.")
    if not lines:
        yield error("empty_file", source, 0, "holds no sound passage.")
