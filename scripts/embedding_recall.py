"""Fill a kNN index with the vectors of `lex-dpr embed` and measure what its HNSW graph finds of an exact search, and how fast.

python scripts/embedding_recall.py --passages embeddings/passages.npz --queries embeddings/queries.npz --cluster http://127.0.0.1:9200

The index has the shape that every dense field of this project has (Lucene's engine), and is deleted again. Exact search runs in this
process, one query at a time, as the cluster is asked; the cluster's latency is what the client waits, HTTP included.
"""

from __future__ import annotations

import argparse
import json
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dense_ko.embedding import approximate_search, read_embeddings, recall_between
from dense_ko.retrieval import DenseIndex
from opensearch_ko.cluster import Cluster, connect
from opensearch_ko.index_meta import DenseReference, IndexMeta, ModelReference
from opensearch_ko.indexes import DENSE_FIELD, IndexPlan
from opensearch_ko.ingest.bulk import BulkSender
from opensearch_ko.ingest.documents import Action, Chunk
from opensearch_ko.queries.bodies import knn_clause
from retrieval_ko.bm25 import Ranking
from retrieval_ko.errors import DataError
from retrieval_ko.terminal import exit_on_error, notes, print_json, progress_bar

DEPTHS = (10, 100)
VECTORS_A_REQUEST = 250
"""Some 2 MB of JSON at 384 dimensions."""
WARM_UP = 20
"""Queries that are asked before those that are timed."""
MERGE_SECONDS = 600

Vectors = NDArray[np.float32]
Timed = tuple[list[Ranking], list[float]]
"""Each query's ranking, and the milliseconds it took."""


def main() -> None:
    """Measure and print."""
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--passages", type=Path, required=True, help="NAME.npz, or NAME of two .npy")
    arguments.add_argument("--queries", type=Path, required=True)
    arguments.add_argument("--cluster", help="address or profile; else the running embedded node")
    arguments.add_argument("--most-queries", type=int, default=500)
    arguments.add_argument("--ef-search", type=int, nargs="*", default=[], help="also with more candidates than k, such as 200 500")
    arguments.add_argument("--segments", type=int, help="merge the index to so many; by default as the cluster left it")
    arguments.add_argument("--faiss", action="store_true", help="also FAISS in this process, where it is installed")
    options = arguments.parse_args()
    with exit_on_error():
        ids, passages = read_embeddings(options.passages)
        _, queries = read_embeddings(options.queries)
        check_shapes(passages, queries)
        queries = queries[: options.most_queries]
        notes.print(f"{len(ids):,} passages of {passages.shape[1]} dimensions, {len(queries):,} queries")
        index = DenseIndex(ids.tolist(), passages)
        exact = timed(queries, lambda query, k: next(index.rankings(query[None], k)), max(DEPTHS))
        report: dict[str, Any] = {"passages": len(ids), "dimensions": passages.shape[1], "queries": len(queries)}
        report["exact"] = latency(exact[1])
        report |= on_cluster(connect(options.cluster), ids.tolist(), passages, queries, exact[0], options.ef_search, options.segments)
        if options.faiss:
            found = [approximate_search(ids, passages, queries, k) for k in DEPTHS]
            report["faiss"] = {f"recall@{k}": recall(exact[0], rankings, k) for k, rankings in zip(DEPTHS, found, strict=True)}
        print_json(report)


def check_shapes(passages: Vectors, queries: Vectors) -> None:
    """Make sure that both sides come from one model, and can be compared by the inner product that the index is made with."""
    if passages.shape[1] != queries.shape[1]:
        raise DataError(f"Passages have {passages.shape[1]} dimensions, queries {queries.shape[1]}.", "Embed both with the same model.")
    for name, vectors in (("passage", passages), ("query", queries)):
        lengths = np.linalg.norm(vectors, axis=1)
        if np.abs(lengths - 1).max() > 1e-3:
            raise DataError(
                f"A {name} vector has the length {lengths[np.abs(lengths - 1).argmax()]:.3f}, not 1.", "Embed with lex-dpr embed."
            )


