"""One benchmark: every mode answers the same queries on the same merged index, first for quality, then against the clock."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from opensearch_ko.benchmark.sizes import bytes_per_document, merge
from opensearch_ko.cluster import Cluster
from opensearch_ko.errors import ClusterError
from opensearch_ko.indexes import missing_index, read_meta
from opensearch_ko.preflight import probe
from opensearch_ko.queries import bm25, neural_sparse
from retrieval_ko.bm25 import Ranking
from retrieval_ko.collection import Collection
from retrieval_ko.evaluation.comparison import DEPTH, SystemResult, judge, queries_of
from retrieval_ko.text import content_terms

MODES = ("bm25", "sparse")
ROUNDS = 3
"""How often each query is asked against the clock; the round for quality before it warms the caches of the operating system."""


@dataclass(frozen=True)
class Timing:
    """Milliseconds of one query: reading it on this machine, and waiting for the cluster."""

    encode_ms: float
    service_ms: float


@dataclass(frozen=True)
class ModeResult:
    """What one mode showed."""

    quality: SystemResult
    timings: list[Timing]
    bytes_per_document: float

    def as_json(self) -> dict[str, Any]:
        """Return the row that other programs read. Quality first, then time, then size."""
        service = [timing.service_ms for timing in self.timings]
        total_seconds = sum(timing.encode_ms + timing.service_ms for timing in self.timings) / 1000
        return {
            "mode": self.quality.system,
            **{name: round(value, 4) for name, value in self.quality.scores.mean.items()},
            "service_ms": {f"p{share}": round(float(np.percentile(service, share)), 2) for share in (50, 90, 99)},
            "encode_ms": round(float(np.median([timing.encode_ms for timing in self.timings])), 2),
            "qps": round(len(service) / total_seconds, 1),
            "bytes_per_document": round(self.bytes_per_document, 1),
        }


def run_benchmark(
    cluster: Cluster,
    index: str,
    collection: Collection,
    split: str,
    modes: Sequence[str] = MODES,
    on_progress: Callable[[int, int], None] = lambda done, total: None,
) -> tuple[dict[str, Any], list[ModeResult]]:
    """Return the conditions and each mode's result.

    One client asks one query after the other; service time is from sending to the whole answer, the network included. The
    request cache is off. Queries are encoded where the mode does it: bm25 by Kiwi on this machine (`encode_ms`), sparse by the
    deployed model within the service time.

    Raises:
        ClusterError: there is no such index.
        DataError: the collection has no such split.
    """
    queries = queries_of(collection, split)
    meta = read_meta(cluster, index)
    if meta is None:
        raise missing_index(cluster, index)
    merge(cluster, index)
    steps, done = len(modes) * len(queries) * (1 + ROUNDS), 0
    results = []
    for mode in modes:
        rankings: dict[str, Ranking] = {}
        timings: list[Timing] = []
        for asked in range(1 + ROUNDS):
            for query, text in queries.items():
                ranking, timing = _ask(cluster, index, mode, text, meta.query_model_id)
                if asked:
                    timings.append(timing)
                else:
                    rankings[query] = ranking
                done += 1
                on_progress(done, steps)
        quality = judge(mode, rankings, collection, split)
        results.append(ModeResult(quality, timings, bytes_per_document(cluster, index, mode)))
    return _conditions(cluster, index, collection, split, len(queries)), results


def _ask(cluster: Cluster, index: str, mode: str, text: str, model_id: str) -> tuple[Ranking, Timing]:
    begin = time.perf_counter()
    body = bm25(content_terms(text), DEPTH) if mode == "bm25" else neural_sparse(text, model_id, DEPTH)
    sent = time.perf_counter()
    answer = cluster.request("POST", f"/{index}/_search", body | {"_source": False}, params={"request_cache": "false"}, timeout_seconds=60)
    end = time.perf_counter()
    hits = [(hit["_id"], float(hit["_score"])) for hit in answer["hits"]["hits"]]
    if answer.get("timed_out") or answer["_shards"]["failed"]:
        raise ClusterError(f"{cluster.url}: the search in {index} was not complete ({answer['_shards']}).")
    return sorted(hits, key=lambda hit: (-hit[1], hit[0])), Timing((sent - begin) * 1000, (end - sent) * 1000)


def _conditions(cluster: Cluster, index: str, collection: Collection, split: str, queries: int) -> dict[str, Any]:
    facts = probe(cluster)
    [settings] = cluster.request("GET", f"/{index}/_settings").values()
    segments = cluster.request("GET", f"/{index}/_stats/segments")["_all"]["primaries"]["segments"]["count"]
    return {
        "opensearch": facts.version,
        "nodes": len(facts.nodes),
        "client_cores": os.cpu_count(),
        "index": index,
        "passages": len(collection.passages),
        "shards": int(settings["settings"]["index"]["number_of_shards"]),
        "replicas": int(settings["settings"]["index"]["number_of_replicas"]),
        "segments": segments,
        "request_cache": False,
        "collection": collection.name,
        "split": split,
        "queries": queries,
        "rounds": ROUNDS,
        "size": DEPTH,
        "clients": 1,
    }
