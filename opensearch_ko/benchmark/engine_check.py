"""Does the engine rank as the stored weights say? Its first ten against scores that are worked out here, over the whole index."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from opensearch_ko.benchmark.brute_force import BestPassages, bm25_scores, dot_products
from opensearch_ko.benchmark.scan import documents
from opensearch_ko.cluster import Cluster
from retrieval_ko.bm25 import Ranking

PLACES = 10
TOLERANCE = 1e-4
"""Relative: Lucene multiplies and keeps scores in 32-bit floats, we in 64."""


def check_sparse(
    cluster: Cluster, index: str, field: str, weights: Mapping[str, Mapping[str, float]], rankings: Mapping[str, Ranking]
) -> dict[str, Any]:
    """Compare a mode over rank_features with Σ query weight × stored weight.

    Args:
        cluster: where.
        index: the index that was asked.
        field: of rank_features; `_source` must hold it.
        weights: query id → its weights by token.
        rankings: query id → what the engine answered.
    """
    best = _best(rankings)
    dot_products(((passage, source.get(field) or {}) for passage, source in documents(cluster, index, [field])), weights, best)
    return compare(rankings, best)


def check_bm25(cluster: Cluster, index: str, field: str, terms: Mapping[str, list[str]], rankings: Mapping[str, Ranking]) -> dict[str, Any]:
    """Compare BM25 over a field of terms joined by white space with Lucene's formula; only for an index of one shard without deletions."""
    best = _best(rankings)
    bm25_scores(((passage, str(source.get(field, "")).split()) for passage, source in documents(cluster, index, [field])), terms, best)
    return compare(rankings, best)


def compare(rankings: Mapping[str, Ranking], best: Mapping[str, BestPassages]) -> dict[str, Any]:
    """Return {"queries", "equal", "largest_difference", "unequal"}: how many rankings are those of brute force, and where the first is not.

    A ranking is equal where each of its first ten places has the score that brute force has there, and each passage the score that
    brute force gives it: passages of equal score may change places, nothing else. `largest_difference` is relative to the score.
    """
    equal, largest, unequal = 0, 0.0, []
    for query, ranking in rankings.items():
        first, truth = ranking[:PLACES], best[query].ranking
        pairs = [(passage, score, best[query].scores.get(passage, 0.0)) for passage, score in first]
        pairs += [(passage, score, expected) for (passage, score), (_, expected) in zip(first, truth, strict=False)]
        differences = [abs(score - expected) / max(abs(expected), abs(score), 1e-9) for _, score, expected in pairs]
        worst = max(differences, default=0.0)
        largest = max(largest, worst)
        if len(first) == len(truth) and worst <= TOLERANCE:
            equal += 1
        else:
            unequal.append({"query": query, "engine": first, "brute_force": truth})
    return {
        "queries": len(rankings),
        "equal": equal,
        "largest_difference": float(f"{largest:.2g}"),
        **({"unequal": unequal[:3]} if unequal else {}),
    }


def _best(rankings: Mapping[str, Ranking]) -> dict[str, BestPassages]:
    return {query: BestPassages(PLACES, frozenset(passage for passage, _ in ranking[:PLACES])) for query, ranking in rankings.items()}
