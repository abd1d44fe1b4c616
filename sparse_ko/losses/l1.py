"""L1: every weight costs the same, wherever it stands."""

from __future__ import annotations

from torch import Tensor, nn

from sparse_ko.losses.l0_threshold import over_threshold


class L1(nn.Module):
    """Mean sum of a text's weights.

    1/N Σ_i Σ_j w_ij. On queries it makes each short, where FLOPS makes a batch of them diverse
    (Lassance and Clinchant 2022, arXiv 2207.03834).

    Args:
        l0_threshold: rows with at most so many active dimensions count as 0.
    """

    def __init__(self, l0_threshold: int = 0) -> None:
        super().__init__()
        self.l0_threshold = l0_threshold

    def forward(self, weights: Tensor, counts: Tensor | None = None) -> Tensor:
        """Return the cost of `weights`, shape [n, V], all ≥ 0; 0 where n is 0. `counts` as in `Flops`."""
        costs = over_threshold(weights, self.l0_threshold, counts).sum(dim=0)
        return (costs.sum() if counts is None else costs @ counts.to(costs)) / max(weights.shape[0], 1)
