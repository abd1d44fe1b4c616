"""Questions that people judged at pages: a folder with {train,dev}.queries.jsonl and {train,dev}.qrels.tsv."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from retrieval_ko.collection import Judgements
from retrieval_ko.errors import DataError
from retrieval_ko.files import read_lines
from retrieval_ko.records import Query
from retrieval_ko.sources.passages import clean_line
from retrieval_ko.sources.report import SourceReport, field_of, read_rows
from retrieval_ko.sources.writing import near_copies

SPLITS = ("train", "dev")


@dataclass(eq=False)
class Questions:
    """Questions by id, their judgements by split, what is known of the place of the answer, and titles that must not be read.

    Args:
        paragraphs: (question, page) → the numbers of the paragraphs that were judged relevant, from 0, in an older dump.
        gold: (question, page) → the passage that answers it, in an older wording of the page, and the answer.
    """

    queries: dict[str, Query] = field(default_factory=dict)
    judgements: dict[str, Judgements] = field(default_factory=dict)
    gold: dict[tuple[str, str], tuple[str, str]] = field(default_factory=dict)
    paragraphs: dict[tuple[str, str], list[int]] = field(default_factory=dict)
    excluded_titles: frozenset[str] = frozenset()

    def pages_of_positives(self) -> set[str]:
        """Return the pages that answer a training question."""
        return {page for grades in self.judgements.get("train", {}).values() for page, grade in grades.items() if grade > 0}

    @cached_property
    def dev_pages(self) -> frozenset[str]:
        """Return the pages that were judged for a question of dev."""
        return frozenset(page for grades in self.judgements.get("dev", {}).values() for page in grades)


def read_questions(folder: Path, report: SourceReport) -> Questions:
    """Read judged questions; a training question that is a near-duplicate of one in dev is dropped, and counted.

    Raises:
        DataError: the folder or one of its four files is missing or unreadable; with `strict`, the first problem.
    """
    if not folder.is_dir():
        raise DataError(
            f"There is no folder {folder}.", "It should hold train.queries.jsonl, train.qrels.tsv, dev.queries.jsonl, dev.qrels.tsv."
        )
    questions = Questions()
    for split in SPLITS:
        own = _read_queries(folder / f"{split}.queries.jsonl", questions, report)
        judged = _read_judgements(folder / f"{split}.qrels.tsv", own, report)
        report.left_out["questions without a judgement"] += len(own - judged.keys())
        questions.judgements[split] = judged
    _drop_copies(questions, report)
    if (gold := folder / "train.passages.jsonl").exists():
        questions.gold = dict(_read_gold(gold, report))
    if (paragraphs := folder / "train.judgments.tsv").exists():
        questions.paragraphs = _read_paragraphs(paragraphs, report)
    if (excluded := folder / "excluded_titles.txt").exists():
        questions.excluded_titles = frozenset(clean_line(line) for _, line in read_lines(excluded) if line.strip())
    return questions


def _drop_copies(questions: Questions, report: SourceReport) -> None:
    texts = {split: {query: questions.queries[query].text for query in judged} for split, judged in questions.judgements.items()}
    copies = near_copies(list(texts["train"].values()), list(texts["dev"].values()))
    for query in [query for query, text in texts["train"].items() if text in copies]:
        del questions.judgements["train"][query]
        report.left_out["training questions that are near-duplicates of one in dev"] += 1


def _read_queries(source: Path, questions: Questions, report: SourceReport) -> set[str]:
    own: set[str] = set()
    for number, row in read_rows(source, report):
        report.read["questions"] += 1
        try:
            query_id, text = field_of(row, "_id"), clean_line(field_of(row, "text"))
            if query_id in questions.queries:
                raise DataError(f"the question id {query_id!r} was used before; the first is kept.")
        except DataError as error:
            report.add_problem(f"{source}, line {number}", error.problem)
            continue
        own.add(query_id)
        origin = row.get("source")
        questions.queries[query_id] = Query(_id=query_id, text=text, metadata={"source": origin} if origin else {})
    return own


def _read_judgements(source: Path, queries: set[str], report: SourceReport) -> Judgements:
    judgements: Judgements = {}
    for number, line in read_lines(source):
        if not line.strip() or (number == 1 and line.startswith("query-id")):
            continue
        parts = line.split("\t")
        if len(parts) != 3 or not re.fullmatch(r"[0-9]{1,9}", parts[2].strip()):
            report.add_problem(f"{source}, line {number}", "expected query-id, page id and a whole number, parted by tabs.")
            continue
        query, page, grade = parts
        if query not in queries:
            report.left_out["judgements of questions that are not here"] += 1
            continue
        judgements.setdefault(query, {})[page] = int(grade)
    if not judgements:
        raise DataError(f"{source} holds no judgement of a question that is here.")
    return judgements


def _read_gold(source: Path, report: SourceReport) -> Iterator[tuple[tuple[str, str], tuple[str, str]]]:
    """Yield what stands word for word in a page of this dump; other gold passages have another wording now."""
    for number, row in read_rows(source, report):
        if row.get("page_by") != "text":
            continue
        try:
            answer = row.get("answer")
            yield (
                (field_of(row, "query_id"), field_of(row, "page_id")),
                (field_of(row, "passage"), answer if isinstance(answer, str) else ""),
            )
        except DataError as error:
            report.add_problem(f"{source}, line {number}", error.problem)


def _read_paragraphs(source: Path, report: SourceReport) -> dict[tuple[str, str], list[int]]:
    paragraphs: dict[tuple[str, str], list[int]] = {}
    for number, line in read_lines(source):
        if not line.strip() or (number == 1 and line.startswith("query-id")):
            continue
        found = re.match(r"([^\t]+)\t([^\t#]+)#([0-9]{1,6})\t([0-9]{1,9})(\t|$)", line)
        if not found:
            report.add_problem(f"{source}, line {number}", "expected query-id, page#paragraph and a whole number, parted by tabs.")
        elif int(found[4]) > 0:
            paragraphs.setdefault((found[1], found[2]), []).append(int(found[3]))
    return paragraphs