def on_cluster(
    cluster: Cluster, ids: list[str], passages: Vectors, queries: Vectors, exact: list[Ranking], more: list[int], segments: int | None
) -> dict[str, Any]:
    """Fill an index, ask it, delete it; return size, time of filling, recall and latency."""
    index = f"embedding-recall-{uuid.uuid4().hex[:8]}"
    field = dense_field(passages.shape[1])
    body = {"settings": {"index": {"knn": True, "number_of_shards": 1, "number_of_replicas": 0}}}
    cluster.request("PUT", f"/{index}", body | {"mappings": {"dynamic": False, "properties": {DENSE_FIELD: field}}})
    try:
        begun = time.perf_counter()
        fill(cluster, index, ids, passages)
        seconds = time.perf_counter() - begun
        if segments:
            path = f"/{index}/_forcemerge"
            cluster.request("POST", path, params={"max_num_segments": str(segments)}, timeout_seconds=MERGE_SECONDS)
            cluster.request("POST", f"/{index}/_refresh")
        primaries = cluster.request("GET", f"/{index}/_stats/segments,store")["_all"]["primaries"]
        rows = []
        for ef in [None, *more]:
            row: dict[str, Any] = {"ef_search": ef or "k"}
            for k in DEPTHS:
                found = timed(queries, lambda query, k, ef=ef: ask(cluster, index, query, k, ef), k)
                row[f"recall@{k}"] = recall(exact, found[0], k)
                row[f"latency@{k}"] = latency(found[1])
            rows.append(row)
        facts = {
            "fill_seconds": round(seconds, 1),
            "segments": primaries["segments"]["count"],
            "bytes": primaries["store"]["size_in_bytes"],
        }
        return {"hnsw": {**field["method"], **facts, "searches": rows}}
    finally:
        cluster.request("DELETE", f"/{index}")


def dense_field(dimensions: int) -> dict[str, Any]:
    """Return the mapping of a dense field as every index of this project has it."""
    names = {"model_id": "", "name": "embedding-recall", "version": "0", "fingerprint": ""}
    dense = DenseReference(**names, dimension=dimensions, space_type="innerproduct")  # of vectors of length 1: the cosine
    plan = IndexPlan("embedding-recall", IndexMeta(encoder=ModelReference(**names), dense=dense))
    return dict(plan.body()["mappings"]["properties"][DENSE_FIELD])


def fill(cluster: Cluster, index: str, ids: list[str], passages: Vectors) -> None:
    """Write every vector under its id, and refresh."""
    sender = BulkSender(cluster, on_step=notes.print)
    with progress_bar("vectors") as bar:
        task = bar.add_task("filling", total=len(ids))
        for chunk in chunks(index, ids, passages):
            if refused := sender.send(chunk).refused:
                first = next(iter(refused.values()))
                raise DataError(f"{cluster.url} refused the vector of {first['_id']!r}: {first['reason']}")
            bar.update(task, advance=len(chunk.actions))
    cluster.request("POST", f"/{index}/_refresh")


def chunks(index: str, ids: list[str], passages: Vectors) -> Iterator[Chunk]:
    """Yield requests of a few hundred vectors."""
    for start in range(0, len(ids), VECTORS_A_REQUEST):
        actions = []
        for place in range(start, min(start + VECTORS_A_REQUEST, len(ids))):
            head = json.dumps({"index": {"_index": index, "_id": ids[place]}}, ensure_ascii=False)
            actions.append(Action(place, ids[place], index, f"{head}\n{json.dumps({DENSE_FIELD: passages[place].tolist()})}\n".encode()))
        yield Chunk(actions)


def ask(cluster: Cluster, index: str, query: Vectors, k: int, ef_search: int | None) -> Ranking:
    """Return what the HNSW graph finds."""
    clause = knn_clause(query.tolist(), k)
    if ef_search:
        clause["knn"][DENSE_FIELD]["method_parameters"] = {"ef_search": max(ef_search, k)}
    answer = cluster.request("POST", f"/{index}/_search", {"query": clause, "size": k, "_source": False})
    return [(hit["_id"], hit["_score"]) for hit in answer["hits"]["hits"]]


def timed(queries: Vectors, search: Callable[[Vectors, int], Ranking], k: int) -> Timed:
    """Return rankings and milliseconds, some queries asked beforehand."""
    for query in queries[:WARM_UP]:
        search(query, k)
    rankings, milliseconds = [], []
    for query in queries:
        begun = time.perf_counter()
        rankings.append(search(query, k))
        milliseconds.append((time.perf_counter() - begun) * 1000)
    return rankings, milliseconds


def recall(exact: list[Ranking], found: list[Ranking], k: int) -> float:
    """Return recall to four digits."""
    return round(recall_between(exact, found, k), 4)


def latency(milliseconds: list[float]) -> dict[str, float]:
    """Return median and 95th percentile, in milliseconds."""
    return {"p50_ms": round(float(np.percentile(milliseconds, 50)), 2), "p95_ms": round(float(np.percentile(milliseconds, 95)), 2)}


if __name__ == "__main__":
    main()
