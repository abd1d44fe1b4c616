"""Exact search over dense vectors, in process: every passage is scored, block by block."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Self

import numpy as np
import numpy.typing as npt

from retrieval_ko.errors import DataError

if TYPE_CHECKING:
    from dense_ko.encoder import BiEncoder
    from retrieval_ko.bm25 import Ranking
    from retrieval_ko.records import Passage

Vectors = npt.NDArray[np.float32]

QUERIES_AT_ONCE = 256
"""Queries that are scored together."""

SCORES_AT_ONCE = 8_388_608
"""Scores that are in memory at a time: 32 MiB in 32 bits."""

PASSAGES_AT_ONCE = 4096
"""Passages that are encoded together."""

_ROUNDING = 1e-5
"""Of the largest product of lengths: more than a 32-bit matrix product of a thousand dimensions is ever off."""


class DenseIndex:
    """Passages' vectors, ranked by dot product; with normalised vectors that is the cosine.

    The blocks are multiplied in 32 bits, which sums in another order for another block size. So whatever may belong to the best is
    scored once more, by itself and in 64 bits: equal passages score equal, equal scores stand by id, and neither the size of a block nor
    what is asked beside it changes a ranking. Memory beside the vectors: 32 MiB of scores. The vectors may be a memory map.

    Args:
        ids: of the passages.
        vectors: float32 [passages, dimensions].

    Raises:
        DataError: the ids are not as many as the vectors.
    """

    def __init__(self, ids: Iterable[str], vectors: Vectors) -> None:
        self.ids = list(ids)
        self.vectors = vectors
        if vectors.ndim != 2 or len(self.ids) != len(vectors):
            raise DataError(f"{len(self.ids)} ids for vectors of the shape {list(vectors.shape)}; expected one row an id.")

    @classmethod
    def of(cls, encoder: BiEncoder, passages: Iterable[Passage], on_progress: Callable[[int], None] | None = None) -> Self:
        """Return the index of passages, encoded now; `on_progress` is told how many are done."""
        passages = list(passages)
        return cls((passage.id for passage in passages), encode_in_parts(encoder, passages, on_progress))

    @cached_property
    def rows(self) -> dict[str, int]:
        """Passage id → its row in `vectors`."""
        return {passage: row for row, passage in enumerate(self.ids)}

    @cached_property
    def _longest(self) -> float:
        """Length of the longest vector, worked out once a block at a time; raises `DataError` where a vector is none."""
        longest = 0.0
        for start in range(0, len(self.vectors), PASSAGES_AT_ONCE):
            lengths = np.linalg.norm(np.asarray(self.vectors[start : start + PASSAGES_AT_ONCE], dtype=np.float32), axis=1)
            if not np.isfinite(lengths).all():
                damaged = self.ids[start + int(np.argmin(np.isfinite(lengths)))]
                raise DataError(f"The vector of the passage {damaged!r} holds something that is no number.", "Encode the passages anew.")
            longest = max(longest, float(lengths.max()))
        return longest

    def rank_many(self, encoder: BiEncoder, queries: Mapping[str, str], size: int = 100) -> dict[str, Ranking]:
        """Return the ranking of each query, by query id."""
        return dict(zip(queries, self.rankings(encoder.encode_queries(list(queries.values())), size), strict=True))

    def rankings(self, queries: Vectors, size: int = 100, *, scores_at_once: int = SCORES_AT_ONCE) -> Iterator[Ranking]:
        """Yield the `size` best passages of each query, best first, equal scores by id.

        Args:
            queries: float32 [queries, dimensions].
            size: places of a ranking.
            scores_at_once: how large a block is; changes memory and speed, no ranking.

        Raises:
            DataError: the dimensions differ from the passages', or a vector holds something that is no number.
        """
        if queries.ndim != 2 or queries.shape[1] != self.vectors.shape[1]:
            raise DataError(
                f"The queries' vectors have the shape {list(queries.shape)}, the passages' {list(self.vectors.shape)}.",
                "Encode both with the same model.",
            )
        if not np.isfinite(queries).all():
            raise DataError(
                f"The vector of query {int(np.argmin(np.isfinite(queries).all(axis=1))) + 1} holds something that is no number."
            )
        for start in range(0, len(queries), QUERIES_AT_ONCE):
            part = queries[start : start + QUERIES_AT_ONCE]
            candidates = self._candidates(part, size, max(scores_at_once // len(part), 1))
            for query, rows in zip(part, candidates, strict=True):
                yield self._ranked(query, rows, size)

    def _candidates(self, queries: Vectors, size: int, block: int) -> list[npt.NDArray[np.int64]]:
        """Return for each query the rows that may be among its `size` best, rounding allowed for."""
        rows: list[npt.NDArray[np.int64]] = [np.empty(0, dtype=np.int64) for _ in queries]
        known: list[Vectors] = [np.empty(0, dtype=np.float32) for _ in queries]
        lengths = np.linalg.norm(queries, axis=1)
        longest = self._longest
        for start in range(0, len(self.vectors), block):
            vectors = np.asarray(self.vectors[start : start + block], dtype=np.float32)
            scores = queries @ vectors.T
            for place, own in enumerate(scores):
                slack = 2 * _ROUNDING * float(lengths[place]) * longest
                bound = _bound(known[place], size) - slack
                found = np.flatnonzero(own >= max(bound, _bound(own, size) - slack))
                rows[place] = np.concatenate([rows[place], found + start])
                known[place] = np.concatenate([known[place], own[found]])
                kept = known[place] >= _bound(known[place], size) - slack
                rows[place], known[place] = rows[place][kept], known[place][kept]
        return rows

    def _ranked(self, query: Vectors, rows: npt.NDArray[np.int64], size: int) -> Ranking:
        scores = self.scores(query, rows)
        return [
            (passage, -score) for score, passage in sorted(zip((-scores).tolist(), (self.ids[row] for row in rows), strict=True))[:size]
        ]

    def scores(self, query: Vectors, rows: npt.NDArray[np.int64]) -> Vectors:
        """Return a query's exact scores of some rows: summed row by row in 64 bits, rounded to 32."""
        wide = query.astype(np.float64)
        parts = [
            (np.asarray(self.vectors[rows[start : start + PASSAGES_AT_ONCE]], dtype=np.float64) * wide).sum(axis=1)
            for start in range(0, len(rows), PASSAGES_AT_ONCE)
        ]
        return np.concatenate(parts).astype(np.float32) if parts else np.empty(0, dtype=np.float32)


def _bound(scores: Vectors, size: int) -> float:
    """Return the score of place `size`; minus infinity where there are fewer."""
    return float(np.partition(scores, -size)[-size]) if size <= len(scores) else -np.inf


def encode_in_parts(encoder: BiEncoder, passages: Sequence[Passage], on_progress: Callable[[int], None] | None = None) -> Vectors:
    """Return the vectors of all passages, float32 [passages, dimensions], encoded a part at a time.

    Args:
        encoder: encodes them as passages.
        passages: in the order of the rows.
        on_progress: told how many are encoded.
    """
    vectors = np.empty((len(passages), encoder.get_embedding_dimension()), dtype=np.float32)
    for start in range(0, len(passages), PASSAGES_AT_ONCE):
        texts = [passage.passage_text for passage in passages[start : start + PASSAGES_AT_ONCE]]
        vectors[start : start + len(texts)] = encoder.encode_passages(texts)
        if on_progress:
            on_progress(start + len(texts))
    return vectors
