"""What a field costs on disk. OpenSearch reports only whole indexes, so each field is written into one of its own for a moment."""

from __future__ import annotations

import secrets
import time
from typing import Any

from opensearch_ko.cluster import Cluster
from opensearch_ko.errors import ClusterError

FIELDS = {"bm25": "morphemes", "sparse": "sparse"}
"""Search mode → the field that serves it."""
STORED_FIELDS = {"fdt", "fdx", "fdm"}
"""Lucene files that are left out: where `_source` is off, OpenSearch keeps a copy of the request in them for a while (for recovery)."""
PATIENCE_SECONDS = 600.0
SETTLING_SECONDS = 60.0


def bytes_per_document(cluster: Cluster, index: str, mode: str) -> float:
    """Return the bytes a document that the field of `mode` takes in one merged segment, `_source` left out.

    The temporary index is deleted again, also after an error.
    """
    field = FIELDS[mode]
    [mapping] = cluster.request("GET", f"/{index}/_mapping").values()
    fields: dict[str, Any] = mapping["mappings"]["properties"]
    probe = f"{index}-size-{mode}-{secrets.token_hex(4)}"
    settings: dict[str, Any] = {"number_of_shards": 1, "number_of_replicas": 0, "index.compound_format": False}
    [own] = cluster.request("GET", f"/{index}/_settings").values()
    if "analysis" in own["settings"]["index"]:
        settings["analysis"] = own["settings"]["index"]["analysis"]
    body = {"settings": settings, "mappings": {"dynamic": False, "_source": {"enabled": False}, "properties": {field: fields[field]}}}
    try:
        cluster.request("PUT", f"/{probe}", body)
        cluster.request(
            "POST",
            "/_reindex",
            {"source": {"index": index, "_source": [field]}, "dest": {"index": probe}},
            params={"refresh": "true"},
            timeout_seconds=PATIENCE_SECONDS,
        )
        merge(cluster, probe)
        stats = cluster.request("GET", f"/{probe}/_stats/segments,docs", params={"include_segment_file_sizes": "true"})["_all"]["primaries"]
        sizes = {kind: file["size_in_bytes"] for kind, file in stats["segments"]["file_sizes"].items() if kind not in STORED_FIELDS}
        return float(sum(sizes.values())) / max(int(stats["docs"]["count"]), 1)
    finally:
        if cluster.find(f"/{probe}") is not None:
            cluster.request("DELETE", f"/{probe}")


def merge(cluster: Cluster, index: str) -> None:
    """Merge each shard of an index into one segment and write it out, so that two measurements meet the same state.

    Raises:
        ClusterError: the segments that the merge replaced are still counted after a minute.
    """
    cluster.request("POST", f"/{index}/_forcemerge", params={"max_num_segments": "1", "flush": "true"}, timeout_seconds=PATIENCE_SECONDS)
    deadline = time.monotonic() + SETTLING_SECONDS
    while True:
        cluster.request("POST", f"/{index}/_refresh", timeout_seconds=PATIENCE_SECONDS)
        answer = cluster.request("GET", f"/{index}/_stats/segments")
        if answer["_all"]["primaries"]["segments"]["count"] <= answer["_shards"]["successful"]:
            return
        if time.monotonic() > deadline:
            raise ClusterError(f"{cluster.url}: the index {index} is still in several segments after its merge.", "Run the command again.")
        time.sleep(0.1)
