"""What a passage costs on disk: by field, and as a whole with and without the embeddings in `_source`.

OpenSearch reports only whole indexes, so each field is written into an index of its own for a moment.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

from opensearch_ko.cluster import Cluster
from opensearch_ko.errors import ClusterError
from opensearch_ko.indexes import DENSE_FIELD, SPARSE_FIELD, seismic_name

SEISMIC_PREFIX = "seismic:"
"""Before a field of the companion index, in `Mode.fields`."""
STORED_FIELDS = frozenset({"fdt", "fdx", "fdm"})
"""Lucene files of stored fields: `_source`, and the copy of the request that OpenSearch keeps for recovery."""
PATIENCE_SECONDS = 600.0
SETTLING_SECONDS = 60.0


def field_bytes(cluster: Cluster, index: str, field: str) -> float:
    """Return the bytes a document that one field takes in one merged segment, `_source` left out.

    What every index needs beside (ids, sequence numbers: some 20 bytes a document) is in it. The temporary index is deleted again, also
    after an error.

    Args:
        cluster: where.
        index: the index that holds the collection.
        field: of its mapping; `passage.cjk` is one of a field's several readings, `seismic:sparse` one of the companion index.
    """
    if field.startswith(SEISMIC_PREFIX):
        index, field = seismic_name(index), field.removeprefix(SEISMIC_PREFIX)
    name, _, reading = field.partition(".")
    mapped = dict(_mapping(cluster, index)["properties"][name])
    if reading:
        mapped["fields"] = {reading: mapped["fields"][reading]}
    elif "fields" in mapped:
        del mapped["fields"]
    mappings = {"dynamic": False, "_source": {"enabled": False}, "properties": {name: mapped}}
    with _copy(cluster, index, mappings, {"_source": [name]}) as copy:
        return stored_bytes(cluster, copy, without=STORED_FIELDS)


def source_bytes(cluster: Cluster, index: str) -> dict[str, Any]:
    """Return the bytes a document of the whole index, merged: {"with_embeddings", "without_embeddings", "excluded", "vectors_derived"}.

    `with_embeddings` is the index as it stands. `without_embeddings` is a copy whose `_source` leaves out sparse weights and vectors
    (updates and reindexing then need the encoder again). `vectors_derived`: OpenSearch 3 keeps vectors out of `_source` by itself and
    reads them from the index when asked (index.knn.derived_source.enabled), so that dense pays nothing there while sparse does.
    """
    mappings = _mapping(cluster, index)
    excluded = [field for field in (SPARSE_FIELD, DENSE_FIELD) if field in mappings["properties"]]
    body = {
        "dynamic": False,
        "_source": {"excludes": excluded, "recovery_source_enabled": False},  # or a whole copy would be kept a while
        "properties": mappings["properties"],
    }
    with _copy(cluster, index, body, {}) as copy:
        without = stored_bytes(cluster, copy)
    derived = cluster.request("GET", f"/{index}/_settings", params={"include_defaults": "true", "flat_settings": "true"})
    [settings] = derived.values()
    both = settings.get("defaults", {}) | settings["settings"]
    return {
        "with_embeddings": round(stored_bytes(cluster, index), 1),
        "without_embeddings": round(without, 1),
        "excluded": excluded,
        "vectors_derived": DENSE_FIELD in excluded and str(both.get("index.knn.derived_source.enabled", "false")) == "true",
    }


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


@contextmanager
def _copy(cluster: Cluster, index: str, mappings: dict[str, Any], source: dict[str, Any]) -> Iterator[str]:
    """Copy `index` under other mappings into a temporary index of one segment, which is deleted at the end."""
    copy = f"{index}-size-{secrets.token_hex(4)}"
    try:
        cluster.request("PUT", f"/{copy}", {"settings": _settings(cluster, index), "mappings": mappings})
        answer = _reindexed(cluster, {"source": {"index": index, "size": 500, **source}, "dest": {"index": copy}})
        if answer["failures"]:
            raise ClusterError(f"{cluster.url}: {index} could not be copied to measure its size: {answer['failures'][0]}")
        merge(cluster, copy)
        yield copy
    finally:
        if cluster.find(f"/{copy}") is not None:
            cluster.request("DELETE", f"/{copy}")


def _reindexed(cluster: Cluster, body: dict[str, Any]) -> dict[str, Any]:
    """Return the answer of `_reindex`, asked for now and then: one request of many minutes is one that a network cuts.

    Whatever goes wrong, the task is ended: it would make the index that it fills anew once that is deleted.
    """
    task = cluster.request("POST", "/_reindex", body, params={"refresh": "true", "wait_for_completion": "false"})["task"]
    deadline = time.monotonic() + PATIENCE_SECONDS
    try:
        while not (found := cluster.request("GET", f"/_tasks/{task}"))["completed"]:
            if time.monotonic() > deadline:
                raise ClusterError(
                    f"{cluster.url}: an index was not copied within {PATIENCE_SECONDS:.0f} s.", "Leave bytes out: --no-sizes"
                )
            time.sleep(0.2)
    except BaseException:
        with suppress(ClusterError):  # what went wrong first is what a person must hear
            cluster.request("POST", f"/_tasks/{task}/_cancel", params={"wait_for_completion": "true"})
        raise
    if "error" in found:
        raise ClusterError(f"{cluster.url}: an index could not be copied to measure its size: {found['error'].get('reason')}")
    response: dict[str, Any] = found["response"]
    return response


def _settings(cluster: Cluster, index: str) -> dict[str, Any]:
    [own] = cluster.request("GET", f"/{index}/_settings").values()
    held = own["settings"]["index"]
    kept = {name: held[name] for name in ("knn", "sparse", "analysis") if name in held}
    return {"index": {"number_of_shards": 1, "number_of_replicas": 0, "refresh_interval": "-1", **kept}}


def _mapping(cluster: Cluster, index: str) -> dict[str, Any]:
    [found] = cluster.request("GET", f"/{index}/_mapping").values()
    mappings: dict[str, Any] = found["mappings"]
    return mappings


def stored_bytes(cluster: Cluster, index: str, without: frozenset[str] = frozenset()) -> float:
    """Return the bytes a document of an index's primaries, Lucene's files of some kinds left out."""
    stats = cluster.request("GET", f"/{index}/_stats/segments,docs", params={"include_segment_file_sizes": "true"})["_all"]["primaries"]
    sizes = [file["size_in_bytes"] for kind, file in stats["segments"]["file_sizes"].items() if kind not in without]
    return float(sum(sizes)) / max(int(stats["docs"]["count"]), 1)
