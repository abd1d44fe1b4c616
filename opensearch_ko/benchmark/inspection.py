"""What is looked at beside quality and time: engine parity, approximation, postings, bytes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from opensearch_ko.benchmark.approximation import EXACT, PLACES, recall_of_exact
from opensearch_ko.benchmark.engine_check import PLACES as CHECKED_PLACES
from opensearch_ko.benchmark.engine_check import check_bm25, check_sparse
from opensearch_ko.benchmark.postings import analyzed, postings_per_query
from opensearch_ko.benchmark.sizes import SEISMIC_PREFIX, field_bytes, source_bytes, stored_bytes
from opensearch_ko.indexes import SPARSE_FIELD
from opensearch_ko.models import predict_sparse
from opensearch_ko.queries.modes import MODES, Context, Mode
from retrieval_ko.bm25 import Ranking

_QUERIES_AT_ONCE = 16


def query_weights(mode: str, context: Context, queries: Mapping[str, str]) -> dict[str, dict[str, float]]:
    """Return each query's weights as a mode over rank_features asks with them: read by the deployed model, or by this machine."""
    if mode == "sparse-tokens":
        assert context.query_weights is not None
        return {query: context.query_weights(text) for query, text in queries.items()}
    weights: list[dict[str, float]] = []
    texts = list(queries.values())
    for start in range(0, len(texts), _QUERIES_AT_ONCE):
        weights += predict_sparse(context.cluster, context.meta.query_model_id, texts[start : start + _QUERIES_AT_ONCE])
    return dict(zip(queries, weights, strict=True))


def check_engine(modes: Mapping[str, Mode], context: Context, queries: Mapping[str, str], conditions: Mapping[str, Any]) -> dict[str, Any]:
    """Return for each exact mode how its rankings compare with brute force; {"skipped": why} where they can't be.

    Modes of vectors are not worked out again: their exact form, a script over every vector, is in the node already.
    """
    shallow = replace(context, size=CHECKED_PLACES)
    checks: dict[str, Any] = {}
    for name, mode in modes.items():
        if name not in ("bm25", "sparse", "sparse-tokens"):
            continue
        encoded = {query: mode.encode(text, context) for query, text in queries.items()}
        rankings: dict[str, Ranking] = {query: mode.ask(asked, shallow).ranking for query, asked in encoded.items()}
        if name == "bm25":
            if conditions["shards"] != 1 or conditions["deleted_documents"]:
                checks[name] = {"skipped": "BM25's statistics are a shard's and count deleted passages: it needs one shard without any"}
                continue
            checks[name] = check_bm25(context.cluster, context.index, "morphemes", encoded, rankings)
        elif not _stores_weights(context):
            checks[name] = {"skipped": "_source does not hold the weights"}
        else:
            checks[name] = check_sparse(context.cluster, context.index, SPARSE_FIELD, query_weights(name, context, queries), rankings)
    return checks


def compare_with_exact(
    rankings: Mapping[str, Mapping[str, Ranking]], context: Context, queries: Mapping[str, str], depth: int
) -> list[dict[str, Any]]:
    """Return {"mode", "exact", "recall@10", "recall@100"} of each approximate mode; an exact one that was not measured is asked here.

    SEISMIC and HNSW search each segment by themselves, so the numbers are those of one merged segment.
    """
    rows = []
    deep = replace(context, size=depth)
    asked: dict[str, Mapping[str, Ranking]] = dict(rankings)
    for name in rankings:
        exact = EXACT.get(name)
        if exact is None:
            continue
        if exact not in asked:
            mode = MODES[exact]
            if mode.missing(context) is not None:
                continue
            asked[exact] = {query: mode.ask(mode.encode(text, deep), deep).ranking for query, text in queries.items()}
        shares = {f"recall@{places}": round(recall_of_exact(rankings[name], asked[exact], places), 4) for places in PLACES}
        rows.append({"mode": name, "exact": exact, **shares})
    return rows


def count_postings(modes: Mapping[str, Mode], context: Context, queries: Mapping[str, str]) -> dict[str, Any]:
    """Return the postings a query of each mode that reads all its terms' postings: BM25 and exact sparse search."""
    counted: dict[str, Any] = {}
    for name, mode in modes.items():
        terms: Mapping[str, Any]
        if name == "bm25":
            terms = {query: context.content_terms(text) for query, text in queries.items()}
        elif name.startswith("bm25-"):
            terms = {query: analyzed(context.cluster, context.index, mode.fields[0], text) for query, text in queries.items()}
        elif name in ("sparse", "sparse-tokens"):
            terms = query_weights(name, context, queries)
        else:
            continue
        counted[name] = postings_per_query(context.cluster, context.index, mode.fields[0], terms)
    return counted


def measure_sizes(modes: Mapping[str, Mode], context: Context, on_field: Callable[[int, int], None]) -> dict[str, Any]:
    """Return {"fields": bytes a document by field, "index": the whole with and without embeddings in `_source`, and the companion}."""
    fields = list(dict.fromkeys(field for mode in modes.values() for field in mode.fields))
    by_field = {}
    for done, field in enumerate(fields):
        on_field(done, len(fields) + 1)
        by_field[field] = round(field_bytes(context.cluster, context.index, field), 1)
    on_field(len(fields), len(fields) + 1)
    whole = source_bytes(context.cluster, context.index)
    if context.companion and any(field.startswith(SEISMIC_PREFIX) for field in fields):
        whole["companion"] = round(stored_bytes(context.cluster, context.companion), 1)
    on_field(len(fields) + 1, len(fields) + 1)
    return {"fields": by_field, "index": whole}


def _stores_weights(context: Context) -> bool:
    body = {"size": 1, "query": {"match_all": {}}, "_source": [SPARSE_FIELD]}
    hits = context.cluster.request("POST", f"/{context.index}/_search", body)["hits"]["hits"]
    return bool(hits and hits[0].get("_source", {}).get(SPARSE_FIELD))
