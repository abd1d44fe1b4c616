"""InfoNCE: the positive against all negatives."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from training_ko.losses.embedded import Embedded, masked_mean


class InfoNce(nn.Module):
    """Negative log-probability of the positive among all documents that are not known to be relevant.

    mean_i -log( e^{s(q_i, d⁺)/τ} / (e^{s(q_i, d⁺)/τ} + Σ_{d ∈ N_i} e^{s(q_i, d)/τ}) )
    (van den Oord et al. 2018, arXiv 1807.03748, eq. 4; in-batch negatives: Karpukhin et al. 2020, arXiv 2004.04906).

    Args:
        temperature: τ. Scores are dot products of unbounded weights, not cosines: 1, where dense encoders use 0.05.
        in_batch: whether N_i holds the documents of all queries of the batch, or those of query i alone.
    """

    def __init__(self, temperature: float = 1.0, *, in_batch: bool = True) -> None:
        super().__init__()
        self.temperature = temperature
        self.in_batch = in_batch

    def forward(self, batch: Embedded) -> Tensor:
        """Return the mean over the queries; 0 for a batch without queries."""
        scores, negatives = batch.rivals(in_batch=self.in_batch)
        positive = batch.positive_scores() / self.temperature
        others = (scores / self.temperature).masked_fill(~negatives, float("-inf"))
        losses = torch.logsumexp(torch.cat([positive.unsqueeze(1), others], dim=1), dim=1) - positive
        return masked_mean(losses, torch.ones_like(losses, dtype=torch.bool))
