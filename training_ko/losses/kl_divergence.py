"""KL divergence: the teacher's distribution over a query's candidates."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from training_ko.losses.embedded import Embedded, masked_mean
from training_ko.losses.teacher import teacher_of


class KlDivergence(nn.Module):
    """Divergence of the student's distribution over the candidates from the teacher's.

    mean_i Σ_c p_ic (log p_ic - log r_ic), p_i = softmax(t_i / τ), r_i = softmax(s_i / τ)
    (Hinton et al. 2015, arXiv 1503.02531, without its factor τ²; for rankings Cao et al. 2007, "ListNet").

    Args:
        temperature: τ of both sides.
    """

    def __init__(self, temperature: float = 1.0) -> None:
        super().__init__()
        self.temperature = temperature

    def forward(self, batch: Embedded) -> Tensor:
        """Return the mean over the queries of which the teacher has scored at least two candidates; 0 without any.

        Raises:
            DataError: the batch has no teacher's scores.
        """
        scored, teacher = teacher_of(batch, "kl")
        target = _log_softmax(teacher / self.temperature, scored)
        student = _log_softmax(batch.candidate_scores() / self.temperature, scored)
        divergence = (torch.where(scored, target.exp() * (target - student), 0.0)).sum(dim=1)
        return masked_mean(divergence, scored.sum(dim=1) >= 2)


def _log_softmax(scores: Tensor, kept: Tensor) -> Tensor:
    """Log-softmax over what is kept; 0 elsewhere. A finite filler, since -inf - -inf is no number."""
    filler = torch.finfo(scores.dtype).min / 4
    return torch.where(kept, scores.masked_fill(~kept, filler).log_softmax(dim=1), 0.0)
