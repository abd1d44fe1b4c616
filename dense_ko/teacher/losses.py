"""A teacher's losses on a batch of lists; `Embedded.documents` holds a logit a pair, shape [pairs, 1], `candidates` the lists."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from dense_ko.teacher.settings import TeacherLossSettings
from training_ko.losses.embedded import Embedded, masked_mean
from training_ko.losses.parts import LossParts, Part


class PointwiseBce(nn.Module):
    """Binary cross-entropy of every pair by itself.

    Σ_p w_p · bce(logit_p, y_p) / Σ_p w_p, w = `positive_weight` for positives and 1 for negatives.

    Args:
        positive_weight: None: the number of negatives a positive in the batch, so that both classes weigh the same.
    """

    def __init__(self, positive_weight: float | None = None) -> None:
        super().__init__()
        self.positive_weight = positive_weight

    def forward(self, logits: Tensor, positive: Tensor, candidates: Tensor) -> Tensor:
        """Return the weighted mean over the pairs.

        Args:
            logits: shape [pairs].
            positive: which pairs are relevant, bool [pairs].
            candidates: not read.
        """
        count = positive.sum()
        balanced = (len(positive) - count) / count.clamp(min=1)
        weight = balanced.clamp(min=1e-6) if self.positive_weight is None else self.positive_weight
        weights = torch.where(positive, weight, torch.ones_like(logits))
        losses = functional.binary_cross_entropy_with_logits(logits, positive.to(logits.dtype), reduction="none")
        return (losses * weights).sum() / weights.sum().clamp(min=1e-9)


class InListSoftmax(nn.Module):
    """Negative log-probability of the positive within its own list; however many negatives there are, one is right.

    mean_i -log softmax_c(logit_ic / τ) at the positive.
    """

    def __init__(self, temperature: float = 1.0) -> None:
        super().__init__()
        self.temperature = temperature

    def forward(self, logits: Tensor, positive: Tensor, candidates: Tensor) -> Tensor:
        """Return the mean over the lists.

        Args:
            logits: shape [pairs].
            positive: not read: the first candidate of a list is its positive.
            candidates: places of each list's pairs, positive first, -1 where there are fewer, int64 [lists, C].
        """
        there = candidates >= 0
        scores = logits[candidates.clamp(min=0)] / self.temperature
        losses = scores.masked_fill(~there, float("-inf")).logsumexp(dim=1) - scores[:, 0]
        return masked_mean(losses, torch.ones_like(losses, dtype=torch.bool))


class TeacherLoss(nn.Module):
    """The loss that the settings name, and what the batch shows besides."""

    def __init__(self, settings: TeacherLossSettings) -> None:
        super().__init__()
        self._name = settings.form
        self.of_lists: nn.Module = PointwiseBce(settings.positive_weight) if settings.form == "bce" else InListSoftmax(settings.temperature)

    def forward(self, batch: Embedded) -> LossParts:
        """Return the loss; figures: mean logits of positives and negatives, share of lists whose positive leads."""
        logits = batch.documents.squeeze(1)
        positive = torch.zeros(len(logits), dtype=torch.bool, device=logits.device)
        positive[batch.positive] = True
        total: Tensor = self.of_lists(logits, positive, batch.candidates)
        with torch.no_grad():
            own = logits[batch.candidates.clamp(min=0)].masked_fill(batch.candidates < 0, float("-inf"))
            leads = own[:, 0] > own[:, 1:].amax(dim=1) if own.shape[1] > 1 else own[:, 0] > float("inf")
            figures = {
                "positive_logit": float(masked_mean(logits, positive)),
                "negative_logit": float(masked_mean(logits, ~positive)),
                "positive_leads": float(leads.float().mean()) if len(leads) else 0.0,
            }
        value = float(total.detach())
        return LossParts(total, {self._name: Part(value, 1.0)}, figures)
