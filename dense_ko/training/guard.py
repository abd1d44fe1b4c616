"""False negatives: passages that answer a query though nobody marked them, held back before the loss sees them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import torch
from torch import Tensor

from dense_ko.settings import GuardSettings
from training_ko.losses.embedded import Embedded
from training_ko.losses.teacher import teacher_of

if TYPE_CHECKING:
    from torch import nn

    from dense_ko.encoder import BiEncoder

SELF, TEACHER = "self", "teacher"
"""What `guard.guide` may be beside an encoder: the encoder that is trained, or the scores that come with the pairs."""

_GUIDES_TOKENS = "guide:"


@dataclass(frozen=True)
class FalseNegativeGuard:
    """Takes from a query's negatives what a guide scores above its positive, less a margin (GISTEmbed, Solatorio 2024, arXiv 2402.16829).

    A passage d is no negative of q where guide(q, d) > guide(q, d⁺) - margin. With the encoder itself as the guide and a margin of 0
    every negative that it ranks above the positive is held back, its worst mistakes among them, so that it is never told of them; a
    negative margin holds back less.

    Args:
        margin: in the guide's scores: cosines of an encoder, a teacher's own scale.
        relative: whether the margin is a share of the positive's score.
        by_teacher: whether the guide is the scores that came with the pairs. They know a query's own candidates alone.
    """

    margin: float = 0.0
    relative: bool = False
    by_teacher: bool = False

    def suspected(self, batch: Embedded) -> Tensor:
        """Return which documents are no negatives of which query though they are not known to be relevant, bool [B, D].

        Args:
            batch: with the guide's vectors, or the teacher's scores.

        Raises:
            DataError: the guide is a teacher, and the batch has no scores of one.
        """
        with torch.no_grad():
            above = self._above_by_teacher(batch) if self.by_teacher else batch.scores() > self._limit(batch.positive_scores().unsqueeze(1))
            return above & batch.in_batch_negatives()

    def guarded(self, batch: Embedded, judged: Embedded) -> Embedded:
        """Return the batch in which what is suspected by the vectors of `judged`, the same texts', counts as relevant."""
        return replace(batch, relevant=batch.relevant | self.suspected(judged))

    def _limit(self, positive: Tensor) -> Tensor:
        return positive * (1 - self.margin) if self.relative else positive - self.margin

    def _above_by_teacher(self, batch: Embedded) -> Tensor:
        scored, scores = teacher_of(batch, "the false-negative guard")
        above = scored & scored[:, :1] & (scores > self._limit(scores[:, :1]))  # without a score of the positive nothing is above it
        rows, documents = batch.relevant.shape
        # a last column takes what fills up the candidates of a query that has fewer than others
        found = torch.zeros(rows, documents + 1, dtype=torch.int64, device=above.device)
        places = torch.where(batch.candidates >= 0, batch.candidates, documents)
        return found.scatter_add_(1, places, above.long())[:, :documents] > 0


def guard_of(settings: GuardSettings) -> FalseNegativeGuard | None:
    """Return the guard that a run's settings name; None: no guard."""
    if settings.guide is None:
        return None
    return FalseNegativeGuard(settings.margin, settings.relative, by_teacher=settings.guide == TEACHER)


class GuidedEncoder:
    """An encoder in training with another one that judges beside it: behind a text's own vector stands the guide's, without gradient.

    So the guide's vectors go the way of every vector through chunks and processes, and the loss finds both (`DenseLoss`).

    Args:
        encoder: is trained.
        guide: stays as it is.
    """

    def __init__(self, encoder: BiEncoder, guide: BiEncoder) -> None:
        self.encoder = encoder
        self._guide = guide
        guide.module.requires_grad_(False)
        guide.module.eval()

    @property
    def module(self) -> nn.Module:
        """The network that is trained; the guide's is none of it."""
        return self.encoder.module

    @property
    def query_table(self) -> nn.Parameter | None:
        """None: a network reads queries."""
        return self.encoder.query_table

    def tokenize(self, texts: Sequence[str], kind: Literal["query", "document"], max_tokens: int | None = None) -> dict[str, Tensor]:
        """Return what both networks read; the guide has its own template and its own limits."""
        own = self.encoder.tokenize(texts, kind, max_tokens)
        return own | {f"{_GUIDES_TOKENS}{name}": tensor for name, tensor in self._guide.tokenize(texts, kind).items()}

    def embed(self, features: dict[str, Tensor], kind: Literal["query", "document"]) -> Tensor:
        """Return the vectors of both, shape [texts, own dimensions + the guide's]."""
        guides = {name.removeprefix(_GUIDES_TOKENS): tensor for name, tensor in features.items() if name.startswith(_GUIDES_TOKENS)}
        own = self.encoder.embed({name: tensor for name, tensor in features.items() if not name.startswith(_GUIDES_TOKENS)}, kind)
        with torch.no_grad():
            judged = self._guide.embed(guides, kind)
        return torch.cat([own, judged.to(own.dtype)], dim=1)

    def constrain(self) -> None:
        """Do what the encoder needs after an optimiser's step."""
        self.encoder.constrain()

    def save(self, folder: Path) -> None:
        """Write the encoder; the guide is no part of it."""
        self.encoder.save(folder)
