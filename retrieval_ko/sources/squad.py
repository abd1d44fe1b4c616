"""KorQuAD 1.0 and KLUE-MRC: JSON of the shape of SQuAD, articles with paragraphs and the questions about each."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from retrieval_ko.errors import DataError
from retrieval_ko.files import read_json
from retrieval_ko.sources.passages import clean_line, clean_text
from retrieval_ko.sources.report import SourceReport, field_of
from retrieval_ko.sources.tabular import iso_date
from retrieval_ko.sources.writing import CollectionWriter


def is_squad(value: object) -> bool:
    """Tell whether a JSON value has the shape of SQuAD."""
    articles = value.get("data") if isinstance(value, dict) else None
    return isinstance(articles, list) and any(isinstance(article, dict) and "paragraphs" in article for article in articles)


def add_squad(source: Path, writer: CollectionWriter, report: SourceReport, split: str) -> None:
    """Write paragraphs as passages and their questions as queries of `split`; the article's title, date and source stay with it.

    A question that its paragraph does not answer (`is_impossible`) is left out and counted. The same paragraph again is not written
    again.

    Raises:
        DataError: the file is not JSON, or has another shape.
    """
    value = read_json(source)
    if not is_squad(value):
        raise DataError(f"{source}: expected {{'data': [{{'title', 'paragraphs': [{{'context', 'qas': […]}}]}}]}}.")
    passages: dict[str, str] = {}
    for place, article, paragraph in _paragraphs(source, value["data"], report):
        try:
            context = clean_text(field_of(paragraph, "context"))
            title = clean_line(str(article.get("title") or "")).replace("_", " ")
            metadata = {"source": str(article.get("source") or ""), "category": str(article.get("news_category") or "")}
            if date := article.get("date") or article.get("news_date"):
                metadata["date"] = iso_date(date)
            known = passages.get(context)
            if known is None:
                known = passages[context] = f"{source.name.split('.')[0].replace(' ', '-')}-{len(passages)}"
                writer.add_passage(known, context, title=title, metadata=metadata)
        except DataError as error:
            report.add_problem(place, error.problem)
            continue
        questions = paragraph.get("qas")
        for number, question in enumerate(questions if isinstance(questions, list) else []):
            report.read["questions"] += 1
            with report.noting(f"{place}, question {number}"):
                _add_question(question, known, writer, report, split)


def _paragraphs(source: Path, articles: list[Any], report: SourceReport) -> Iterator[tuple[str, dict[str, Any], dict[str, Any]]]:
    for number, article in enumerate(articles):
        paragraphs = article.get("paragraphs") if isinstance(article, dict) else None
        if not isinstance(paragraphs, list):
            report.add_problem(f"{source}, data[{number}]", "has no list of paragraphs.")
            continue
        for inner, paragraph in enumerate(paragraphs):
            report.read["paragraphs"] += 1
            place = f"{source}, data[{number}].paragraphs[{inner}]"
            if isinstance(paragraph, dict):
                yield place, article, paragraph
            else:
                report.add_problem(place, f"expected an object, found {type(paragraph).__name__}.")


def _add_question(question: object, passage: str, writer: CollectionWriter, report: SourceReport, split: str) -> None:
    if not isinstance(question, dict):
        raise DataError(f"expected an object, found {type(question).__name__}.")
    if question.get("is_impossible"):
        report.left_out["questions that their paragraph does not answer"] += 1
        return
    query_id = clean_line(field_of(question, "guid" if "guid" in question else "id"))
    text = clean_line(field_of(question, "question"))
    writer.add_query(query_id, text)
    writer.add_judgement(split, query_id, passage, 1)
    if split == "train":
        writer.add_pair("train", text, [passage], query_id=query_id, meta={"type": "question"})
