"""Statutes and administrative rules as law.go.kr's API gives them in JSON.

A statute: {"법령": {"기본정보": {…}, "조문": {"조문단위": [{"조문여부": "조문", "조문번호": "3", "조문가지번호": "2", "조문제목": …,
"조문내용": …, "항": [{"항번호": "①", "항내용": …, "호": [{"호번호": "1.", "호내용": …, "목": […]}]}]}]}}}.
`조문여부` "전문" is a chapter heading, not an article. An administrative rule: {"AdmRulService": {"행정규칙기본정보": {…},
"조문내용": [one line an article, or a chapter heading]}}, or with `조문형식여부` "N" one string of all
articles. Where there is only one, law.go.kr gives the object itself, not a list.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from retrieval_ko.compressed import Readable
from retrieval_ko.errors import DataError
from retrieval_ko.legal import inline
from retrieval_ko.legal.document import Document
from retrieval_ko.legal.drafting import ArticleDraft
from retrieval_ko.legal.identity import annex_label, first_supplement, iso_date, required
from retrieval_ko.legal.numbering import ARTICLE_NUMBER, article_number, number_of
from retrieval_ko.legal.structure import Annex, Article, Law

_ARTICLE_HEAD = re.compile(rf"^\s*{ARTICLE_NUMBER}\s*")
_ITEM_HEAD = re.compile(r"^\s*(\d+(?:의\d+)*)\s*\.\s*")
_SUBITEM_HEAD = re.compile(r"^\s*([가-힣](?:의\d+)*)\s*\.\s*")


def is_statute(document: Document) -> bool:
    """Tell whether a document is a statute of law.go.kr."""
    return "법령" in document.fields


def is_admin_rule(document: Document) -> bool:
    """Tell whether a document is an administrative rule of law.go.kr."""
    return "AdmRulService" in document.fields


def read_statute(document: Document) -> Law:
    """Read a statute.

    Raises:
        DataError: a field that a law cannot do without is missing or holds something else.
    """
    path = document.path
    law = _object(path, document.fields, "법령")
    basics = _object(path, law, "기본정보")
    kind = basics.get("법종구분")
    units = _object(path, law, "조문") if law.get("조문") else {}
    return Law(
        kind="law",
        law_id=required(path, basics, "법령ID", is_id=True),
        name=required(path, basics, "법령명_한글"),
        level=str(kind.get("content", "")) if isinstance(kind, dict) else "",
        effective_date=iso_date(basics.get("시행일자")),
        articles=tuple(_article(path, unit) for unit in _objects(path, units, "조문단위") if unit.get("조문여부") == "조문"),
        annexes=_annexes(path, law),
        enacted=_enacted(path, law),
    )


def read_admin_rule(document: Document) -> Law:
    """Read an administrative rule; its id is the 행정규칙일련번호, by which law.go.kr names its files.

    Raises:
        DataError: a field that a rule cannot do without is missing or holds something else.
    """
    path = document.path
    rule = _object(path, document.fields, "AdmRulService")
    basics = _object(path, rule, "행정규칙기본정보")
    elements = _lines(path, rule.get("조문내용"), "조문내용")
    if basics.get("조문형식여부") == "N":
        elements = list(inline.cut(" ".join(elements)))
    return Law(
        kind="admin",
        law_id=required(path, basics, "행정규칙일련번호", is_id=True),
        name=required(path, basics, "행정규칙명"),
        level=str(basics.get("행정규칙종류", "")),
        effective_date=iso_date(basics.get("시행일자")),
        articles=inline.read_articles(elements),
        annexes=_annexes(path, rule),
        enacted=_enacted(path, rule),
    )


def _article(path: Readable, unit: dict[str, Any]) -> Article:
    number, branch = (str(unit.get(name) or "") for name in ("조문번호", "조문가지번호"))
    if not number.isdigit() or (branch and not branch.isdigit()):
        raise DataError(f"{path}: an article has the 조문번호 {number!r} and 조문가지번호 {branch!r}, which are no numbers.")
    draft = ArticleDraft(article_number(number, branch), " ".join(_lines(path, unit.get("조문제목"), "조문제목")))
    draft.more(_without(_ARTICLE_HEAD, _lines(path, unit.get("조문내용"), "조문내용")))
    for paragraph in _objects(path, unit, "항"):
        text = _lines(path, paragraph.get("항내용"), "항내용")
        mark = text[0].strip()[:1] if text else ""
        count = number_of(mark)
        if count:
            draft.paragraph(count, text[0].strip()[1:])
            draft.more(text[1:])
        else:
            draft.more(text)
        for item in _objects(path, paragraph, "호"):
            _add_item(path, draft, item)
    for remark in _lines(path, unit.get("조문참고자료"), "조문참고자료"):
        draft.remark(remark)
    return draft.finish()


def _add_item(path: Readable, draft: ArticleDraft, item: dict[str, Any]) -> None:
    text = _lines(path, item.get("호내용"), "호내용")
    number = _label(_ITEM_HEAD, text, item.get("호번호"))
    draft.item(number, "")
    draft.more(_without(_ITEM_HEAD, text))
    for subitem in _objects(path, item, "목"):
        text = _lines(path, subitem.get("목내용"), "목내용")
        draft.subitem(_label(_SUBITEM_HEAD, text, subitem.get("목번호")), "")
        draft.more(_without(_SUBITEM_HEAD, text))


def _label(head: re.Pattern[str], text: list[str], given: object) -> str:
    found = head.match(text[0]) if text else None
    return found[1] if found else str(given or "").strip().rstrip(".")


def _without(head: re.Pattern[str], lines: list[str]) -> list[str]:
    return [head.sub("", lines[0]), *lines[1:]] if lines else []


def _annexes(path: Readable, law: dict[str, Any]) -> tuple[Annex, ...]:
    holder = law.get("별표")
    units = _objects(path, holder, "별표단위") if isinstance(holder, dict) else []
    return tuple(
        Annex(annex_label(unit.get("별표구분"), unit.get("별표번호"), unit.get("별표가지번호")), str(unit.get("별표제목", "")))
        for unit in units
    )


def _enacted(path: Readable, law: dict[str, Any]) -> str:
    """Return the date of the first 부칙; statutes give 부칙단위, rules give lists of texts and dates."""
    holder = law.get("부칙")
    if not isinstance(holder, dict):
        return ""
    units = _objects(path, holder, "부칙단위") if "부칙단위" in holder else [holder]
    texts = [line for unit in units for line in _lines(path, unit.get("부칙내용"), "부칙내용")]
    dates = [iso_date(date) for unit in units for date in _lines(path, unit.get("부칙공포일자"), "부칙공포일자")]
    return first_supplement(texts) or min(filter(None, dates), default="")


def _object(path: Readable, holder: dict[str, Any], name: str) -> dict[str, Any]:
    value = holder.get(name)
    if not isinstance(value, dict):
        raise DataError(f"{path}: expected an object in {name}, found {type(value).__name__ if name in holder else 'nothing'}.")
    return value


def _objects(path: Readable, holder: dict[str, Any], name: str) -> list[dict[str, Any]]:
    value = holder.get(name)
    values = value if isinstance(value, list) else [] if value is None else [value]
    for entry in values:
        if not isinstance(entry, dict):
            raise DataError(f"{path}: expected objects in {name}, found {type(entry).__name__}.")
    return values


def _lines(path: Readable, value: object, name: str) -> list[str]:
    """Return the lines of a text; law.go.kr gives longer ones as lists of lists of lines."""
    return list(_walk(path, value, name)) if value is not None else []


def _walk(path: Readable, value: object, name: str) -> Iterator[str]:
    if isinstance(value, str):
        yield from value.splitlines()
    elif isinstance(value, list):
        for part in value:
            yield from _walk(path, part, name)
    else:
        raise DataError(f"{path}: expected text in {name}, found {type(value).__name__}.")
