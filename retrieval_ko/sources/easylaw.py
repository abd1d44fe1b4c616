"""Plain-language law (easylaw.go.kr): everyday headings as queries, what stands below them as passages."""

from __future__ import annotations

import hashlib
import re
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from retrieval_ko.collection import SplitRule
from retrieval_ko.errors import DataError
from retrieval_ko.sources.passages import PASSAGE_CHARACTERS, clean_line, clean_text, cut_into_passages
from retrieval_ko.sources.report import SourceReport, field_of
from retrieval_ko.sources.writing import near_copies, new_collection

LICENCE = "free reuse with the source named: easylaw.go.kr (법제처)"
SOURCES = ("easylaw.go.kr",)
MOST_POSITIVES = 5
"""Passages of one record in a training pair, from its beginning, where the summary stands."""

_SHORT_TOPIC_LETTERS = 4
_GENERIC_WORD = "(개요|의의|개념|정의|종류|절차|방법|대상|신청|효과|효력|요건|기준|제도|내용|사항|법령|용어|의무)"
_GENERIC_TOPIC = re.compile(rf"((그 ?밖의|기타|관련|주요) ?)?{_GENERIC_WORD}([ 및·ㆍ,]+{_GENERIC_WORD})*( 등)?")

_SOURCE_NOTE = re.compile(r"\s*(?:[<＜〈]\s*출처[^<>＜＞〈〉]*[>＞〉]|\(출처\s*[:：][^()]*\)|\[출처\s*[:：][^\[\]]*\])\s*")
_REFERENCE_TO_SITE = re.compile(r"※[^※]{0,120}이 사이트\s*<[^<>]*>[^※]*?(?:있습니다|참조하세요|참고하세요|바랍니다)\.")
_NOTE_WITHIN = re.compile(r"(?<=[^\s(])(?=※)")

_UNIT = r"제\s?\d+(?:조(?:의\s?\d+)?|항|호(?:의\s?\d+)?|[가-하]목)"
_UNITS = rf"{_UNIT}(?:\s?(?:{_UNIT}|본문|단서|전단|후단|각 호))*"
_CITATION = re.compile(rf"「[^「」]{{2,60}}」\s*{_UNITS}(?:\s?(?:,|·|ㆍ|및|또는|내지|부터|까지|와|과)\s?{_UNITS})*")


@dataclass(frozen=True, slots=True)
class _Record:
    id: str
    guide: str
    topic: str
    text: str


def clean_guide(text: str, topic: str) -> str:
    """Return a record's text without the notes of its sources, pointers to other pages of the site, and lines that only repeat the topic.

    Notes (※) stay and get a line of their own; references to law stay, for they are the way from everyday words to the law.
    """
    text = _SOURCE_NOTE.sub("\n", _REFERENCE_TO_SITE.sub("", _NOTE_WITHIN.sub("\n", clean_text(text))))
    lines = (clean_line(line) for line in text.split("\n"))
    return "\n".join(line for line in lines if line and line != topic)


def citations(text: str) -> list[str]:
    """Return the references to articles as they stand in a text, each once: "「민법」 제574조 및 제572조제1항"."""
    return list(dict.fromkeys(clean_line(found) for found in _CITATION.findall(text)))


