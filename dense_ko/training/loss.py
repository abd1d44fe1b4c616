"""The loss of a dense run: a ranking loss over the whole batch, false negatives held back, and what a person wants to see of it."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor, nn

from dense_ko.training.guard import FalseNegativeGuard
from retrieval_ko.errors import UsageError
from training_ko.losses import Embedded, InfoNce, LossParts, Part, ranking_loss
from training_ko.losses.embedded import in_full_precision, masked_mean
from training_ko.settings import RankingSettings

MNR_TEMPERATURE = 0.05
"""Cosines are divided by it, which is multiplying by a scale of 20. (The published LexDPR passes the temperature as the scale: its logits
are 400 times too flat.)"""


def mnr_loss(temperature: float = MNR_TEMPERATURE) -> InfoNce:
    """Return multiple negatives ranking on cosines (Henderson et al. 2017, arXiv 1705.00652): InfoNCE with scale 1 / temperature.

    Raises:
        UsageError: the temperature is not above 0.
    """
    if not temperature > 0:
        raise UsageError(f"A temperature of {temperature} divides no score; it must be above 0.", f"Take {MNR_TEMPERATURE}: a scale of 20.")
    return InfoNce(temperature)


class DenseLoss(nn.Module):
    """The ranking loss of a run, α of the settings applied.

    Args:
        ranking: which loss.
        guard: what holds false negatives back; None: nothing does.
        dimensions: of the encoder's vectors; what a vector has behind them is the guide's (`GuidedEncoder`). None: all are the encoder's.
    """

    def __init__(self, ranking: RankingSettings, guard: FalseNegativeGuard | None = None, dimensions: int | None = None) -> None:
        super().__init__()
        self.weight = ranking.weight
        self.guard = guard
        self.dimensions = dimensions
        self.ranking = ranking_loss(ranking)

    def forward(self, batch: Embedded) -> LossParts:
        """Return the loss of a whole batch.

        The figures: mean cosine of the positives and of the negatives, the share of the queries whose positive comes first, and with
        a guard the share of the negatives that it holds back.

        Raises:
            DataError: the loss or the guard needs a teacher's scores, and the batch has none.
        """
        with torch.autocast(batch.documents.device.type, enabled=False):
            batch, judged = self._parted(in_full_precision(batch))
            guarded = self.guard.guarded(batch, judged) if self.guard else batch
            value = self.ranking(guarded)
            with torch.no_grad():
                figures = self._figures(batch, guarded)
                # one transfer from the device instead of one a number
                plain, *numbers = torch.stack([value, *(figure.to(value.dtype) for figure in figures.values())]).tolist()
        return LossParts(self.weight * value, {"ranking": Part(plain, 1.0)}, dict(zip(figures, numbers, strict=True)))

    def _parted(self, batch: Embedded) -> tuple[Embedded, Embedded]:
        """Return the batch with the encoder's vectors, and with the guide's."""
        if self.dimensions is None:
            return batch, batch
        own, guides = slice(self.dimensions), slice(self.dimensions, None)
        return (
            replace(batch, queries=batch.queries[:, own], documents=batch.documents[:, own]),
            replace(batch, queries=batch.queries[:, guides], documents=batch.documents[:, guides]),
        )

    def _figures(self, batch: Embedded, guarded: Embedded) -> dict[str, Tensor]:
        scores, negatives = batch.scores(), guarded.in_batch_negatives()
        positive = batch.positive_scores()
        first = (scores.masked_fill(~negatives, float("-inf")) < positive.unsqueeze(1)).all(dim=1)
        figures = {
            "positive_cosine": positive.sum() / max(len(positive), 1),
            "negative_cosine": masked_mean(scores, negatives),
            "first": first.sum() / max(len(first), 1),
        }
        if self.guard:
            before = batch.in_batch_negatives().sum()
            figures["held_back"] = (before - negatives.sum()) / before.clamp(min=1)
        return figures
