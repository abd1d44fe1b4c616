"""What is sent: one clause for each query form, and the checks that a node would make later and in worse words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from opensearch_ko.indexes import DENSE_FIELD, HIGHEST_SEISMIC_ID, SPARSE_FIELD
from retrieval_ko.errors import UsageError

SHOWN_FIELDS = ["title", "text"]
HEAVIEST_WEIGHT = 64.0
"""A rank_features query takes weights in (0, 64]."""
MOST_TOKENS = 1024
"""indices.query.bool.max_clause_count."""
MOST_HITS = 10_000
"""index.max_result_window."""
MOST_PARTS = 5
"""Queries inside one hybrid."""

Clause = dict[str, Any]


def bm25(terms: Sequence[str], size: int = 10) -> dict[str, Any]:
    """Return the search body for content terms; a repeated term counts as often as it is repeated."""
    return {"size": size, "query": bm25_clause(terms), "_source": SHOWN_FIELDS}


def neural_sparse(query_text: str, model_id: str, size: int = 10) -> dict[str, Any]:
    """Return the search body that lets the deployed model read the query."""
    return {"size": size, "query": neural_sparse_clause(query_text, model_id), "_source": SHOWN_FIELDS}


def query_tokens(weights: Mapping[str, float], size: int = 10) -> dict[str, Any]:
    """Return the search body for a query that was encoded on the client.

    Raises:
        ValueError: a weight is not in (0, 64], or there are more than 1,024 tokens.
    """
    return {"size": size, "query": query_tokens_clause(weights), "_source": SHOWN_FIELDS}


def bm25_clause(terms: Sequence[str]) -> Clause:
    """Return the clause for content terms that the client cut."""
    return {"match": {"morphemes": {"query": " ".join(terms)}}} if terms else {"match_none": {}}


def analyzed_clause(text: str, field: str) -> Clause:
    """Return the clause for a text that the node's own analyzer of `field` cuts."""
    return {"match": {field: {"query": text}}}


def neural_sparse_clause(query_text: str, model_id: str) -> Clause:
    """Return the clause that lets the deployed model read the query.

    The model is always named: without one OpenSearch falls back on an English tokenizer and finds next to nothing.
    """
    return {"neural_sparse": {SPARSE_FIELD: {"query_text": query_text, "model_id": model_id}}}


def query_tokens_clause(weights: Mapping[str, float]) -> Clause:
    """Return the clause for weights by token.

    Raises:
        ValueError: a weight is not in (0, 64], or there are more than 1,024 tokens.
    """
    check_weights(weights)
    return {"neural_sparse": {SPARSE_FIELD: {"query_tokens": dict(weights)}}} if weights else {"match_none": {}}


def check_weights(weights: Mapping[Any, float]) -> None:
    """Refuse query weights that a node would refuse.

    Raises:
        ValueError: a weight is not in (0, 64], or there are more than 1,024 tokens.
    """
    bad = {token: weight for token, weight in weights.items() if not 0 < weight <= HEAVIEST_WEIGHT}
    if bad:
        raise ValueError(f"rank_features takes query weights in (0, {HEAVIEST_WEIGHT:g}]; not so: {bad}")
    if len(weights) > MOST_TOKENS:
        raise ValueError(f"A query may have {MOST_TOKENS} tokens; this one has {len(weights)}.")


def seismic_clause(
    asked: Mapping[int, float] | tuple[str, str], *, k: int, top_n: int, heap_factor: float, within: Clause | None = None
) -> Clause:
    """Return the clause for a `sparse_vector` field, which SEISMIC searches.

    Args:
        asked: weights by token id, or (query text, id of the model that reads it).
        k: how many passages SEISMIC looks for; at least as many as are asked for.
        top_n: only so many of the query's heaviest tokens are searched by.
        heap_factor: above 1 more clusters are looked into: better and slower.
        within: a filter, applied while searching.

    Raises:
        ValueError: a weight is not in (0, 64] or an id above 32,767, which 3.3 to 3.8 confuse with others.
    """
    method: dict[str, Any] = {"k": k, "top_n": top_n, "heap_factor": heap_factor}
    if within:
        method["filter"] = within
    if isinstance(asked, tuple):
        text, model_id = asked
        return {"neural_sparse": {SPARSE_FIELD: {"query_text": text, "model_id": model_id, "method_parameters": method}}}
    if not asked:
        return {"match_none": {}}
    check_weights(asked)
    beyond = sorted(token for token in asked if not 0 <= token <= HIGHEST_SEISMIC_ID)
    if beyond:
        raise ValueError(f"A sparse_vector field takes token ids up to {HIGHEST_SEISMIC_ID:,}; not so: {beyond[:5]}")
    tokens = {str(token): weight for token, weight in asked.items()}
    return {"neural_sparse": {SPARSE_FIELD: {"query_tokens": tokens, "method_parameters": method}}}


def neural_clause(query_text: str, model_id: str, k: int, within: Clause | None = None) -> Clause:
    """Return the clause that lets the deployed dense model read the query and asks the HNSW graph for the `k` nearest."""
    asked: dict[str, Any] = {"query_text": query_text, "model_id": model_id, "k": k}
    return {"neural": {DENSE_FIELD: asked | ({"filter": within} if within else {})}}


def knn_clause(vector: Sequence[float], k: int, within: Clause | None = None) -> Clause:
    """Return the clause that asks the HNSW graph for the `k` passages nearest to a vector of the client's."""
    asked: dict[str, Any] = {"vector": list(vector), "k": k}
    return {"knn": {DENSE_FIELD: asked | ({"filter": within} if within else {})}}


def exact_clause(vector: Sequence[float], space_type: str, within: Clause | None = None) -> Clause:
    """Return the clause that compares the vector with every passage that has one: the truth that HNSW comes near to."""
    stored: list[Clause] = [{"exists": {"field": DENSE_FIELD}}, *([within] if within else [])]
    return {
        "script_score": {
            "query": {"bool": {"filter": stored}},
            "script": {
                "lang": "knn",
                "source": "knn_score",
                "params": {"field": DENSE_FIELD, "query_value": list(vector), "space_type": space_type},
            },
        }
    }


def hybrid_clause(parts: Sequence[Clause], depth: int, within: Clause | None = None) -> Clause:
    """Return the clause that asks several ways at once; a search pipeline makes one ranking of them.

    Args:
        parts: 2 to 5 clauses.
        depth: how many candidates of each part are fused, per shard.
        within: a filter of all parts.

    Raises:
        UsageError: too many parts.
    """
    if not 2 <= len(parts) <= MOST_PARTS:
        raise UsageError(f"A hybrid query has 2 to {MOST_PARTS} parts, not {len(parts)}.")
    hybrid: dict[str, Any] = {"queries": list(parts), "pagination_depth": depth}
    return {"hybrid": hybrid | ({"filter": within} if within else {})}


def within_filter(clause: Clause, within: Clause | None) -> Clause:
    """Return `clause` restricted to what the filter lets through; scores stay those of `clause`.

    `should`, not `must`: the two-phase processor rewrites no other place of a bool query.
    """
    if within is None:
        return clause
    return {"bool": {"should": [clause], "filter": [within], "minimum_should_match": 1}}