def write_easylaw(
    rows: Iterable[tuple[int, dict[str, Any]]],
    out: Path,
    report: SourceReport,
    *,
    source: Path,
    dev_share: float = 0.1,
    seed: int = 13,
    limit: int = PASSAGE_CHARACTERS,
) -> None:
    """Write records {id, title, topic, text} as a collection judged at records, with train and dev by guide and pairs for training.

    A query is the topic. A topic that says too little by itself (up to four letters, a word like 개요, or one that several guides
    have) gets the guide's title before it; a topic that is the guide's title is no query, for every passage bears that title.

    Args:
        rows: (line number, record) as `read_rows` yields them.
        out: the collection folder.
        report: gets counts and problems.
        source: where the records come from, for messages.
        dev_share: share of guides whose queries are dev; no guide is in both splits.
        seed: changes which guides are dev.
        limit: longest passage in characters.

    Raises:
        DataError: no record can be used; with the report's `strict`, the first problem.
    """
    records = _read(rows, source, report)
    guides_of_topic: dict[str, set[str]] = defaultdict(set)
    for record in records:
        guides_of_topic[record.topic].add(record.guide)
    dev = _drawn({record.guide for record in records}, dev_share, seed)
    report.read["guides"], report.written["guides in dev"] = len({record.guide for record in records}), len(dev)
    queries: dict[tuple[str, str], list[_Record]] = defaultdict(list)
    passages: dict[str, list[str]] = {}
    splits = {"": SplitRule(by="group", seed=seed)}
    with new_collection(out, report, licence=LICENCE, sources=SOURCES, judged="parent", splits=splits) as writer:
        for record in records:
            passages[record.id] = []
            for number, passage in enumerate(cut_into_passages(record.text, limit)):
                cited = citations(passage)
                report.written["passages that cite an article"] += bool(cited)
                passages[record.id].append(f"{record.id}#{number}")
                metadata = {"parent_id": record.id, "cited": cited}
                writer.add_passage(passages[record.id][-1], passage, title=record.guide, metadata=metadata)
            if query := _query_of(record, len(guides_of_topic[record.topic])):
                queries[record.guide, query].append(record)
            else:
                report.left_out["topics that are the guide's title"] += 1
        copies = near_copies([text for guide, text in queries if guide not in dev], [text for guide, text in queries if guide in dev])
        for (guide, text), answers in queries.items():
            if guide not in dev and text in copies:
                report.left_out["training queries that are near-duplicates of one in dev"] += 1
                continue
            split = "dev" if guide in dev else "train"
            cited = list(dict.fromkeys(citation for record in answers for citation in citations(record.text)))
            report.written["queries with citations"] += bool(cited)
            report.written["citations of queries"] += len(cited)
            report.written["queries with the guide's title"] += text != answers[0].topic
            query_id = f"q-{answers[0].id}"
            writer.add_query(query_id, text, {"group": guide, "cited": cited})
            for record in answers:
                writer.add_judgement(split, query_id, record.id, 1)
            if split == "train":
                positives = [passage for record in answers for passage in passages[record.id]][:MOST_POSITIVES]
                writer.add_pair("train", text, positives, query_id=query_id, meta={"type": "easylaw", "guide": guide})


def _read(rows: Iterable[tuple[int, dict[str, Any]]], source: Path, report: SourceReport) -> list[_Record]:
    records: dict[str, _Record] = {}
    texts: set[str] = set()
    for number, row in rows:
        report.read["records"] += 1
        try:
            record_id, guide, topic, text = (field_of(row, name) for name in ("id", "title", "topic", "text"))
            record = _Record(record_id, clean_line(guide), clean_line(topic), clean_guide(text, clean_line(topic)))
            if record.id in records:
                raise DataError(f"the id {record.id!r} was used before; the first is kept.")
            if not record.text:
                raise DataError(f"nothing is left of the text of {record.id!r} once it is clean.")
        except DataError as error:
            report.add_problem(f"{source}, line {number}", error.problem)
            continue
        if record.text in texts:
            report.left_out["records with the text of another"] += 1
            continue
        texts.add(record.text)
        records[record.id] = record
    return list(records.values())


def _query_of(record: _Record, guides: int) -> str:
    letters = len(record.topic.replace(" ", ""))
    if record.topic == record.guide:
        return ""
    if guides > 1 or letters <= _SHORT_TOPIC_LETTERS or _GENERIC_TOPIC.fullmatch(record.topic):
        return f"{record.guide} {record.topic}"
    return record.topic


def _drawn(guides: set[str], share: float, seed: int) -> set[str]:
    by_hash = sorted(guides, key=lambda guide: hashlib.sha256(f"{seed}\n{guide}".encode()).digest())
    return set(by_hash[: round(len(by_hash) * share)])
