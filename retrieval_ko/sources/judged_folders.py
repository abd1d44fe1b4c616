"""Folders with passages, questions and judgements: BEIR (also zipped), MIRACL and Mr.TyDi."""

from __future__ import annotations

import re
import tempfile
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import Any

from retrieval_ko.errors import DataError
from retrieval_ko.files import read_lines
from retrieval_ko.sources.passages import clean_line, clean_text
from retrieval_ko.sources.report import SourceReport, field_of, read_rows
from retrieval_ko.sources.writing import CollectionWriter

UNZIPPED_LIMIT_BYTES = 64 << 30
"""More than the largest set of BEIR; an archive that says it holds more is made to fill a disk."""

_SPLIT = re.compile(r"(train|dev|testA|testB|test)", re.IGNORECASE)


@contextmanager
def unzipped(archive: Path) -> Iterator[Path]:
    """Unpack a .zip into a temporary folder and yield the folder in it that holds corpus.jsonl; remove all afterwards.

    Raises:
        DataError: it is damaged, holds no corpus.jsonl, or a file of it would land outside its folder.
    """
    with tempfile.TemporaryDirectory(prefix="retrieval-ko-") as temporary:
        folder = Path(temporary)
        try:
            with zipfile.ZipFile(archive) as file:
                for member in file.infolist():
                    name = PurePosixPath(member.filename.replace("\\", "/"))
                    if name.is_absolute() or ".." in name.parts or ":" in name.parts[0]:
                        raise DataError(f"{archive}: holds a file that would land outside its folder ({member.filename}).")
                if sum(member.file_size for member in file.infolist()) > UNZIPPED_LIMIT_BYTES:
                    raise DataError(f"{archive}: would take more than {UNZIPPED_LIMIT_BYTES >> 30} GiB unpacked.")
                file.extractall(folder)
        except FileNotFoundError as failure:
            raise DataError(f"Cannot read {archive}: {failure.strerror}.") from failure
        except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError) as failure:
            raise DataError(f"{archive}: the archive is damaged, cut off or encrypted ({failure}).", "Fetch it again.") from failure
        found = sorted(folder.rglob("corpus.jsonl*"))
        if not found:
            raise DataError(f"{archive} holds no corpus.jsonl.")
        yield found[0].parent


def add_beir(folder: Path, writer: CollectionWriter, report: SourceReport) -> None:
    """Write a BEIR folder: corpus.jsonl, queries.jsonl, qrels/{split}.tsv, each also .gz or .zst.

    Raises:
        DataError: corpus.jsonl is missing or unreadable.
    """
    _add_corpus([_one(folder, "corpus.jsonl")], writer, report)
    if queries := _some(folder, "queries.jsonl"):
        for number, row in read_rows(queries, report):
            with report.noting(f"{queries}, line {number}"):
                _add_query_row(row, writer)
    for source in sorted((folder / "qrels").glob("*.tsv*")):
        _add_judgements(source, source.name.split(".")[0], writer, report)


def is_judged_folder(folder: Path) -> bool:
    """Tell whether a folder is laid out as MIRACL and Mr.TyDi are: topics, qrels, and passages as JSON lines."""
    return bool(_named(folder, "topic")) and bool(_corpus_files(folder))


def add_topics_folder(folder: Path, writer: CollectionWriter, report: SourceReport) -> None:
    """Write MIRACL or Mr.TyDi: `topics….tsv` (id, question), `qrels….{tsv,txt}` (TREC) and passages {docid, title, text}.

    The split is what the names of the files say: train, dev, testA … A passage id is page#paragraph; `metadata.parent_id` is the page.

    Raises:
        DataError: a file is missing or unreadable.
    """
    corpus, topics = _corpus_files(folder), _named(folder, "topic")
    if not corpus or not topics:
        raise DataError(f"{folder}: expected topics….tsv, qrels….tsv and passages in .jsonl or .jsonl.gz files.")
    _add_corpus(corpus, writer, report)
    for source in topics:
        for number, line in read_lines(source):
            parts = line.split("\t")
            if line.strip() and len(parts) != 2:
                report.add_problem(f"{source}, line {number}", "expected an id and a question, parted by a tab.")
            elif line.strip():
                report.read["questions"] += 1
                with report.noting(f"{source}, line {number}"):
                    _add_topic(parts, writer, report)
    for source in _named(folder, "qrels"):
        _add_judgements(source, _split_of(source), writer, report)


