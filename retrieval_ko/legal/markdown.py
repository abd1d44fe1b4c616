r"""Statutes as legalize-kr keeps them: Markdown with YAML front matter.

## 제1장 총칙                     a chapter; `#` is 편, `###` 절, `####` 관
##### 제3조의2 (벌칙)              an article
**①** 누구든지 …                   a 항
  1\. …                          a 호, two blanks before it
    가\. …                        a 목, four
 1) …                            goes on with what stands above it
## 부칙                           the end: of the supplementary provisions only the first date is read
"""

from __future__ import annotations

import re

from retrieval_ko.errors import DataError
from retrieval_ko.legal.document import Document
from retrieval_ko.legal.drafting import ArticleDraft
from retrieval_ko.legal.identity import annex_label, first_supplement, iso_date, required
from retrieval_ko.legal.numbering import ARTICLE_NUMBER, CIRCLED_CLASS, number_of
from retrieval_ko.legal.structure import Annex, Article, Law

_ARTICLE = re.compile(rf"#####\s+({ARTICLE_NUMBER})\s*(?:\((.*)\))?\s*$")
_HEADING = re.compile(r"#{1,6}\s")
_PARAGRAPH = re.compile(rf"\*\*({CIRCLED_CLASS})\*\*\s*(.*)")
_ITEM = re.compile(r"\s{1,3}(\d+(?:의\d+)*)\\\.(?:\s+(.*))?$")
_SUBITEM = re.compile(r"\s{4,}([가-힣](?:의\d+)*)\\\.(?:\s+(.*))?$")
_ESCAPE = re.compile(r"\\([\\`*_{}\[\]()#+\-.!|<>~])|\*\*")
_SUPPLEMENT = "## 부칙"


def recognises(document: Document) -> bool:
    """Tell whether a document is a statute of legalize-kr."""
    return bool(document.body) and "법령ID" in document.fields and "제목" in document.fields


def read(document: Document) -> Law:
    """Read a statute.

    Raises:
        DataError: a field is missing, or the file ends before the supplementary provisions, which every statute has.
    """
    fields, path = document.fields, document.path
    lines = [line.rstrip() for line in document.body]
    if _SUPPLEMENT not in lines:
        raise DataError(f"{path}: ends without the supplementary provisions ('{_SUPPLEMENT}') that every statute has: the file is cut off.")
    end = lines.index(_SUPPLEMENT)
    attachments = fields.get("첨부파일")
    annexes = [entry for entry in attachments if isinstance(entry, dict)] if isinstance(attachments, list) else []
    return Law(
        kind="law",
        law_id=required(path, fields, "법령ID", is_id=True),
        name=required(path, fields, "제목"),
        level=str(fields.get("법령구분", "")),
        effective_date=iso_date(fields.get("시행일자")),
        articles=_articles(lines[:end]),
        annexes=tuple(
            Annex(annex_label(entry.get("별표구분"), entry.get("별표번호"), entry.get("별표가지번호")), str(entry.get("제목", "")))
            for entry in annexes
        ),
        enacted=first_supplement(lines[end + 1 :]),
    )


def _articles(lines: list[str]) -> tuple[Article, ...]:
    articles: list[Article] = []
    draft: ArticleDraft | None = None
    for line in lines:
        if _HEADING.match(line):
            if draft:
                articles.append(draft.finish())
            found = _ARTICLE.match(line)
            draft = ArticleDraft(found[1], _unescaped(found[2] or "")) if found else None
        elif draft and line.strip():
            _add(draft, line)
    if draft:
        articles.append(draft.finish())
    return tuple(articles)


def _add(draft: ArticleDraft, line: str) -> None:
    if found := _PARAGRAPH.match(line):
        draft.paragraph(number_of(found[1]) or 0, _unescaped(found[2]))
    elif found := _ITEM.match(line):
        draft.item(found[1], _unescaped(found[2] or ""))
    elif found := _SUBITEM.match(line):
        draft.subitem(found[1], _unescaped(found[2] or ""))
    else:
        draft.more([_unescaped(line)])


def _unescaped(text: str) -> str:
    return _ESCAPE.sub(lambda found: found[1] or "", text)
