"""How many postings a query reads: Σ over its terms of the passages that hold the term. Machine-independent cost."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from opensearch_ko.benchmark.timing import percentiles
from opensearch_ko.cluster import Cluster
from opensearch_ko.errors import ClusterError

_TERMS_AT_ONCE = 200


def document_frequencies(cluster: Cluster, index: str, field: str, terms: Iterable[str]) -> dict[str, int]:
    """Return how many documents of `index` hold each term.

    rank_features know neither `exists` nor `term` queries, so a neural_sparse query of the one token counts its passages; a text field is
    asked with `term`.

    Args:
        cluster: where.
        index: the index.
        field: a field of rank_features or of text.
        terms: tokens as the index holds them.

    Raises:
        ClusterError: the field can't be asked so.
    """
    [mapping] = cluster.request("GET", f"/{index}/_mapping").values()
    features = mapping["mappings"]["properties"].get(field, {}).get("type") == "rank_features"
    wanted = sorted(set(terms))
    counted: dict[str, int] = {}
    for start in range(0, len(wanted), _TERMS_AT_ONCE):
        batch = wanted[start : start + _TERMS_AT_ONCE]
        lines: list[dict[str, Any]] = []
        for term in batch:
            query = {"neural_sparse": {field: {"query_tokens": {term: 1.0}}}} if features else {"term": {field: term}}
            lines += [{"index": index, "request_cache": False}, {"size": 0, "track_total_hits": True, "query": query}]
        body = "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines)
        answers = cluster.request("POST", "/_msearch", body, timeout_seconds=300)["responses"]
        for term, answer in zip(batch, answers, strict=True):
            if "error" in answer:
                reason = str(answer["error"].get("reason", answer["error"]))
                raise ClusterError(f"{cluster.url}: the passages with {term!r} in {field} of {index} can't be counted: {reason}")
            counted[term] = int(answer["hits"]["total"]["value"])
    return counted


def postings_per_query(cluster: Cluster, index: str, field: str, queries: Mapping[str, Iterable[str]]) -> dict[str, Any]:
    """Return {"mean", "p50", "p90" …, "terms"}: the postings behind the queries' terms, each term once, and how many terms a query has.

    It is what a search would read that skips nothing; Lucene skips passages that can't reach the first places, so it is an upper bound.

    Args:
        cluster: where.
        index: the index.
        field: a field of rank_features or of text.
        queries: query id → its terms as the index holds them.
    """
    frequencies = document_frequencies(cluster, index, field, (term for terms in queries.values() for term in terms))
    sums = [sum(frequencies[term] for term in set(terms)) for terms in queries.values()]
    terms = [len(set(terms)) for terms in queries.values()]
    return {"mean": round(float(np.mean(sums)), 1), **percentiles(sums), "terms": round(float(np.mean(terms)), 1)}


def analyzed(cluster: Cluster, index: str, field: str, text: str) -> list[str]:
    """Return the terms that the analyzer of a text field makes of a query."""
    answer = cluster.request("POST", f"/{index}/_analyze", {"field": field, "text": text})
    return [str(token["token"]) for token in answer["tokens"]]
