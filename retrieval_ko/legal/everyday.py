"""Plain-language law to articles: each sentence of easylaw.go.kr that ends in a reference, paired with the articles it refers to.

    "사업자는 … 불공정거래행위를 해서는 안 됩니다(「독점규제 및 공정거래에 관한 법률」 제23조제1항)."
    → query "사업자는 … 불공정거래행위를 해서는 안 됩니다", positive LAW_001591_제23조

A sentence that says in everyday words what an article says in its own is what a search of law has to bridge.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Container, Iterable, Iterator

from retrieval_ko.legal.resolver import Resolver
from retrieval_ko.legal.structure import Article, Law
from retrieval_ko.records import Passage, TrainingPair
from retrieval_ko.sources.passages import sentences

WRITTEN = "2021-12-31"
"""The texts are of 2021: an article inserted or a law revised later is not the one they refer to."""

MOST_ARTICLES = 5
"""A sentence that refers to more is a list, and says nothing of each."""

_SHORTEST, _LONGEST = 15, 300
_REFERENCE = re.compile(r"\s?[(（]([^()（）]{0,300}「[^()（）]{0,300}조[^()（）]{0,300})[)）]")
_BULLET = re.compile(r"^(?:[※√·ㆍ•\-*]\s?|\d{1,2}[.)]\s|[가-하]\.\s|[①-⑳]\s?)+")


def laws_of_articles(passages: Iterable[Passage]) -> list[Law]:
    """Return the laws whose articles a collection holds (`sparse-ko data legal`), without their text."""
    articles: dict[tuple[str, str, str], dict[str, None]] = defaultdict(dict)
    for passage in passages:
        facts = passage.metadata
        if facts.get("article") and facts.get("law_name"):
            articles[str(facts.get("type", "law")), str(facts["parent_id"]), str(facts["law_name"])][str(facts["article"])] = None
    return [
        Law(kind=kind, law_id=law_id, name=name, level="", effective_date="", articles=tuple(Article(number, "") for number in numbers))
        for (kind, law_id, name), numbers in articles.items()
    ]


def everyday_pairs(
    passages: Iterable[Passage], resolver: Resolver, articles: Container[str], counts: Counter[str]
) -> Iterator[TrainingPair]:
    """Yield a pair for each sentence that refers to articles, every sentence once.

    Args:
        passages: of the easylaw collection.
        resolver: knows the laws.
        articles: ids of the articles that may be positives.
        counts: is filled: what became of the sentences that refer to a law.
    """
    seen: set[str] = set()
    for passage in passages:
        for line in passage.text.splitlines():
            for sentence in sentences(line):
                references = _REFERENCE.findall(sentence)
                if not references:
                    continue
                text = _BULLET.sub("", _REFERENCE.sub("", sentence)).strip(" .,")
                found = [citation.article_id for reference in references for citation in resolver.resolve(reference, WRITTEN)]
                cited = list(dict.fromkeys(article for article in found if article in articles))
                key = "".join(text.split())
                if not cited:
                    counts["no article that is there"] += 1
                elif len(cited) > MOST_ARTICLES:
                    counts[f"more than {MOST_ARTICLES} articles"] += 1
                elif not _SHORTEST <= len(text) <= _LONGEST:
                    counts["too short or too long"] += 1
                elif key in seen:
                    counts["the same sentence again"] += 1
                else:
                    seen.add(key)
                    counts["paired"] += 1
                    yield TrainingPair(query_text=text, positive_passages=cited, meta={"type": "easylaw", "passage": passage.id})
