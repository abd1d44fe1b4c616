"""Pairs as LexDPR trains on them: an issue, the passages of the articles it cites, and for issues that cite none the case's own holding."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from retrieval_ko.legal.issue_queries import IssueQuery
from retrieval_ko.legal.passage_files import PassageRow
from retrieval_ko.legal.passages import article_id
from retrieval_ko.legal.structure import Article, Law
from retrieval_ko.records import TrainingPair


@dataclass(slots=True)
class LexdprPairs:
    """Pairs in the order of the issues, and the passages made from cases (prec_fallback_passages.jsonl)."""

    pairs: list[TrainingPair] = field(default_factory=list)
    fallback: list[PassageRow] = field(default_factory=list)
    truncated: int = 0


def laws_of(passages: Iterable[PassageRow]) -> list[Law]:
    """Return the laws that passages are parts of, with their articles' numbers and no text: enough to resolve citations.

    Passage files hold no dates, so nothing can be said of laws that were revised after a decision.
    """
    articles: dict[tuple[str, str, str], dict[str, None]] = defaultdict(dict)
    for passage in passages:
        if passage.article:
            articles[passage.type, passage.parent_id, passage.law_name][passage.article] = None
    return [
        Law(kind=kind, law_id=law_id, name=name, level="", effective_date="", articles=tuple(Article(number, "") for number in numbers))
        for (kind, law_id, name), numbers in articles.items()
    ]


def lexdpr_pairs(issues: Iterable[IssueQuery], passages: Sequence[PassageRow], *, max_positives: int = 5) -> LexdprPairs:
    """Pair each issue with the passages of the articles it cites, at most `max_positives`, in the order of the citation.

    An issue that cites no article that is there, but has a holding, is paired with that holding, as a passage `PREC_{serial}_{n}`.
    Where laws are cut into 항 or 호, the passages of an article are all its parts.
    """
    parts_of: dict[str, list[PassageRow]] = defaultdict(list)
    for passage in passages:
        parts_of[article_id(passage.type, passage.parent_id, passage.article)].append(passage)
    made = LexdprPairs()
    for issue in issues:
        cited = [part for article in issue.articles for part in parts_of.get(article, ())]
        if cited:
            made.truncated += len(cited) > max_positives
            meta = {"type": cited[0].type, "law_name": cited[0].law_name, "article": cited[0].article}
            made.pairs.append(_pair(issue, [part.id for part in cited[:max_positives]], meta))
        elif issue.holding:
            passage = _holding(issue)
            made.fallback.append(passage)
            made.pairs.append(_pair(issue, [passage.id], {"type": passage.type, "law_name": passage.law_name, "article": ""}))
    return made


def _pair(issue: IssueQuery, positives: list[str], meta: dict[str, str]) -> TrainingPair:
    return TrainingPair(query_id=issue.id, query_text=issue.text, positive_passages=positives, meta=meta)


def _holding(issue: IssueQuery) -> PassageRow:
    return PassageRow(
        id=f"{issue.case.passage_id}_{issue.number}",
        parent_id=issue.case.serial,
        type="prec",
        text=f"{issue.case.heading}\n{issue.holding}",
        law_name=issue.case.case_name,
    )


def pair_row(pair: TrainingPair) -> dict[str, object]:
    """Return a line of a pair file with LexDPR's four fields, all of them always."""
    return {
        "query_text": pair.query_text,
        "positive_passages": pair.positive_passages,
        "hard_negatives": pair.hard_negatives,
        "meta": pair.meta,
    }
