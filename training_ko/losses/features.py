"""One process's share of a batch, tokenised."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Any, Self

import torch
from torch import Tensor

NO_KEY = -1
"""Fills `Features.relevant_keys` where a query has fewer relevant documents than others."""


@dataclass(frozen=True)
class Features:
    """What one process adds to a batch. B queries and D documents of its own; any part may be missing or empty.

    Args:
        queries: tokenised, every tensor with B rows; None for no queries.
        documents: tokenised, D rows.
        document_keys: what a document is known by, int64 [D], ≥ 0: equal keys are one text, here and in every other process.
        positive: which of these documents is each query's positive, int64 [B].
        candidates: each query's own documents, positive first, -1 where there is none, int64 [B, C].
        relevant_keys: keys of documents known to be relevant, in whichever process, `NO_KEY` where there are fewer, int64 [B, R].
        teacher: scores of the candidates, float [B, C], NaN where there is none.
        korean: the Korean sides of S synonym pairs, tokenised as documents.
        english: the English sides, tokenised as documents.
        dimensions: which dimensions of a vector this step computes, equal in every process, int64 [C]; None: all.
        dimension_counts: how many dimensions each of them stands for, float [C].
    """

    queries: dict[str, Tensor] | None
    documents: dict[str, Tensor] | None
    document_keys: Tensor
    positive: Tensor
    candidates: Tensor
    relevant_keys: Tensor
    teacher: Tensor | None = None
    korean: dict[str, Tensor] | None = None
    english: dict[str, Tensor] | None = None
    dimensions: Tensor | None = None
    dimension_counts: Tensor | None = None

    def to(self, device: torch.device | str, *, non_blocking: bool = False) -> Self:
        """Return the same on another device."""
        return self._mapped(lambda tensor: tensor.to(device, non_blocking=non_blocking))

    def pin_memory(self) -> Self:
        """Return the same in pinned memory; torch's data loader calls it."""
        return self._mapped(lambda tensor: tensor.pin_memory())

    def _mapped(self, change: Callable[[Tensor], Tensor]) -> Self:
        def changed(value: Any) -> Any:  # noqa: ANN401
            if isinstance(value, dict):
                return {name: change(tensor) for name, tensor in value.items()}
            return None if value is None else change(value)

        return type(self)(**{field.name: changed(getattr(self, field.name)) for field in fields(self)})


def row_count(features: dict[str, Tensor] | None) -> int:
    """Return the number of texts in a tokenised batch."""
    return len(next(iter(features.values()))) if features else 0


def chunks(features: dict[str, Tensor] | None, size: int | None) -> list[dict[str, Tensor]]:
    """Return the texts in pieces of `size` at most; None: all at once."""
    rows = row_count(features)
    if not features or not rows:
        return []
    size = size or rows
    return [{name: tensor[start : start + size] for name, tensor in features.items()} for start in range(0, rows, size)]
