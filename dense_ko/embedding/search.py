"""Search over embeddings in process: exact, approximate where FAISS is installed, and how far the second falls short of the first."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module
from typing import TYPE_CHECKING, Any

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from dense_ko.embedding.arrays import Ids, Vectors
from dense_ko.retrieval import DenseIndex
from retrieval_ko.errors import DataError, UsageError

if TYPE_CHECKING:
    from retrieval_ko.bm25 import Ranking


def exact_search(ids: Sequence[str] | Ids, passages: Vectors, queries: Vectors, k: int = 100) -> list[Ranking]:
    """Return the `k` best passages of each query by dot product, best first, equal scores by id (`dense_ko.retrieval.DenseIndex`).

    Args:
        ids: of the passages.
        passages: float32 [passages, dimensions]; may be a memory map.
        queries: float32 [queries, dimensions].
        k: places.

    Raises:
        DataError: the shapes don't fit.
        UsageError: k is below 1.
    """
    _check_k(k)
    return list(DenseIndex((str(passage) for passage in ids), passages).rankings(queries, k))


class HnswSettings(BaseModel):
    """A graph of near neighbours (Malkov and Yashunin 2016, arXiv 1603.09320).

    Args:
        m: edges a node; 16, as the kNN indexes of this project have it.
        ef_construction: candidates while the graph is built; the same.
        ef_search: candidates of a search; raised to k where k is larger, as Lucene does.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    m: int = Field(default=16, ge=2)
    ef_construction: int = Field(default=100, ge=1)
    ef_search: int = Field(default=100, ge=1)


def approximate_search(
    ids: Sequence[str] | Ids,
    passages: Vectors,
    queries: Vectors,
    k: int = 100,
    settings: HnswSettings = HnswSettings(),  # noqa: B008  frozen
) -> list[Ranking]:
    """Return about the `k` best passages of each query, by FAISS's HNSW graph; see `exact_search`.

    Raises:
        UsageError: FAISS is not installed, or k is below 1.
        DataError: the shapes don't fit.
    """
    _check_k(k)
    if passages.ndim != 2 or queries.ndim != 2 or passages.shape[1] != queries.shape[1] or len(ids) != len(passages):
        raise DataError(
            f"{len(ids)} ids, passages of the shape {list(passages.shape)}, queries of the shape {list(queries.shape)} don't fit together."
        )
    library = _faiss()
    graph = library.IndexHNSWFlat(passages.shape[1], settings.m, library.METRIC_INNER_PRODUCT)
    graph.hnsw.efConstruction = settings.ef_construction
    graph.add(np.ascontiguousarray(passages, dtype=np.float32))
    graph.hnsw.efSearch = max(settings.ef_search, k)
    scores, rows = graph.search(np.ascontiguousarray(queries, dtype=np.float32), min(k, len(passages)))
    return [
        [(str(ids[row]), float(score)) for row, score in zip(own_rows, own, strict=True) if row >= 0]  # -1: fewer were found
        for own_rows, own in zip(rows.tolist(), scores.tolist(), strict=True)
    ]


def recall_between(exact: Sequence[Ranking], approximate: Sequence[Ranking], k: int) -> float:
    """Return the share of the exact search's first `k` places that are among the approximate one's first `k`, the mean over queries.

    Args:
        exact: each query's ranking; a query for which nothing was found does not count.
        approximate: the same queries', in the same order.
        k: places.

    Raises:
        DataError: there are not as many rankings of the one as of the other, or no query that counts.
        UsageError: k is below 1.
    """
    _check_k(k)
    if len(exact) != len(approximate):
        raise DataError(f"{len(exact)} rankings cannot be compared with {len(approximate)}.", "Search with the same queries.")
    shares = []
    for wanted, found in zip(exact, approximate, strict=True):
        first = {passage for passage, _ in wanted[:k]}
        if first:
            shares.append(len(first & {passage for passage, _ in found[:k]}) / len(first))
    if not shares:
        raise DataError("There is no query for which the exact search found anything, so there is no recall.")
    return float(np.mean(shares))


def _check_k(k: int) -> None:
    if k < 1:
        raise UsageError(f"{k} places are none.", "k is 1 or more.")


def _faiss() -> Any:  # noqa: ANN401  a module without types
    try:
        return import_module("faiss")
    except ImportError as missing:
        raise UsageError(
            "Approximate search in process needs FAISS, which is not installed.",
            "Install it: pip install faiss-cpu    or search exactly, or in the cluster: python scripts/embedding_recall.py --help",
        ) from missing
