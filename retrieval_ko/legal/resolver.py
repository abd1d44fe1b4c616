"""Citations to articles: what a text cites, looked up in the laws that are there, or a reason why not.

Statute text is today's, a case cites the wording of its day. What is known to have been another wording (구 …, a 부칙, a law wholly
revised or an article inserted after the decision) is refused with that reason and never guessed.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from enum import StrEnum
from typing import NamedTuple

from retrieval_ko.legal.citations import Mention, Reader
from retrieval_ko.legal.issues import Issue, aligned, reference_points
from retrieval_ko.legal.law_names import name_key
from retrieval_ko.legal.numbering import article_order
from retrieval_ko.legal.passages import article_id
from retrieval_ko.legal.precedents import Precedent
from retrieval_ko.legal.structure import Law

ABBREVIATIONS = {"헌법": "대한민국헌법", "민소법": "민사소송법", "형소법": "형사소송법"}
"""Short names that can stand for one law only."""

IN_FORCE_WITHIN_YEARS = 1
"""A law is dated by its promulgation; nearly every one is in force a year later. In between courts still cite the wording before it."""

RENUMBERED = {"상법": ("제740조", "제895조", "2007-08-03")}
"""Parts numbered anew by a revision that was not one of the whole law: name, first and last article, date. 상법: part 5, 해상."""


class Reason(StrEnum):
    """Why a citation has no article."""

    NO_LAW = "no law named before"
    SUPPLEMENTARY = "supplementary provision (부칙)"
    ANNEX = "annex (별표, 별지)"
    OLD = "old law (구 …, or the wording before an amendment)"
    UNKNOWN_LAW = "law not known"
    SEVERAL_LAWS = "name is of several laws"
    UNDATED = "date of the decision not known"
    REVISED = "law enacted or wholly revised after the decision, or in the year before"
    INSERTED = "article inserted or renumbered after the decision, or in the year before"
    NO_ARTICLE = "no such article (deleted or never was)"


class Citation(NamedTuple):
    """One article cited, with its id or the reason why there is none.

    Args:
        law: as it is written; `같은 법` stays that, and a law that is carried on is written where it was named.
        article: `제750조`; empty for an annex, and for a 부칙 of which no 조 is named.
        paragraphs: 항.
        items: 호.
        span: where the article stands in the text; the articles of a range share one span.
        article_id: `LAW_001706_제750조`; empty where `reason` says why.
    """

    law: str
    article: str
    paragraphs: tuple[int, ...]
    items: tuple[str, ...]
    span: tuple[int, int]
    article_id: str
    reason: Reason | None


class LawEntry(NamedTuple):
    """What the resolver keeps of a law.

    Args:
        articles: in the order in which they are counted.
        inserted: ISO date since when an article stands under its number, where the source tells.
    """

    kind: str
    law_id: str
    name: str
    level: str
    effective_date: str
    enacted: str
    articles: dict[str, None]
    inserted: dict[str, str]

    @classmethod
    def of(cls, law: Law) -> LawEntry:
        """Keep the numbers and dates of a law."""
        numbers = sorted((sys.intern(article.number) for article in law.articles), key=article_order)
        inserted = {sys.intern(article.number): article.inserted for article in law.articles if article.inserted}
        if law.name in RENUMBERED:
            first, last, date = RENUMBERED[law.name]
            within = (number for number in numbers if article_order(first) <= article_order(number) <= article_order(last))
            inserted.update((number, max(date, inserted.get(number, ""))) for number in within)
        return cls(law.kind, law.law_id, law.name, law.level, law.effective_date, law.enacted, dict.fromkeys(numbers), inserted)

    @property
    def precedence(self) -> tuple[bool, str]:
        """Of several laws of one name a statute comes before a rule, and the one in force last before those that it replaced."""
        return self.kind == "law", self.effective_date


class Resolver:
    """Looks citations up in laws.

    Args:
        laws: read once, one at a time; only names, ids, dates and article numbers are kept (about 30 MB for 4,820 statutes).
    """

    def __init__(self, laws: Iterable[Law]) -> None:
        self._laws: dict[str, list[LawEntry]] = {}
        for law in laws:
            self._laws.setdefault(name_key(law.name), []).append(LawEntry.of(law))
        for entries in self._laws.values():
            entries.sort(key=lambda entry: entry.precedence, reverse=True)

    def learn_dates(self, laws: Iterable[Law]) -> int:
        """Take over since when articles stand under their numbers, from another source of the same laws; return how many were learnt.

        law.go.kr's JSON says so ([본조신설 2012. 2. 10.]), legalize-kr's Markdown does not.
        """
        entries = {(entry.kind, entry.law_id): entry for found in self._laws.values() for entry in found}
        learnt = 0
        for law in laws:
            entry = entries.get((law.kind, law.law_id))
            for number, date in LawEntry.of(law).inserted.items() if entry else ():
                if entry and number in entry.articles and date > entry.inserted.get(number, ""):
                    entry.inserted[number] = date
                    learnt += 1
        return learnt

    def __len__(self) -> int:
        return sum(map(len, self._laws.values()))

    def resolve(self, text: str, decided: str) -> list[Citation]:
        """Return what a text cites, in order.

        Args:
            text: a 참조조문, or prose.
            decided: the day whose wording the text cites, ISO; empty where it is not known: then nothing is resolved.
        """
        return self._resolve(Reader(self._is_name), text, decided)

    def of_issues(self, precedent: Precedent) -> list[tuple[Issue, list[Citation]]]:
        """Return a case's issues with the articles that its 참조조문 gives to each, every article once.

        The whole 참조조문 is read in order, since a part may name no law (`가. 형법 제20조 / 나. 제136조`). Spans count in the text of
        the part in which the citation stands.
        """
        issues = aligned(precedent)
        reader = Reader(self._is_name)
        parts = [(numbers, self._resolve(reader, text, precedent.decided)) for numbers, text in reference_points(precedent.statutes)]
        only = len(issues) == 1
        return [
            (issue, _once(citation for numbers, found in parts if only or issue.number in numbers for citation in found))
            for issue in issues
        ]

    def _resolve(self, reader: Reader, text: str, decided: str) -> list[Citation]:
        return [citation for mention in reader.read(text) for citation in self._looked_up(mention, decided)]

    def _is_name(self, key: str) -> bool:
        return key in self._laws or key in ABBREVIATIONS

    def _looked_up(self, mention: Mention, decided: str) -> list[Citation]:
        reason, entry = self._law_of(mention, decided)
        numbers = [mention.article]
        if mention.until:
            numbers = _between(entry, mention) if entry else [mention.article, mention.until]
        return [self._citation(mention, number, entry, reason, decided) for number in numbers]

    def _law_of(self, mention: Mention, decided: str) -> tuple[Reason | None, LawEntry | None]:
        law = mention.law
        if not law.key:
            return Reason.NO_LAW, None
        if mention.supplementary:
            return Reason.SUPPLEMENTARY, None
        if mention.annex:
            return Reason.ANNEX, None
        if law.old:
            return Reason.OLD, None
        entries = self._laws.get(ABBREVIATIONS.get(law.key, law.key), [])
        if not entries:
            return Reason.UNKNOWN_LAW, None
        if len(entries) > 1 and entries[0].precedence == entries[1].precedence:
            return Reason.SEVERAL_LAWS, None
        if not decided:
            return Reason.UNDATED, None
        if not _in_force(entries[0].enacted, decided):
            return Reason.REVISED, entries[0]
        return None, entries[0]

    def _citation(self, mention: Mention, number: str, entry: LawEntry | None, reason: Reason | None, decided: str) -> Citation:
        found = ""
        if entry and reason is None:
            if number not in entry.articles:
                reason = Reason.NO_ARTICLE
            elif not _in_force(entry.inserted.get(number, ""), decided):
                reason = Reason.INSERTED
            else:
                found = article_id(entry.kind, entry.law_id, number)
        single = not mention.until
        paragraphs, items = (mention.paragraphs, mention.items) if single else ((), ())
        return Citation(mention.law.written, number, paragraphs, items, mention.span, found, reason)


def _in_force(date: str, decided: str) -> bool:
    """Tell whether what was promulgated on `date` was surely in force when the case was decided."""
    return not date or f"{int(date[:4]) + IN_FORCE_WITHIN_YEARS}{date[4:]}" <= decided


def _between(entry: LawEntry, mention: Mention) -> list[str]:
    """Return the articles of a range that the law has, its two ends in any case."""
    first, last = article_order(mention.article), article_order(mention.until)
    within = [number for number in entry.articles if first < article_order(number) < last]
    return list(dict.fromkeys([mention.article, *within, mention.until]))


def _once(citations: Iterable[Citation]) -> list[Citation]:
    seen: set[object] = set()
    kept = []
    for citation in citations:
        identity = citation.article_id or (citation.law, citation.article, citation.reason)
        if identity not in seen:
            seen.add(identity)
            kept.append(citation)
    return kept
