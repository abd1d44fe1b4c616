"""Exact search over sparse vectors, in process: what the cluster computes, without a cluster."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

import numpy as np

from retrieval_ko.bm25 import Ranking, ranked

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix

    from retrieval_ko.records import Passage
    from sparse_ko.model import SparseEncoder

QUERIES_AT_ONCE = 256
"""Queries whose scores against all passages are held in memory together."""


class SparseIndex:
    """Passages encoded once, ranked by dot product.

    Args:
        encoder: encodes both sides.
        passages: what to search.
        progress: show a bar while encoding.
    """

    def __init__(self, encoder: SparseEncoder, passages: Iterable[Passage], *, progress: bool = False) -> None:
        passages = list(passages)
        self._encoder = encoder
        self._ids = [passage.id for passage in passages]
        self.weights: csr_matrix = encoder.encode_document([passage.passage_text for passage in passages], progress=progress)
        """Shape [passages, vocabulary]."""

    def rank(self, query: str, size: int = 100) -> Ranking:
        """Return the best passages for one query, best first, equal scores by id."""
        return self.rank_vectors(self._encoder.encode_query([query]), size)[0]

    def rank_many(self, queries: Mapping[str, str], size: int = 100) -> dict[str, Ranking]:
        """Return the ranking of each query, by query id."""
        vectors = self._encoder.encode_query(list(queries.values()))
        return dict(zip(queries, self.rank_vectors(vectors, size), strict=True))

    def rank_vectors(self, vectors: csr_matrix, size: int = 100) -> list[Ranking]:
        """Return the ranking of each row of `vectors`, shape [queries, vocabulary]."""
        rankings = []
        for start in range(0, vectors.shape[0], QUERIES_AT_ONCE):
            scores = (vectors[start : start + QUERIES_AT_ONCE] @ self.weights.T).toarray()
            rankings += [ranked(self._ids, np.asarray(row), size) for row in scores]
        return rankings


def active_dimensions(weights: csr_matrix) -> float:
    """Return the mean number of non-zero weights a row."""
    return float(weights.nnz / weights.shape[0]) if weights.shape[0] else 0.0


def expected_flops(queries: csr_matrix, passages: csr_matrix) -> float:
    """Return the expected number of multiplications for one query and one passage: Σ_j P(query uses j) · P(passage uses j)."""
    share_of_queries = np.bincount(queries.indices, minlength=queries.shape[1]) / max(queries.shape[0], 1)
    share_of_passages = np.bincount(passages.indices, minlength=passages.shape[1]) / max(passages.shape[0], 1)
    return float(share_of_queries @ share_of_passages)
