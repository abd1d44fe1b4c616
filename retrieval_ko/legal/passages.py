"""Articles as passages.

An article is `LAW_{law_id}_제3조의2` (`ADM_` for administrative rules). Smaller units add the number of the 항 and the 호:
`LAW_000086_제3조_2` is 항 2, `LAW_000086_제3조_2_1의2` its 호 1의2. 0 stands for what is not there: `…_제2조_0_1` is 호 1 of an article
that counts no 항, `…_제3조_3_0` is a 항 without 호. An article that is one unit keeps the article's id.
"""

from __future__ import annotations

from collections.abc import Iterator
from enum import StrEnum
from typing import NamedTuple

from retrieval_ko.legal.structure import Article, Law

ID_PREFIXES = {"law": "LAW", "admin": "ADM", "prec": "PREC"}
"""Other kinds are their own prefix, in capitals."""


class Unit(StrEnum):
    """What becomes a passage: the 조, each 항, or each 호 with the words that introduce it."""

    ARTICLE = "article"
    PARAGRAPH = "paragraph"
    ITEM = "item"


class LegalPassage(NamedTuple):
    """One passage of a law; the fields of a passage file, and the two parts of its text."""

    id: str
    law: Law
    article: str
    heading: str
    body: str

    @property
    def text(self) -> str:
        """`관광기본법 제3조(관광진흥계획의 수립)`, a line break, and the unit's text."""
        return f"{self.heading}\n{self.body}"

    def row(self) -> dict[str, str]:
        """Return a line of a passage file."""
        return {
            "id": self.id,
            "parent_id": self.law.law_id,
            "type": self.law.kind,
            "text": self.text,
            "law_name": self.law.name,
            "article": self.article,
        }


def article_id(kind: str, law_id: str, number: str) -> str:
    """Return `LAW_000086_제3조의2`, the id of an article."""
    return f"{ID_PREFIXES.get(kind, kind.upper())}_{law_id}_{number}"


def passages_of(law: Law, unit: Unit = Unit.ARTICLE) -> Iterator[LegalPassage]:
    """Yield a law's passages in its order. Units that the source numbers alike become one passage, so that ids are unique."""
    for article in law.articles:
        bodies: dict[str, str] = {}
        for suffix, body in _units(article, unit):
            bodies[suffix] = f"{bodies[suffix]}\n{body}" if suffix in bodies else body
        for suffix, body in bodies.items():
            heading = f"{law.name} {article.heading}"
            yield LegalPassage(f"{article_id(law.kind, law.law_id, article.number)}{suffix}", law, article.number, heading, body)


def _units(article: Article, unit: Unit) -> Iterator[tuple[str, str]]:
    units = [] if unit is Unit.ARTICLE else list(_paragraphs(article) if unit is Unit.PARAGRAPH else _items(article))
    if len(units) < 2:
        yield "", article.text
    else:
        yield from units


def _paragraphs(article: Article) -> Iterator[tuple[str, str]]:
    for paragraph in article.paragraphs:
        yield f"_{paragraph.number or 0}", "\n".join(paragraph.lines())


def _items(article: Article) -> Iterator[tuple[str, str]]:
    for paragraph in article.paragraphs:
        if not paragraph.items:
            yield f"_{paragraph.number or 0}_0", paragraph.lead
        for item in paragraph.items:
            yield f"_{paragraph.number or 0}_{item.number}", "\n".join([*filter(None, [paragraph.lead]), *item.lines()])
