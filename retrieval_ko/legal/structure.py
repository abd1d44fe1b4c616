"""A law as its drafters built it: articles (조), paragraphs (항), items (호), sub-items (목)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from retrieval_ko.legal.numbering import circled


@dataclass(frozen=True, slots=True)
class Subitem:
    """A 목, e.g. `가.`; what is below it (1), 가)) is part of its text."""

    label: str
    text: str

    def lines(self) -> Iterator[str]:
        """Yield the sub-item as it is printed."""
        yield f"{self.label}. {self.text}"


@dataclass(frozen=True, slots=True)
class Item:
    """A 호, e.g. `1의2.`."""

    number: str
    text: str
    subitems: tuple[Subitem, ...] = ()

    def lines(self) -> Iterator[str]:
        """Yield the item and its sub-items as they are printed."""
        yield f"{self.number}. {self.text}".rstrip()
        for subitem in self.subitems:
            yield from subitem.lines()


@dataclass(frozen=True, slots=True)
class Paragraph:
    """A 항; `number` is None for the text of an article that counts no 항."""

    number: int | None
    text: str
    items: tuple[Item, ...] = ()

    @property
    def lead(self) -> str:
        """The paragraph without its items, as it is printed."""
        return self.text if self.number is None else f"{circled(self.number)} {self.text}".rstrip()

    def lines(self) -> Iterator[str]:
        """Yield the paragraph and its items as they are printed."""
        if self.lead:
            yield self.lead
        for item in self.items:
            yield from item.lines()


@dataclass(frozen=True, slots=True)
class Article:
    """A 조 and what is in force of it. Deleted 항, 호 and 목 are left out.

    Args:
        number: as it is cited, `제3조의2`.
        title: empty for old laws that give their articles none.
        deleted: nothing but the word 삭제 is left of it.
        inserted: ISO date since when this text stands under this number ([본조신설 …], […에서 이동 …]); empty where the source tells none.
    """

    number: str
    title: str
    paragraphs: tuple[Paragraph, ...] = ()
    deleted: bool = False
    inserted: str = ""

    @property
    def heading(self) -> str:
        """`제3조의2(벌칙)`."""
        return f"{self.number}({self.title})" if self.title else self.number

    @property
    def text(self) -> str:
        """Everything below the heading, one structural unit a line."""
        return "\n".join(line for paragraph in self.paragraphs for line in paragraph.lines())


@dataclass(frozen=True, slots=True)
class Annex:
    """A 별표 or 서식: only what it is called; its tables are never indexed."""

    label: str
    title: str


@dataclass(frozen=True, slots=True)
class Law:
    """A statute or an administrative rule without its supplementary provisions (부칙).

    Args:
        kind: `law` or `admin`, or what a further document type calls itself.
        law_id: 법령ID, or 행정규칙일련번호.
        level: 법률, 대통령령, 총리령, 고시 …
        effective_date: 시행일자, ISO; empty where the source has none.
        enacted: ISO date of the first 부칙: when the law was enacted, or last wholly revised; empty where the source has none.
    """

    kind: str
    law_id: str
    name: str
    level: str
    effective_date: str
    articles: tuple[Article, ...]
    annexes: tuple[Annex, ...] = ()
    enacted: str = ""
