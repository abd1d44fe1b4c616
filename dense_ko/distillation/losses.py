"""A student's losses, on cosines in [-1, 1]: KL + 0.3 · contrastive margin + 0.4 · negative penalty (+ InfoNCE where it is wanted).

Why raw cosines, and not (cos + 1) / 2. On that scale a negative of at most 0.15 is a cosine of at most -0.7, and a lead of 0.7 a lead
of 1.4 in cosines, so that a positive must reach 0.7. No batch of three or more queries can do so, whatever the encoder: let S be their
cosines with each other's positives, n × n, and W = I - 2J/n (J all ones), an orthogonal matrix. From S = Q·Dᵀ with rows of length 1
follows ⟨S, W⟩ ≤ |Q||D| = n. But S_ii ≥ 0.7 and S_ij ≤ -0.7 give ⟨S, W⟩ ≥ 0.7·(3n - 4), which is above n from n = 3 on. On raw
cosines the same numbers, 0.15 and 0.7, can be met: vectors at right angles have the cosine 0.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

import torch
from torch import Tensor, nn

from dense_ko.distillation.settings import DistillationLossSettings
from training_ko.losses.embedded import Embedded, in_full_precision, masked_mean
from training_ko.losses.infonce import InfoNce
from training_ko.losses.kl_divergence import KlDivergence
from training_ko.losses.parts import LossParts, Part
from training_ko.losses.teacher import teacher_of

Marks = Literal["labels", "teacher"]


class ListwiseKl(nn.Module):
    """τ² · KL(softmax(teacher / τ_t) ‖ softmax(cos / τ)) over each query's candidates.

    The factor τ² (Hinton et al. 2015) keeps the gradient of a cosine at τ·(r - p): with τ 0.2 at most 0.2, beside at most 0.3 of the
    contrastive margin and 0.4 of the penalty, so that the weights mean what they say. The teacher's logits are on a scale of their own;
    through a sigmoid they would be squeezed between 0 and 1, and every list would look alike.

    Args:
        temperature: τ of the cosines.
        teacher_temperature: τ_t of the teacher's logits.
    """

    def __init__(self, temperature: float = 0.2, teacher_temperature: float = 1.0) -> None:
        super().__init__()
        self.temperature = temperature
        self.teacher_temperature = teacher_temperature
        self._divergence = KlDivergence(temperature)

    def forward(self, batch: Embedded) -> Tensor:
        """Return the mean over the queries of which the teacher has scored at least two candidates; 0 without any.

        Raises:
            DataError: the batch has no teacher's scores.
        """
        if batch.teacher is not None:
            batch = replace(batch, teacher=batch.teacher * (self.temperature / self.teacher_temperature))
        divergence: Tensor = self._divergence(batch)
        return self.temperature**2 * divergence


def marked(batch: Embedded, marks: Marks, threshold: float = 0.0) -> tuple[Tensor, Tensor]:
    """Return which candidates count as answers and which as others, bool [B, C] each.

    Args:
        batch: with a teacher's scores where it marks.
        marks: labels: answers are what is known to be relevant; teacher: what it scores above `threshold`, and what it has not scored
            is neither.
        threshold: in the teacher's scores; a logit of 0 is a probability of ½.

    Raises:
        DataError: the teacher marks, and the batch has no scores.
    """
    if marks == "teacher":
        scored, teacher = teacher_of(batch, "distillation")
        return scored & (teacher > threshold), scored & (teacher <= threshold)
    negatives = batch.own_negatives()
    return (batch.candidates >= 0) & ~negatives, negatives


class ContrastiveMargin(nn.Module):
    """mean_i relu(margin - (mean cosine of i's answers - mean cosine of its others)), over queries that have both.

    Args:
        margin: of the means, in cosines.
        marks: who says what answers.
        threshold: of the teacher, where it marks.
    """

    def __init__(self, margin: float = 0.7, marks: Marks = "labels", threshold: float = 0.0) -> None:
        super().__init__()
        self.margin = margin
        self.marks: Marks = marks
        self.threshold = threshold

    def forward(self, batch: Embedded) -> Tensor:
        """Return the mean shortfall; 0 where no query has both."""
        positives, negatives = marked(batch, self.marks, self.threshold)
        cosines = batch.candidate_scores()
        lead = _row_means(cosines, positives) - _row_means(cosines, negatives)
        return masked_mean((self.margin - lead).relu(), positives.any(dim=1) & negatives.any(dim=1))


class NegativePenalty(nn.Module):
    """½ · mean over all negatives of the batch of relu(cos - ceiling) + ½ · mean over the queries of the same over their own.

    Args:
        ceiling: cosines up to it cost nothing.
        marks: who says what a query's own negatives are; what the teacher holds for an answer is no negative in the batch either.
        threshold: of the teacher, where it marks.
    """

    def __init__(self, ceiling: float = 0.15, marks: Marks = "labels", threshold: float = 0.0) -> None:
        super().__init__()
        self.ceiling = ceiling
        self.marks: Marks = marks
        self.threshold = threshold

    def forward(self, batch: Embedded) -> Tensor:
        """Return the penalty; 0 where there is no negative."""
        positives, negatives = marked(batch, self.marks, self.threshold)
        everywhere = batch.in_batch_negatives()
        if self.marks == "teacher" and everywhere.numel():
            spare = torch.zeros(len(everywhere), everywhere.shape[1] + 1, dtype=torch.int64, device=everywhere.device)
            places = torch.where(batch.candidates >= 0, batch.candidates, everywhere.shape[1])  # the last column takes what is missing
            everywhere = everywhere & ~(spare.scatter_add(1, places, positives.long())[:, :-1] > 0)
        whole = masked_mean((batch.scores() - self.ceiling).relu(), everywhere)
        own = _row_means((batch.candidate_scores() - self.ceiling).relu(), negatives)
        return (whole + masked_mean(own, negatives.any(dim=1))) / 2


class InBatch(nn.Module):
    """τ · InfoNCE over the whole batch: what the labels say, against every other passage of the batch.

    A teacher's lists hold some candidates a query; that a passage is not about the matter at all is learnt from all the others. The factor
    τ keeps the gradient of a cosine at 1 or less, beside at most 0.2 of the listwise loss.

    Args:
        temperature: τ.
    """

    def __init__(self, temperature: float = 0.05) -> None:
        super().__init__()
        self._infonce = InfoNce(temperature)

    def forward(self, batch: Embedded) -> Tensor:
        """Return the mean over the queries."""
        loss: Tensor = self._infonce(batch)
        return self._infonce.temperature * loss


class DistillationLoss(nn.Module):
    """The weighted sum of the parts, with what each adds; figures on raw cosines.

    Args:
        settings: weights, temperatures and targets.
    """

    def __init__(self, settings: DistillationLossSettings) -> None:
        super().__init__()
        marks: Marks = settings.marks
        self.weights = {
            "kl": settings.kl_weight,
            "contrastive": settings.contrastive_weight,
            "negative_penalty": settings.negative_penalty_weight,
            "in_batch": settings.in_batch_weight,
        }
        self.losses = nn.ModuleDict(
            {
                "kl": ListwiseKl(settings.temperature, settings.teacher_temperature),
                "contrastive": ContrastiveMargin(settings.contrastive_margin, marks, settings.teacher_threshold),
                "negative_penalty": NegativePenalty(settings.negative_ceiling, marks, settings.teacher_threshold),
                "in_batch": InBatch(settings.in_batch_temperature),
            }
        )

    def forward(self, batch: Embedded) -> LossParts:
        """Return the loss of a whole batch.

        Raises:
            DataError: the batch has no teacher's scores.
        """
        with torch.autocast(batch.documents.device.type, enabled=False):
            batch = in_full_precision(batch)
            values = {name: self.losses[name](batch) for name, weight in self.weights.items() if weight}
            total = sum((self.weights[name] * value for name, value in values.items()), batch.documents.sum() * 0)
        with torch.no_grad():
            negative = masked_mean(batch.scores(), batch.in_batch_negatives())
            own = masked_mean(batch.candidate_scores(), batch.own_negatives())
            positive = batch.positive_scores().sum() / max(len(batch.positive), 1)
            figures = {"positive_cosine": float(positive), "negative_cosine": float(negative), "own_negative_cosine": float(own)}
        whole = float(total.detach())
        parts = {
            name: Part(float(value.detach()), self.weights[name] * float(value.detach()) / whole if whole else 0.0)
            for name, value in values.items()
        }
        return LossParts(total, parts, figures)


def _row_means(values: Tensor, kept: Tensor) -> Tensor:
    """Return each row's mean over what is kept, 0 where nothing is; shape [B]."""
    return torch.where(kept, values, 0.0).sum(dim=1) / kept.sum(dim=1).clamp(min=1)
