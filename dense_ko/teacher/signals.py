"""What an ensemble judges by: each signal says something about a query and a passage, as a number of about 0 to 5."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from dense_ko.teacher.asked import Asked
from dense_ko.teacher.citations import CitedNeighbours
from retrieval_ko.bm25 import Bm25Index, ranked
from retrieval_ko.records import Passage

Values = NDArray[np.float64]
_REMEMBERED = 128
"""Queries whose scores of all passages are kept: those of a block are asked for twice."""


class Signal(Protocol):
    """A part of an ensemble."""

    names: tuple[str, ...]

    def values(self, asked: Sequence[Asked]) -> list[Values]:
        """Return [candidates, len(names)] for each query."""
        ...

    def proposed(self, query: str, text: str, count: int) -> list[str]:
        """Return ids of passages that may be the best for a query, at most `count` of them."""
        ...


class Bm25Signal:
    """A passage's BM25 score, divided by the best passage's: what a query's length adds to all of them says nothing.

    Args:
        index: of the collection.
    """

    names: tuple[str, ...] = ("bm25",)

    def __init__(self, index: Bm25Index) -> None:
        self._index = index
        self._scores = lru_cache(_REMEMBERED)(index.scores)

    def values(self, asked: Sequence[Asked]) -> list[Values]:
        """Return each candidate's share of the best score, [candidates, 1]."""
        return [self._shares(one) for one in asked]

    def proposed(self, query: str, text: str, count: int) -> list[str]:
        """Return BM25's best."""
        return [passage for passage, _ in ranked(self._index.ids, self._scores(text), count)]

    def _shares(self, one: Asked) -> Values:
        scores = self._scores(one.text)
        best = float(scores.max(initial=0.0)) or 1.0
        rows = [self._index.rows[passage] for passage in one.passages]
        return (scores[rows] / best).astype(np.float64)[:, None]


class CitationSignal:
    """What similar training queries cite, and how often a passage is cited at all.

    nearest: cosine of the nearest query that cites it; together: ln(1 + Σ cos²) of all neighbours that do; citations: ln(1 + number).

    Args:
        neighbours: of the training queries.
        group_of: query id → its group; an id that is not there has none.
    """

    names: tuple[str, ...] = ("nearest", "together", "citations")

    def __init__(self, neighbours: CitedNeighbours, group_of: Mapping[str, str]) -> None:
        self._group_of = group_of
        self._votes = lru_cache(_REMEMBERED)(lambda query, text: neighbours.votes(query, text, group_of.get(query, "")))

    def values(self, asked: Sequence[Asked]) -> list[Values]:
        """Return [candidates, 3]."""
        return [self._said(one) for one in asked]

    def proposed(self, query: str, text: str, count: int) -> list[str]:
        """Return the passages that neighbours cite most."""
        together = self._votes(query, text).together
        return sorted(together, key=lambda passage: (-together[passage], passage))[:count]

    def _said(self, one: Asked) -> Values:
        votes = self._votes(one.query, one.text)
        columns = (
            [votes.nearest.get(passage, 0.0) for passage in one.passages],
            np.log1p([votes.together.get(passage, 0.0) for passage in one.passages]),
            np.log1p([votes.citations(passage) for passage in one.passages]),
        )
        return np.stack(columns, axis=1).astype(np.float64).reshape(len(one.passages), 3)


class Encodes(Protocol):
    """An encoder, dense or sparse: rows of an array or of a sparse matrix, compared by their dot product."""

    def encode_queries(self, texts: Sequence[str], batch_size: int = 32) -> Any:  # noqa: ANN401  array or sparse matrix
        """Return a row a text."""
        ...

    def encode_passages(self, texts: Sequence[str], batch_size: int = 32) -> Any:  # noqa: ANN401  array or sparse matrix
        """Return a row a text."""
        ...


class ModelSignal:
    """An encoder's score of a passage, divided by `scale`; every passage is encoded once and its vector kept.

    An encoder that was trained on the very queries it is asked about knows their answers by heart, and its weight comes out too high.
    Fit such an ensemble on a split that the encoder has not seen.

    Args:
        name: of the model, for the weights.
        encoder: dense or sparse.
        passages: the collection, by id.
        scale: 1 for cosines; what sparse scores are divided by.
        batch_size: texts that go through the encoder at once.
    """

    def __init__(self, name: str, encoder: Encodes, passages: Mapping[str, Passage], *, scale: float = 1.0, batch_size: int = 32) -> None:
        self.names: tuple[str, ...] = (name,)
        self._encoder, self._passages, self._scale, self._batch_size = encoder, passages, scale, batch_size
        self._rows: dict[str, Any] = {}

    def values(self, asked: Sequence[Asked]) -> list[Values]:
        """Return [candidates, 1]."""
        queries = self._encoder.encode_queries([one.text for one in asked], self._batch_size)
        missing = list(dict.fromkeys(passage for one in asked for passage in one.passages if passage not in self._rows))
        if missing:
            found = self._encoder.encode_passages([self._passages[passage].passage_text for passage in missing], self._batch_size)
            self._rows |= {passage: found[[row]] for row, passage in enumerate(missing)}
        stacked: Callable[..., Any] = sparse.vstack if sparse.issparse(queries) else np.vstack
        said = []
        for row, one in enumerate(asked):
            if not one.passages:
                said.append(np.zeros((0, 1)))
                continue
            product: Any = stacked([self._rows[passage] for passage in one.passages]) @ queries[[row]].T
            dense = product.toarray() if hasattr(product, "toarray") else np.asarray(product)
            said.append(dense.astype(np.float64).reshape(-1, 1) / self._scale)
        return said

    def proposed(self, query: str, text: str, count: int) -> list[str]:
        """Return nothing: the other signals propose, and this one judges what they found."""
        return []