def _add_topic(parts: list[str], writer: CollectionWriter, report: SourceReport) -> None:
    if parts[0] in writer.queries:
        report.left_out["questions that stand in two files"] += 1
        return
    writer.add_query(parts[0], clean_line(parts[1]))


def _add_query_row(row: dict[str, Any], writer: CollectionWriter) -> None:
    metadata = row.get("metadata")
    writer.add_query(_id_of(row), clean_line(field_of(row, "text")), metadata if isinstance(metadata, dict) else {})


def _add_corpus(sources: list[Path], writer: CollectionWriter, report: SourceReport) -> None:
    for source in sources:
        for number, row in read_rows(source, report):
            report.read["passages"] += 1
            with report.noting(f"{source}, line {number}"):
                _add_passage(row, writer)


def _add_passage(row: dict[str, Any], writer: CollectionWriter) -> None:
    passage_id, title = _id_of(row), row.get("title")
    if "contents" in row and "text" not in row:  # Mr.TyDi: the title, a blank line, the text
        head, gap, rest = field_of(row, "contents").partition("\n\n")
        title, text = (head, rest) if gap else ("", head)
    else:
        text = field_of(row, "text")
    metadata = dict(row["metadata"]) if isinstance(row.get("metadata"), dict) else {}
    if "#" in passage_id:
        metadata.setdefault("parent_id", passage_id.rpartition("#")[0])
    writer.add_passage(passage_id, clean_text(text), title=clean_line(title) if isinstance(title, str) else "", metadata=metadata)


def _id_of(row: dict[str, Any]) -> str:
    return clean_line(field_of(row, next((name for name in ("_id", "docid", "id") if name in row), "_id")))


def _add_judgements(source: Path, split: str, writer: CollectionWriter, report: SourceReport) -> None:
    """Read BEIR's three columns or TREC's four; write pairs of the questions of train."""
    relevant: dict[str, list[str]] = {}
    for number, line in read_lines(source):
        if not line.strip() or (number == 1 and line.startswith("query-id")):
            continue
        parts = line.split("\t") if "\t" in line else line.split()
        if len(parts) == 4:
            del parts[1]
        place = f"{source}, line {number}"
        if len(parts) != 3 or not re.fullmatch(r"-?[0-9]{1,9}", parts[2].strip()):
            report.add_problem(place, "expected query-id, corpus-id and a whole number, parted by tabs (or the four fields of TREC).")
            continue
        query, passage, grade = parts[0].strip(), parts[1].strip(), int(parts[2])
        with report.noting(place):
            writer.add_judgement(split, query, passage, grade)
            if grade > 0:
                relevant.setdefault(query, []).append(passage)
    if split == "train":
        for query, passages in relevant.items():
            writer.add_pair("train", writer.queries[query], dict.fromkeys(passages), query_id=query, meta={"type": "question"})


def _some(folder: Path, name: str) -> Path | None:
    return next((folder / f"{name}{suffix}" for suffix in ("", ".gz", ".zst") if (folder / f"{name}{suffix}").exists()), None)


def _one(folder: Path, name: str) -> Path:
    return _some(folder, name) or folder / name


def _named(folder: Path, word: str) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file() and path.name.lower().startswith(word) and _SPLIT.search(path.name))


def _split_of(source: Path) -> str:
    found = _SPLIT.search(source.name)
    return found[0] if found else "test"


def _corpus_files(folder: Path) -> list[Path]:
    files = (
        path for path in folder.rglob("*.jsonl*") if path.is_file() and not path.name.lower().startswith(("topic", "qrels", "queries"))
    )
    return sorted(files, key=lambda path: [int(part) if part.isdigit() else part for part in re.split(r"(\d+)", path.as_posix())])
