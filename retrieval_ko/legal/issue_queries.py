"""Issues of cases as queries: what each asks, the articles and cases it cites, and why some are left out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

from retrieval_ko.legal.cases import CaseIndex
from retrieval_ko.legal.precedents import Precedent
from retrieval_ko.legal.resolver import Citation, Resolver
from retrieval_ko.text import normalize

SHORTEST_ISSUE_CHARACTERS = 10
"""Below it an issue (처분의 적부) asks nothing that a search could answer."""


@dataclass(frozen=True, slots=True)
class IssueQuery:
    """One issue of a case.

    Args:
        id: `ISSUE_{판례일련번호}_{n}`; n is 0 where the case does not number its one issue.
        case: the case that it stands in.
        number: n.
        holding: 판결요지 of this issue; empty where the case has none for it.
        articles: ids of the articles it cites, as of today's law, in the order of the citation.
        cases: 판례일련번호 of the cases it cites; law.go.kr has some decisions twice, both are here.
        names_article: the issue's own words name one of `articles`, so that a search may match it letter by letter.
    """

    id: str
    text: str
    case: Precedent
    number: int
    holding: str
    articles: tuple[str, ...]
    cases: tuple[str, ...]
    names_article: bool


@dataclass(slots=True)
class IssueReport:
    """How many issues, citations and references there were, and what became of them, by reason."""

    issues: int = 0
    kept: int = 0
    dropped: Counter[str] = field(default_factory=Counter)
    citations: Counter[str] = field(default_factory=Counter)
    case_citations: Counter[str] = field(default_factory=Counter)


RESOLVED = "resolved"


def issue_queries(cases: Iterable[Precedent], resolver: Resolver, case_index: CaseIndex, report: IssueReport) -> list[IssueQuery]:
    """Return the issues of all cases, oldest first, without those that repeat an older issue word for word.

    Args:
        cases: in any order; those without a date are left out, since no split could place them.
        resolver: knows the laws in force.
        case_index: knows the cases that may be cited.
        report: counts what is left out, and every citation by what became of it.
    """
    asked: set[str] = set()
    found: list[IssueQuery] = []
    for case in sorted(cases, key=lambda case: (case.decided, case.serial)):
        for issue, citations in resolver.of_issues(case):
            report.issues += 1
            text = normalize(issue.issue_text)
            key = "".join(text.split())
            if not case.decided:
                report.dropped["the case has no date"] += 1
            elif len(key) < SHORTEST_ISSUE_CHARACTERS:
                report.dropped[f"shorter than {SHORTEST_ISSUE_CHARACTERS} characters"] += 1
            elif key in asked:
                report.dropped["an older case asks it word for word"] += 1
            else:
                asked.add(key)
                number = issue.number or 0
                for part in issue.unnumbered:
                    report.dropped[f"{part} of several issues, not numbered (the issue itself is kept)"] += 1
                articles = _articles(citations, report.citations)
                cited = _cases(issue.cases_text, case, case_index, report.case_citations)
                named = {citation.article_id for citation in resolver.resolve(text, case.decided)} if articles else set()
                found.append(
                    IssueQuery(
                        id=f"ISSUE_{case.serial}_{number}",
                        text=text,
                        case=case,
                        number=number,
                        holding=normalize(issue.holding_text),
                        articles=articles,
                        cases=cited,
                        names_article=bool(named & set(articles)),
                    )
                )
    report.kept = len(found)
    return found


def _articles(citations: Iterable[Citation], counts: Counter[str]) -> tuple[str, ...]:
    articles: dict[str, None] = {}
    for citation in citations:
        counts[RESOLVED if citation.article_id else str(citation.reason)] += 1
        if citation.article_id:
            articles[citation.article_id] = None
    return tuple(articles)


def _cases(text: str, case: Precedent, index: CaseIndex, counts: Counter[str]) -> tuple[str, ...]:
    cited: dict[str, None] = {}
    for found in index.resolve(text):
        counts[RESOLVED if found.serials else str(found.reason)] += 1
        cited.update((serial, None) for serial in found.serials if serial != case.serial)
    return tuple(cited)
