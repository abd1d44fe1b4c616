"""What search and storage cost as a collection grows: measured at a few sizes, and a line through them."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import islice
from typing import Any

from opensearchpy.helpers import streaming_bulk

from opensearch_ko.benchmark.asking import against_the_clock, rank
from opensearch_ko.benchmark.conditions import client_conditions, cluster_conditions, load_average
from opensearch_ko.benchmark.doubts import growth_doubts
from opensearch_ko.benchmark.fit import fit_line
from opensearch_ko.benchmark.growth import StoredPassage, growing
from opensearch_ko.benchmark.inspection import count_postings
from opensearch_ko.benchmark.sizes import field_bytes, merge, stored_bytes
from opensearch_ko.benchmark.sizing import sizing
from opensearch_ko.benchmark.timing import timing_json
from opensearch_ko.cluster import Cluster
from opensearch_ko.errors import ClusterError
from opensearch_ko.indexes import PROPERTIES
from opensearch_ko.queries.modes import Context, Mode

SIZES = (10_000, 50_000, 200_000)
MEASURED_FIELDS = ("morphemes", "sparse")
PLANNED_DOCUMENTS = 100_000_000
_CHUNK = 500
_CHUNK_BYTES = 10 * 1024 * 1024


def measure_growth(
    context: Context,
    modes: Mapping[str, Mode],
    passages: Sequence[StoredPassage],
    queries: Mapping[str, str],
    *,
    sizes: Sequence[int] = SIZES,
    rounds: int = 3,
    fields: bool = True,
    on_progress: Callable[[str, int, int], None] = lambda phase, done, total: None,
    on_size: Callable[[dict[str, Any]], None] = lambda so_far: None,
) -> dict[str, Any]:
    """Return {"conditions", "sizes": [a row a size], "fits", "sizing"}.

    One temporary index grows from size to size; at each it is merged into one segment, asked once by every mode (the warm-up), and
    then against the clock, modes interleaved. It is deleted at the end, also after an error.

    Args:
        context: of the cluster; its index is replaced by the temporary one.
        modes: those of BM25 and of rank_features; no vectors, since halves of two are no vector of a passage.
        passages: the real ones.
        queries: by id.
        sizes: how many passages, ascending.
        rounds: how often each query is timed at each size.
        fields: whether the bytes of single fields are measured, which copies the index.
        on_progress: told what is done, how much of it and of how much.
        on_size: given what is measured so far.

    Raises:
        ClusterError: the node refused passages, or stopped answering.
    """
    cluster = context.cluster
    index = f"sparse-ko-scale-{secrets.token_hex(4)}"
    grown = replace(context, index=index, companion="")
    report: dict[str, Any] = {
        "state": "running",
        "conditions": {
            **cluster_conditions(cluster),
            **client_conditions(cluster),
            "shards": 1,
            "replicas": 0,
            "segments": 1,
            "real_passages": len(passages),
            "queries": len(queries),
            "rounds": rounds,
            "size": context.size,
            "clients": 1,
            "load_average_before": load_average(),
        },
        "sizes": [],
    }
    waiting = growing(passages, max(sizes))
    filled, seconds = 0, 0.0

    def told(phase: str) -> Callable[[int, int], None]:
        return lambda done, total: on_progress(phase, done, total)

    try:
        cluster.request("PUT", f"/{index}", _body())
        for size in sizes:
            added = size - filled
            took = _add(cluster, index, islice(waiting, added), added, told(f"fill to {size:,}"))
            filled, seconds = size, seconds + took
            row = {
                "passages": size,
                "synthetic": max(0, size - len(passages)),
                "docs_per_second": round(added / took, 1),
                "ingest_seconds": round(seconds, 2),
            }
            report["sizes"].append(row | _at_size(grown, modes, queries, rounds, told, size=size, fields=fields))
            on_size(report)
    finally:
        if cluster.find(f"/{index}") is not None:
            cluster.request("DELETE", f"/{index}")
    report["conditions"]["load_average_after"] = load_average()
    if len(sizes) > 1:
        report["fits"] = fits(report["sizes"])
        report["sizing"] = sizing(report, PLANNED_DOCUMENTS)
    report |= {"state": "finished", "doubts": growth_doubts(report)}
    on_size(report)
    return report


def _at_size(
    context: Context,
    modes: Mapping[str, Mode],
    queries: Mapping[str, str],
    rounds: int,
    told: Callable[[str], Callable[[int, int], None]],
    *,
    size: int,
    fields: bool,
) -> dict[str, Any]:
    cluster, index = context.cluster, context.index
    merge(cluster, index)
    rank(modes, context, queries, context.size, told(f"warm up {size:,}"))
    timings = against_the_clock(modes, context, queries, rounds, told(f"time {size:,}"))
    postings = count_postings(modes, context, queries)
    stats = cluster.request("GET", f"/{index}/_stats/docs")["_all"]["primaries"]
    if int(stats["docs"]["count"]) != size:
        raise ClusterError(f"{cluster.url}: {index} holds {stats['docs']['count']} documents instead of {size}.", "Run it again.")
    each = stored_bytes(cluster, index)  # not what the store holds: for a while that has the segments which the merge replaced as well
    return {
        "index_bytes": round(each * size),
        "bytes_per_document": round(each, 1),
        "field_bytes": {name: round(field_bytes(cluster, index, name), 1) for name in MEASURED_FIELDS} if fields else {},
        "modes": {name: timing_json(own) for name, own in timings.items()},
        "postings": {name: counted["mean"] for name, counted in postings.items()},
    }


def fits(rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return the lines: {"index_bytes", "ingest_seconds", "service_p50_ms": {mode: …}, "postings": {mode: …}}."""
    sizes = [int(row["passages"]) for row in rows]

    def line(values: list[float]) -> dict[str, Any]:
        return fit_line(sizes, values).as_json()

    return {
        "index_bytes": line([row["index_bytes"] for row in rows]),
        "ingest_seconds": line([row["ingest_seconds"] for row in rows]),
        "service_p50_ms": {mode: line([row["modes"][mode]["service_ms"]["p50"] for row in rows]) for mode in rows[0]["modes"]},
        "postings": {mode: line([row["postings"][mode] for row in rows]) for mode in rows[0]["postings"]},
    }


