"""Tables that people have: JSON lines, CSV, TSV and Parquet, a row a passage, or a question and its passages."""

from __future__ import annotations

import csv
import datetime
import difflib
import importlib
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, NamedTuple

from retrieval_ko.errors import DataError, UsageError
from retrieval_ko.files import read_lines
from retrieval_ko.sources.passages import clean_line, clean_text
from retrieval_ko.sources.report import SourceReport, field_of, read_rows
from retrieval_ko.sources.writing import CollectionWriter

TABLE_SUFFIXES = (".jsonl", ".ndjson", ".csv", ".tsv", ".parquet")

_FIELD_LIMIT_CHARACTERS = 10_000_000
_KNOWN_NAMES = {
    "id": ("_id", "docid", "doc_id", "id"),
    "text": ("text", "context", "contents", "content", "body", "본문"),
    "title": ("title", "제목"),
    "date": ("date", "published", "날짜"),
    "query": ("query", "question", "질문"),
    "positive": ("positive_passages", "positive", "pos"),
}
_DATE = re.compile(r"(\d{4})(?:-|\.\s?|/|년\s?)?(\d{1,2})(?:-|\.\s?|/|월\s?)?(\d{1,2})(?:일|\.)?(?:[T\s].*)?")


@dataclass(frozen=True, slots=True)
class Columns:
    """Which column holds what; empty where there is none.

    Args:
        id: the passage's id.
        text: the passage.
        date: a day, which the passage's metadata keep in ISO form.
        query: a question that the row's passage answers.
        positive: for rows of questions: the text that answers it, a list of them, or of {docid, title, text}.
    """

    id: str = ""
    text: str = ""
    title: str = ""
    date: str = ""
    query: str = ""
    positive: str = ""

    def settled(self, present: list[str], place: str) -> Columns:
        """Return the columns with the empty ones filled by the usual names, where `present` has them.

        Raises:
            UsageError: a named column is not there, or no column holds text.
        """
        for field in fields(self):
            name = getattr(self, field.name)
            if name and name not in present:
                nearest = difflib.get_close_matches(name, present, n=1, cutoff=0.5)
                hint = f" Did you mean {nearest[0]!r}?" if nearest else ""
                raise UsageError(
                    f"{place}: there is no column {name!r}; there are: {', '.join(present)}.{hint}",
                    f"Name another with --{field.name}-column.",
                )
        if self.text and self.positive:
            raise UsageError("--text-column and --positive-column exclude each other.", "--positive-column is for rows that are questions.")
        found = {
            field.name: getattr(self, field.name) or next((name for name in _KNOWN_NAMES[field.name] if name in present), "")
            for field in fields(self)
        }
        if self.positive or (found["positive"] and found["query"] and not self.text):
            found["text"] = ""
        else:
            found["positive"] = ""
        if found["id"] == "id" and not self.id and (found["query"] or found["positive"]):
            found["id"] = ""  # in tables of questions it is the question's
        settled = Columns(**found)
        if not settled.text and not (settled.positive and settled.query):
            raise UsageError(
                f"{place}: no column is called text; there are: {', '.join(present)}.",
                "Name it with --text-column, or name --query-column and --positive-column.",
            )
        return settled


class Row(NamedTuple):
    """A row, and where it stands, for messages."""

    place: str
    values: dict[str, Any]


def is_table(source: Path) -> bool:
    """Tell by its name whether a file is a table, compressed or not."""
    return (
        source.with_suffix("").suffix.lower() in TABLE_SUFFIXES
        if source.suffix in {".gz", ".zst"}
        else source.suffix.lower() in TABLE_SUFFIXES
    )


def read_table(source: Path, report: SourceReport) -> Iterator[Row]:
    """Yield the rows of a JSON-lines, CSV, TSV or Parquet file.

    Raises:
        DataError: the file cannot be read at all.
        UsageError: Parquet, and pyarrow is not installed.
    """
    kind = (source.with_suffix("") if source.suffix in {".gz", ".zst"} else source).suffix.lower()
    if kind == ".parquet":
        return read_parquet(source)
    if kind in {".csv", ".tsv"}:
        return _read_csv(source, "\t" if kind == ".tsv" else ",", report)
    return (Row(f"{source}, line {number}", row) for number, row in read_rows(source, report))


def _read_csv(source: Path, delimiter: str, report: SourceReport) -> Iterator[Row]:
    csv.field_size_limit(_FIELD_LIMIT_CHARACTERS)
    reader = csv.reader((line + "\n" for _, line in read_lines(source)), delimiter=delimiter, strict=True)
    header: list[str] = []
    begin = 1
    while True:
        try:
            values = next(reader)
        except StopIteration:
            break
        except csv.Error as failure:
            reason = "a quotation mark is opened and never closed" if "unexpected end" in str(failure) else str(failure)
            report.add_problem(f"{source}, line {begin}", f"{reason}.")
            continue
        except DataError as damage:
            if report.strict or not header:
                raise
            report.add_problem(str(source), damage.problem.removeprefix(str(source)).lstrip(":, ") + " What stands before was read.")
            break
        place, begin = f"{source}, line {begin}", reader.line_num + 1
        if not header:
            header = [clean_line(name) for name in values]
            if len(set(header)) < len(header):
                raise DataError(f"{place}: two columns have the same name.")
        elif values and len(values) != len(header):
            report.add_problem(place, f"has {len(values)} fields, the header has {len(header)}.")
        elif values:
            yield Row(place, dict(zip(header, values, strict=True)))


