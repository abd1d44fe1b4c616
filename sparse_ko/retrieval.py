"""Exact search over sparse vectors, in process: what the cluster computes, without a cluster."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from scipy.sparse import csc_matrix, csr_matrix

from retrieval_ko.bm25 import Ranking, ranked

if TYPE_CHECKING:
    from retrieval_ko.records import Passage
    from sparse_ko.model import SparseEncoder

QUERIES_AT_ONCE = 256
"""Queries that are handed to a thread together."""

PASSAGES_AT_ONCE = 4096
"""Passages that are encoded together; what they need besides their weights is freed before the next ones."""


class SparseIndex:
    """Passages encoded once, ranked by dot product.

    A passage's score is summed term by term in the order of the vocabulary, in 32-bit floats: equal passages score equal, whatever is
    asked beside them and however many threads there are. Memory: 8 bytes a weight for the passages, 8 for the postings, and 4 bytes a
    passage and thread; 500,000 passages of 150 weights are 1.2 GB.

    Args:
        encoder: encodes both sides.
        passages: what to search.
        weights: their weights where they are known already, shape [passages, vocabulary].
        on_progress: told how many passages are encoded.
        workers: threads that rank; they change no result.
    """

    def __init__(
        self,
        encoder: SparseEncoder,
        passages: Iterable[Passage],
        *,
        weights: csr_matrix | None = None,
        on_progress: Callable[[int], None] | None = None,
        workers: int = 1,
    ) -> None:
        passages = list(passages)
        self._encoder = encoder
        self._workers = workers
        self.ids = [passage.id for passage in passages]
        self.weights: csr_matrix = encode_in_parts(encoder, passages, on_progress) if weights is None else weights
        """Shape [passages, vocabulary]."""

    @cached_property
    def rows(self) -> dict[str, int]:
        """Passage id → its row in `weights`."""
        return {passage: row for row, passage in enumerate(self.ids)}

    @cached_property
    def _postings(self) -> csc_matrix:
        return self.weights.tocsc()

    def rank(self, query: str, size: int = 100) -> Ranking:
        """Return the best passages for one query, best first, equal scores by id."""
        return self.rank_vectors(self._encoder.encode_query([query]), size)[0]

    def rank_many(self, queries: Mapping[str, str], size: int = 100) -> dict[str, Ranking]:
        """Return the ranking of each query, by query id."""
        vectors = self._encoder.encode_query(list(queries.values()))
        return dict(zip(queries, self.rank_vectors(vectors, size), strict=True))

    def rank_vectors(self, vectors: csr_matrix, size: int = 100) -> list[Ranking]:
        """Return the ranking of each row of `vectors`, shape [queries, vocabulary]."""
        return list(self.rankings(vectors, size))

    def rankings(self, vectors: csr_matrix, size: int = 100) -> Iterator[Ranking]:
        """Yield the ranking of each row of `vectors`, in order, a few ahead of what is read."""
        starts = range(0, vectors.shape[0], QUERIES_AT_ONCE)
        if self._workers == 1 or len(starts) < 2:
            for row in range(vectors.shape[0]):
                yield self._rank_row(vectors, row, size)
            return
        _ = self._postings  # made before the threads want it
        waiting: deque[Future[list[Ranking]]] = deque()
        with ThreadPoolExecutor(self._workers) as pool:  # SciPy and NumPy let go of the interpreter's lock where the time is spent
            try:
                for start in starts:
                    waiting.append(pool.submit(self._rank_rows, vectors, start, size))
                    if len(waiting) > self._workers:
                        yield from waiting.popleft().result()
                while waiting:
                    yield from waiting.popleft().result()
            finally:
                pool.shutdown(wait=True, cancel_futures=True)

    def _rank_rows(self, vectors: csr_matrix, start: int, size: int) -> list[Ranking]:
        return [self._rank_row(vectors, row, size) for row in range(start, min(start + QUERIES_AT_ONCE, vectors.shape[0]))]

    def _rank_row(self, vectors: csr_matrix, row: int, size: int) -> Ranking:
        here = slice(vectors.indptr[row], vectors.indptr[row + 1])
        order = np.argsort(vectors.indices[here])
        terms, weights = vectors.indices[here][order], vectors.data[here][order].astype(np.float32)
        return ranked(self.ids, np.asarray(self._postings[:, terms] @ weights), size)


def encode_in_parts(encoder: SparseEncoder, passages: Sequence[Passage], on_progress: Callable[[int], None] | None = None) -> csr_matrix:
    """Return the weights of all passages, shape [passages, vocabulary], float32, encoded a part at a time.

    Args:
        encoder: encodes them as documents.
        passages: in the order of the rows.
        on_progress: told how many are encoded.
    """
    indices, weights, lengths = [], [], [np.zeros(1, dtype=np.int64)]
    width = len(encoder.tokenizer)
    for start in range(0, len(passages), PASSAGES_AT_ONCE):
        texts = [passage.passage_text for passage in passages[start : start + PASSAGES_AT_ONCE]]
        part = encoder.encode_document(texts, on_progress=_later(on_progress, start))
        indices.append(part.indices.astype(np.int32, copy=False))
        weights.append(part.data.astype(np.float32, copy=False))
        lengths.append(np.diff(part.indptr).astype(np.int64))
    if not passages:
        return csr_matrix(np.zeros((0, width), dtype=np.float32))
    columns = np.concatenate(indices)
    del indices
    values = np.concatenate(weights)
    del weights
    return csr_matrix((values, columns, np.cumsum(np.concatenate(lengths))), shape=(len(passages), width))


def _later(on_progress: Callable[[int], None] | None, start: int) -> Callable[[int], None] | None:
    return None if on_progress is None else lambda done: on_progress(start + done)


def active_dimensions(weights: csr_matrix) -> float:
    """Return the mean number of non-zero weights a row."""
    return float(weights.nnz / weights.shape[0]) if weights.shape[0] else 0.0


def expected_flops(queries: csr_matrix, passages: csr_matrix) -> float:
    """Return the expected number of multiplications for one query and one passage: Σ_j P(query uses j) · P(passage uses j)."""
    share_of_queries = np.bincount(queries.indices, minlength=queries.shape[1]) / max(queries.shape[0], 1)
    share_of_passages = np.bincount(passages.indices, minlength=passages.shape[1]) / max(passages.shape[0], 1)
    return float(share_of_queries @ share_of_passages)
