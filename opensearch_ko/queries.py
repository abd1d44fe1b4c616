"""What is sent to search, and what comes back: BM25 over Kiwi's morphemes, or the encoder's weights."""

from __future__ import annotations

import re
import struct
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

from pydantic import BaseModel

from opensearch_ko.cluster import Cluster
from opensearch_ko.errors import ClusterError
from opensearch_ko.indexes import missing_index, read_meta
from opensearch_ko.models import predict_sparse
from retrieval_ko.records import Hit

Mode = Literal["bm25", "sparse"]
ContentTerms = Callable[[str], list[str]]

SEARCH_SECONDS = 60
"""A sparse search runs the model once more for the query."""
SHOWN_FIELDS = ["title", "text"]
HEAVIEST_WEIGHT = 64.0
"""A rank_features query takes weights in (0, 64]."""
MOST_TOKENS = 1024
"""indices.query.bool.max_clause_count."""

_BM25_CLAUSE = re.compile(r"^weight\(morphemes:(?P<term>.+) in \d+\)", re.DOTALL)


class SearchAnswer(BaseModel):
    """The hits of one query, best first."""

    mode: Mode
    took_ms: int
    """The server's own time."""
    hits: list[Hit]


def bm25(terms: Sequence[str], size: int = 10) -> dict[str, Any]:
    """Return the search body for content terms; a repeated term counts as often as it is repeated."""
    query: dict[str, Any] = {"match": {"morphemes": {"query": " ".join(terms)}}} if terms else {"match_none": {}}
    return {"size": size, "query": query, "_source": SHOWN_FIELDS}


def neural_sparse(query_text: str, model_id: str, size: int = 10) -> dict[str, Any]:
    """Return the search body that lets the deployed model read the query.

    The model is always named: without one OpenSearch falls back on an English tokenizer and finds next to nothing.
    """
    return {"size": size, "query": {"neural_sparse": {"sparse": {"query_text": query_text, "model_id": model_id}}}, "_source": SHOWN_FIELDS}


def query_tokens(weights: Mapping[str, float], size: int = 10) -> dict[str, Any]:
    """Return the search body for a query that was encoded on the client.

    Raises:
        ValueError: a weight is not in (0, 64], or there are more than 1,024 tokens.
    """
    bad = {token: weight for token, weight in weights.items() if not 0 < weight <= HEAVIEST_WEIGHT}
    if bad:
        raise ValueError(f"rank_features takes query weights in (0, {HEAVIEST_WEIGHT:g}]; not so: {bad}")
    if len(weights) > MOST_TOKENS:
        raise ValueError(f"A query may have {MOST_TOKENS} tokens; this one has {len(weights)}.")
    query: dict[str, Any] = {"neural_sparse": {"sparse": {"query_tokens": dict(weights)}}} if weights else {"match_none": {}}
    return {"size": size, "query": query, "_source": SHOWN_FIELDS}


def stored_weight(weight: float) -> float:
    """Return the weight that a rank_features field keeps: the float's bits cut to 9 of the mantissa (at most 0.4 % lost)."""
    bits: int = struct.unpack(">I", struct.pack(">f", weight))[0]
    kept: float = struct.unpack(">f", struct.pack(">I", bits >> 15 << 15))[0]
    return kept


def sparse_contributions(query_weights: Mapping[str, float], passage_weights: Mapping[str, float]) -> dict[str, float]:
    """Return what each shared token adds to the score, the heaviest first; they sum to the node's score."""
    shared = {token: weight * stored_weight(passage_weights[token]) for token, weight in query_weights.items() if token in passage_weights}
    return dict(sorted(shared.items(), key=lambda item: (-item[1], item[0])))


def bm25_contributions(explanation: Mapping[str, Any]) -> dict[str, float]:
    """Read from Lucene's own explanation of a score what each term added, the heaviest first."""
    found: dict[str, float] = {}

    def walk(node: Mapping[str, Any]) -> None:
        clause = _BM25_CLAUSE.match(str(node.get("description", "")))
        if clause:
            found[clause["term"]] = found.get(clause["term"], 0.0) + float(node["value"])
            return
        for part in node.get("details", ()):
            walk(part)

    walk(explanation)
    return dict(sorted(found.items(), key=lambda item: (-item[1], item[0])))


def search(
    cluster: Cluster,
    index: str,
    query: str,
    mode: Mode,
    *,
    content_terms: ContentTerms,
    size: int = 10,
    model_id: str | None = None,
    terms: bool = True,
) -> SearchAnswer:
    """Search an index of ours.

    Args:
        cluster: where.
        index: made by `sparse-ko deploy`.
        query: a question or keywords.
        mode: "bm25" (Kiwi's content terms) or "sparse" (the deployed model).
        content_terms: cuts a text into the terms that BM25 counts, as when the index was filled.
        size: how many hits.
        model_id: the model that reads the query; None: the one that the index was made with.
        terms: whether hits say which tokens matched; costs one more reading of the query in sparse mode.

    Raises:
        ClusterError: there is no such index, or the model is not running.
    """
    query_weights: dict[str, float] = {}
    if mode == "bm25":
        body = bm25(content_terms(query), size) | {"explain": terms}
    else:
        model = model_id or _model_of(cluster, index)
        body = neural_sparse(query, model, size)
        if terms:
            body["_source"] = [*SHOWN_FIELDS, "sparse"]
            query_weights = predict_sparse(cluster, model, [query])[0]
    try:
        answer = cluster.request("POST", f"/{index}/_search", body, timeout_seconds=SEARCH_SECONDS)
    except ClusterError as failure:
        raise missing_index(cluster, index) if failure.status == 404 else failure from failure
    hits = []
    for hit in answer["hits"]["hits"]:
        source = hit.get("_source", {})
        if mode == "bm25":
            matched = bm25_contributions(hit.get("_explanation", {}))
        else:
            matched = sparse_contributions(query_weights, source.get("sparse", {}))
        hits.append(Hit(id=hit["_id"], score=hit["_score"], title=source.get("title", ""), text=source.get("text", ""), terms=matched))
    return SearchAnswer(mode=mode, took_ms=int(answer["took"]), hits=hits)


def _model_of(cluster: Cluster, index: str) -> str:
    meta = read_meta(cluster, index)
    if meta is None:
        raise missing_index(cluster, index)
    return meta.query_model_id
