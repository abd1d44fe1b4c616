"""Every document of an index, read in one snapshot."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from opensearch_ko.cluster import Cluster
from opensearch_ko.errors import ClusterError

_PAGE = 1000
_KEPT = "5m"


def documents(cluster: Cluster, index: str, fields: Sequence[str]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield (id, `_source` cut to `fields`) of every document as the index was when the reading began.

    Raises:
        ClusterError: there is no such index, or a shard failed on the way.
    """
    body = {"size": _PAGE, "sort": ["_doc"], "_source": list(fields)}
    answer = cluster.request("POST", f"/{index}/_search", body, params={"scroll": _KEPT}, timeout_seconds=300)
    try:
        while hits := answer["hits"]["hits"]:
            if answer["_shards"]["failed"]:
                raise ClusterError(f"{cluster.url}: reading {index} failed on {answer['_shards']['failed']} shards.", "Run it again.")
            for hit in hits:
                yield hit["_id"], hit.get("_source", {})
            answer = cluster.request("POST", "/_search/scroll", {"scroll": _KEPT, "scroll_id": answer["_scroll_id"]}, timeout_seconds=300)
    finally:
        cluster.request("DELETE", "/_search/scroll", {"scroll_id": answer["_scroll_id"]})
