"""Several systems on one split: the same queries, the same depth, one table, and a p-value against BM25."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from retrieval_ko.bm25 import Bm25Index, Ranking
from retrieval_ko.collection import Collection, parents_of
from retrieval_ko.evaluation.metrics import Scores, score
from retrieval_ko.evaluation.significance import paired_p_value
from retrieval_ko.records import Query, SynonymPair
from retrieval_ko.text import content_terms

BASELINE = "bm25-kiwi"
INFORMED_BASELINE = f"{BASELINE}+synonyms"
"""BM25 that reads the collection's synonym pairs, as the encoder did."""
DEPTH = 100
"""Passages that every system may return for a query."""


@dataclass(frozen=True)
class SystemResult:
    """One system's rankings of a split and their scores."""

    system: str
    scores: Scores
    facts: dict[str, float] = field(default_factory=dict)
    """What is known besides: doc_dims, query_dims, flops."""


def queries_of(collection: Collection, split: str) -> dict[str, str]:
    """Return the text of each query of a split that has a relevant passage.

    Raises:
        DataError: the collection has no such split.
    """
    return {query: collection.queries[query].text for query in collection.relevant(split)}


def judge(system: str, rankings: Mapping[str, Ranking], collection: Collection, split: str, **facts: float) -> SystemResult:
    """Score a system's rankings of passages on a split, as the collection wants to be judged.

    Passages that a query names in `metadata.excluded` (the case that it was taken from) do not count. Where judgements name parents,
    a parent stands where its best passage stands.
    """
    parents = parents_of(collection.passages.values()) if collection.judged == "parent" else {}
    judged = {query: _as_judged(ranking, collection.queries[query], parents) for query, ranking in rankings.items()}
    return SystemResult(system, score(judged, collection.judgements[split]), facts)


def _as_judged(ranking: Ranking, query: Query, parents: Mapping[str, str]) -> Ranking:
    excluded = query.metadata.get("excluded", ())
    best: dict[str, float] = {}
    for passage, passage_score in ranking:
        if passage not in excluded:
            best.setdefault(parents.get(passage, passage), passage_score)
    return list(best.items())


def bm25_baselines(collection: Collection, split: str) -> list[SystemResult]:
    """Return BM25 on Kiwi morphemes, and, where the collection has synonym pairs, BM25 that is given them too.

    An encoder that learnt from synonym pairs must be compared with a BM25 that has the same dictionary.
    """
    index = Bm25Index(collection.passages.values())
    queries = queries_of(collection, split)
    results = [judge(BASELINE, {query: index.rank(text, DEPTH) for query, text in queries.items()}, collection, split)]
    if collection.synonyms:
        dictionary = english_to_korean(collection.synonyms)
        expanded = {query: index.rank(f"{text} {' '.join(translations(text, dictionary))}", DEPTH) for query, text in queries.items()}
        results.append(judge(INFORMED_BASELINE, expanded, collection, split))
    return results


def english_to_korean(pairs: list[SynonymPair]) -> dict[tuple[str, ...], list[str]]:
    """Return the dictionary side of synonym pairs: the English term's words, lower case → its Korean terms."""
    dictionary: dict[tuple[str, ...], list[str]] = {}
    for pair in pairs:
        dictionary.setdefault(tuple(content_terms(pair.en)), []).append(pair.ko)
    dictionary.pop((), None)
    return dictionary


def translations(query: str, dictionary: Mapping[tuple[str, ...], list[str]]) -> list[str]:
    """Return the Korean terms of all English terms in a query."""
    terms = content_terms(query)
    longest = max(map(len, dictionary), default=0)
    spans = (tuple(terms[start : start + length]) for length in range(1, longest + 1) for start in range(len(terms) - length + 1))
    return [korean for span in spans for korean in dictionary.get(span, [])]


def as_json(collection: Collection, split: str, results: list[SystemResult]) -> dict[str, Any]:
    """Return the table that other programs read: {"collection", "split", "systems": [{"system", "ndcg@10", …, "p_value"?}]}.

    `p_value` is that of the nDCG@10 difference to BM25, `p_value_synonyms` to the BM25 that reads the synonym pairs (paired
    randomisation tests).
    """
    by_query = {result.system: result.scores.by_query["ndcg@10"] for result in results}
    systems = []
    for result in results:
        row: dict[str, Any] = {"system": result.system, **{name: round(value, 4) for name, value in result.scores.mean.items()}}
        row |= {name: round(value, 2) for name, value in result.facts.items()}
        for name, baseline in (("p_value", BASELINE), ("p_value_synonyms", INFORMED_BASELINE)):
            if baseline in by_query and result.system not in (BASELINE, baseline):
                row[name] = round(paired_p_value(by_query[result.system], by_query[baseline]), 5)
        systems.append(row)
    queries = len(next(iter(results)).scores.by_query["ndcg@10"]) if results else 0
    return {"collection": collection.name, "split": split, "queries": queries, "passages": len(collection.passages), "systems": systems}
