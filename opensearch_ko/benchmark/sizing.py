"""From what was measured on small collections to a cluster for a large one: a calculation, and called so."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

SHARD_BYTES = 30e9
"""OpenSearch's own advice for searching is 10 to 30 GB a shard, 50 at most."""
SHARDS_PER_HEAP_GIB = 25
"""OpenSearch's advice: at most so many shards for each GiB of heap."""


def sizing(growth: Mapping[str, Any], documents: float, *, ingest_clients: int = 1, replicas: int = 1) -> dict[str, Any]:
    """Return what the fitted lines say of a collection of `documents` passages: bytes, shards, p50 a shard, days of ingest.

    Args:
        growth: what `sparse-ko benchmark scale` measured.
        documents: how many passages.
        ingest_clients: data nodes that are filled at once, each as fast as the one that was measured.
        replicas: copies of each shard.

    Every shard searches its own part at the same time as the others, so a query costs the time of one shard's passages as long as
    there is a processor for each. A time that did not grow over the measured sizes is None: it would not stay so.
    """
    lines = growth["fits"]
    index_bytes = _at(lines["index_bytes"], documents)
    shards = max(1, math.ceil(index_bytes / SHARD_BYTES))
    a_shard = documents / shards
    return {
        "documents": int(documents),
        "index_bytes": round(index_bytes),
        "shards": shards,
        "documents_per_shard": round(a_shard),
        "bytes_with_replicas": round(index_bytes * (1 + replicas)),
        "heap_gib_for_shards": math.ceil(shards * (1 + replicas) / SHARDS_PER_HEAP_GIB),
        "service_p50_ms": {mode: _time_at(line, a_shard) for mode, line in lines["service_p50_ms"].items()},
        "postings_per_query": {mode: round(_at(line, documents)) for mode, line in lines["postings"].items()},
        "ingest_hours": round(_at(lines["ingest_seconds"], documents) / 3600 / ingest_clients, 1),
    }


def _time_at(line: Mapping[str, float], documents: float) -> float | None:
    return round(_at(line, documents), 1) if line["per_million"] > 0 else None


def _at(line: Mapping[str, float], documents: float) -> float:
    return max(0.0, line["base"] + line["per_million"] * documents / 1e6)