def _body() -> dict[str, Any]:
    index = {"number_of_shards": 1, "number_of_replicas": 0, "refresh_interval": "-1"}
    return {"settings": {"index": index}, "mappings": {"dynamic": False, "properties": PROPERTIES}}


def _add(cluster: Cluster, index: str, passages: Iterator[StoredPassage], total: int, on_progress: Callable[[int, int], None]) -> float:
    """Send passages; return the seconds it took, the making of synthetic ones left out."""
    making = 0.0

    def actions() -> Iterator[dict[str, Any]]:
        nonlocal making
        while True:
            begin = time.perf_counter()
            passage = next(passages, None)
            making += time.perf_counter() - begin
            if passage is None:
                return
            yield {"_op_type": "index", "_index": index, "_id": passage.id, "_source": passage.source()}

    begin = time.perf_counter()
    sending = {"chunk_size": _CHUNK, "max_chunk_bytes": _CHUNK_BYTES, "max_retries": 6, "request_timeout": 300}
    with cluster.explained(f"POST /_bulk into {index}"):
        for done, (accepted, result) in enumerate(streaming_bulk(cluster.client, actions(), raise_on_error=False, **sending), start=1):
            if not accepted:
                raise ClusterError(f"{cluster.url} refused a passage of {index}: {next(iter(result.values())).get('error')}")
            if done % _CHUNK == 0 or done == total:
                on_progress(done, total)
    cluster.request("POST", f"/{index}/_refresh", timeout_seconds=300)
    return time.perf_counter() - begin - making