def read_parquet(source: Path) -> Iterator[Row]:
    """Yield the rows of a Parquet file, batch by batch.

    Raises:
        DataError: the file is damaged or missing.
        UsageError: pyarrow is not installed.
    """
    try:
        parquet = importlib.import_module("pyarrow.parquet")
    except ImportError as missing:
        raise UsageError(
            "Reading Parquet needs pyarrow, which this installation leaves out.", "Install it with: pip install 'sparse-ko[parquet]'"
        ) from missing
    number = 0
    try:
        with parquet.ParquetFile(source) as file:
            for batch in file.iter_batches(batch_size=1000):
                for values in batch.to_pylist():
                    number += 1
                    yield Row(f"{source}, row {number}", values)
    except (OSError, ValueError) as failure:  # ArrowInvalid is a ValueError
        raise DataError(f"{source}: cannot be read as Parquet ({failure}).") from failure


def iso_date(value: object) -> str:
    """Return a day in ISO form: "2020. 1. 2.", "20200102", "2020년 1월 2일", "2020-01-02T09:00:00", a date.

    Raises:
        DataError: it is no day.
    """
    if isinstance(value, datetime.date):
        return value.isoformat()[:10]
    found = _DATE.fullmatch(str(value).strip())
    try:
        return datetime.date(*map(int, found.groups())).isoformat() if found else _no_date(value)
    except ValueError:
        return _no_date(value)


def _no_date(value: object) -> str:
    raise DataError(f"{value!r} is not a date.")


class TableImport:
    """Rows to passages, queries, judgements and pairs.

    News (a title and a date, and no questions): the title is taken out of the passage and becomes a query of which the passage is the
    answer, since a model that read the title in the passage would learn to match it word for word; `metadata.title` keeps it.

    Args:
        name: what ids begin with where no column holds one.
        split: the split that questions belong to.
        title_queries: whether titles become queries; None: as is said above.
    """

    def __init__(self, writer: CollectionWriter, report: SourceReport, *, name: str, split: str, title_queries: bool | None = None) -> None:
        self._writer = writer
        self._report = report
        self._name = re.sub(r"\s+", "-", name)
        self._split = split
        self._title_queries = title_queries
        self._passage_of_text: dict[str, str] = {}
        self._query_of_text: dict[str, str] = {}

    def add(self, rows: Iterable[Row], columns: Columns) -> None:
        """Write the rows; those that are wrong go to the report."""
        settled: Columns | None = None
        for row in rows:
            self._report.read["rows"] += 1
            settled = settled or columns.settled([str(name) for name in row.values], row.place.split(", line")[0])
            with self._report.noting(row.place):
                if settled.positive:
                    self._add_question(row, settled)
                else:
                    self._add_passage(row, settled)

    def _add_passage(self, row: Row, columns: Columns) -> None:
        text = clean_text(field_of(row.values, columns.text))
        title = clean_line(str(row.values.get(columns.title) or "")) if columns.title else ""
        date = self._date(row, columns)
        title_queries = bool(columns.date and not columns.query) if self._title_queries is None else self._title_queries
        passage_id = clean_line(field_of(row.values, columns.id)) if columns.id else ""
        if title_queries and title:
            passage = self._passage(passage_id, text, "", {"date": date, "title": title})
            self._ask(title, [passage], "title")
        else:
            passage = self._passage(passage_id, text, title, {"date": date}, once=bool(columns.query))
        if columns.query and (question := clean_line(str(row.values.get(columns.query) or ""))):
            self._ask(question, [passage], "question")

    def _add_question(self, row: Row, columns: Columns) -> None:
        question = clean_line(field_of(row.values, columns.query))
        positives = row.values.get(columns.positive)
        answers: list[tuple[str, str, str]] = []
        for positive in positives if isinstance(positives, list) else [positives]:
            values = positive if isinstance(positive, dict) else {"text": positive}
            title = clean_line(str(values.get("title") or ""))
            answers.append((str(values.get("docid") or ""), clean_text(field_of(values, "text")), title))
        if not answers:
            self._report.left_out["questions without an answer"] += 1
            return
        self._ask(question, [self._passage(passage_id, text, title, {}, once=True) for passage_id, text, title in answers], "question")

    def _passage(self, passage_id: str, text: str, title: str, metadata: dict[str, str], *, once: bool = False) -> str:
        known = self._passage_of_text.get(f"{title}\n{text}") if once else None
        if known and passage_id in {"", known}:
            return known
        passage_id = passage_id or f"{self._name}-{self._report.read['rows']}" + (f"-{len(self._writer.passages)}" if once else "")
        self._writer.add_passage(passage_id, text, title=title, metadata=metadata)
        if once:
            self._passage_of_text[f"{title}\n{text}"] = passage_id
        return passage_id

    def _ask(self, text: str, passages: list[str], kind: str) -> None:
        query = self._query_of_text.get(text)
        if query is None:
            query = self._query_of_text[text] = f"q-{self._name}-{len(self._query_of_text) + 1}"
            self._writer.add_query(query, text, {"type": kind})
        for passage in passages:
            self._writer.add_judgement(self._split, query, passage, 1)
        if self._split == "train":
            self._writer.add_pair("train", text, dict.fromkeys(passages), query_id=query, meta={"type": kind})

    def _date(self, row: Row, columns: Columns) -> str:
        value = row.values.get(columns.date) if columns.date else None
        if value in (None, ""):
            return ""
        try:
            return iso_date(value)
        except DataError as error:
            self._report.add_problem(row.place, f"{error.problem} The passage is kept without one.")
            return ""
