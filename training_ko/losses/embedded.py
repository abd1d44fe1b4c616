"""What every loss reads: one whole batch as vectors."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

NO_DOCUMENT = -1
"""Fills `Embedded.candidates` where a query has fewer documents than others."""


@dataclass(frozen=True)
class Embedded:
    """The whole batch of one step, over all chunks and processes, on one device. V dimensions, B queries, D documents.

    Args:
        queries: vectors, shape [B, V]; of a sparse encoder weights over the vocabulary, all ≥ 0.
        documents: vectors, shape [D, V], each text once.
        positive: which document is each query's positive, int64 [B].
        candidates: the query's own documents, positive first, `NO_DOCUMENT` where there is none, int64 [B, C].
        relevant: documents known to be relevant to each query, bool [B, D]; they are no negatives.
        teacher: a teacher's scores of the candidates, float [B, C], NaN where there is none.
        korean: vectors of the Korean sides of S synonym pairs, shape [S, V].
        english: vectors of the English sides, shape [S, V].
        dimension_counts: how many dimensions each of the V stands for, shape [V], where a step computes a sample; None: itself.
    """

    queries: Tensor
    documents: Tensor
    positive: Tensor
    candidates: Tensor
    relevant: Tensor
    teacher: Tensor | None = None
    korean: Tensor | None = None
    english: Tensor | None = None
    dimension_counts: Tensor | None = None

    def scores(self) -> Tensor:
        """Return the dot product of every query with every document, shape [B, D]."""
        return self.queries @ self.documents.T

    def candidate_scores(self) -> Tensor:
        """Return the dot products of the queries with their candidates, shape [B, C]; 0 where there is none."""
        if not self.documents.shape[0]:
            return (self.scores().sum() * 0).expand(self.candidates.shape)
        scores = self.scores().gather(1, self.candidates.clamp(min=0))
        return scores.masked_fill(self.candidates < 0, 0.0)

    def positive_scores(self) -> Tensor:
        """Return the dot products of the queries with their positives, shape [B]."""
        return (self.queries * self.documents[self.positive]).sum(dim=1)

    def in_batch_negatives(self) -> Tensor:
        """Return which documents are negatives of which query: all that are not known to be relevant, bool [B, D]."""
        return ~self._with_positive()

    def own_negatives(self) -> Tensor:
        """Return which candidates are negatives of their query, bool [B, C]."""
        if not self.documents.shape[0]:
            return torch.zeros_like(self.candidates, dtype=torch.bool)
        relevant = self._with_positive().gather(1, self.candidates.clamp(min=0))
        return (self.candidates >= 0) & ~relevant

    def rivals(self, *, in_batch: bool) -> tuple[Tensor, Tensor]:
        """Return scores, and which of them are of negatives (bool).

        Args:
            in_batch: with all documents of the batch, shape [B, D]; else with the query's own candidates, shape [B, C].
        """
        if in_batch:
            return self.scores(), self.in_batch_negatives()
        return self.candidate_scores(), self.own_negatives()

    def _with_positive(self) -> Tensor:
        return self.relevant.scatter(1, self.positive.unsqueeze(1), True) if self.positive.numel() else self.relevant


def masked_mean(values: Tensor, kept: Tensor) -> Tensor:
    """Return the mean of `values` where `kept`, and 0 (with gradient 0) where nothing is kept."""
    return torch.where(kept, values, 0.0).sum() / kept.sum().clamp(min=1)


def in_full_precision(batch: Embedded) -> Embedded:
    """Return the batch with vectors of at least 32 bits."""
    return replace(
        batch,
        queries=_widened(batch.queries),
        documents=_widened(batch.documents),
        korean=None if batch.korean is None else _widened(batch.korean),
        english=None if batch.english is None else _widened(batch.english),
    )


def _widened(vectors: Tensor) -> Tensor:
    return vectors if vectors.dtype == torch.float64 else vectors.float()
