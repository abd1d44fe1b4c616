"""KoBEST BoolQ: statements and yes-no questions, each about one paragraph."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from retrieval_ko.errors import DataError
from retrieval_ko.sources.passages import clean_line
from retrieval_ko.sources.report import SourceReport, field_of
from retrieval_ko.sources.writing import near_copies, new_collection

LICENCE = "CC BY-SA 4.0 (KoBEST)"
SOURCES = ("KoBEST BoolQ (SKT)",)
SPLITS = ("train", "dev", "test")


@dataclass(frozen=True, slots=True)
class _Statement:
    id: str
    split: str
    text: str
    paragraph: str
    answer: str


def write_boolq(rows: Iterable[tuple[int, dict[str, Any]]], out: Path, report: SourceReport, *, source: Path) -> None:
    """Write rows {id, split, question, paragraph, answer} as a collection in the splits that they name.

    A statement is relevant for its paragraph whether the paragraph says that it is true or false: a searcher who asks "is it so?"
    looks for the passage that decides it. The answer stays in the query's metadata. A paragraph that several questions are about is
    one passage. A training question is dropped where it or its paragraph is a near-duplicate of one outside train.

    Raises:
        DataError: no row can be used; with the report's `strict`, the first problem.
    """
    statements = _read(rows, source, report)
    train = [statement for statement in statements if statement.split == "train"]
    held_out = [statement for statement in statements if statement.split != "train"]
    paragraphs = near_copies([statement.paragraph for statement in train], [statement.paragraph for statement in held_out])
    texts = near_copies([statement.text for statement in train], [statement.text for statement in held_out])
    leaking = {statement.id for statement in train if statement.paragraph in paragraphs or statement.text in texts}
    report.left_out["training questions that are held out, or their paragraph is"] += len(leaking)
    kept = [statement for statement in statements if statement.id not in leaking]
    with new_collection(out, report, licence=LICENCE, sources=SOURCES) as writer:
        passages: dict[str, str] = {}
        for statement in kept:
            if statement.paragraph not in passages:
                passages[statement.paragraph] = f"p-{statement.id}"
                writer.add_passage(f"p-{statement.id}", statement.paragraph)
        report.written["paragraphs of several questions"] = sum(
            count > 1 for count in Counter(statement.paragraph for statement in kept).values()
        )
        for statement in kept:
            passage = passages[statement.paragraph]
            writer.add_query(statement.id, statement.text, {"answer": statement.answer})
            writer.add_judgement(statement.split, statement.id, passage, 1)
            if statement.split == "train":
                meta = {"type": "boolq", "answer": statement.answer}
                writer.add_pair("train", statement.text, [passage], query_id=statement.id, meta=meta)


def _read(rows: Iterable[tuple[int, dict[str, Any]]], source: Path, report: SourceReport) -> list[_Statement]:
    statements: dict[str, _Statement] = {}
    for number, row in rows:
        report.read["questions"] += 1
        try:
            fields = (clean_line(field_of(row, name)) for name in ("id", "split", "question", "paragraph", "answer"))
            statement = _Statement(*fields)
            if statement.id in statements:
                raise DataError(f"the id {statement.id!r} was used before; the first is kept.")
            if statement.split not in SPLITS:
                raise DataError(f"the split is {statement.split!r}, expected one of {', '.join(SPLITS)}.")
            if statement.answer.lower() not in {"true", "false"}:
                raise DataError(f"the answer is {statement.answer!r}, expected TRUE or FALSE.")
        except DataError as error:
            report.add_problem(f"{source}, line {number}", error.problem)
            continue
        statements[statement.id] = _Statement(statement.id, statement.split, statement.text, statement.paragraph, statement.answer.lower())
    return list(statements.values())
