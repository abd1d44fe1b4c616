"""FLOPS: what a dimension costs grows with the square of its mean weight."""

from __future__ import annotations

from torch import Tensor, nn

from sparse_ko.losses.l0_threshold import over_threshold


class Flops(nn.Module):
    """Expected number of multiplications per query-document score, made differentiable.

    Σ_j (1/N Σ_i w_ij)²: a dimension that many texts use costs quadratically more than one that few use
    (Paria et al. 2020, arXiv 2004.05665, eq. 4).

    Args:
        l0_threshold: rows with at most so many active dimensions count as 0.
    """

    def __init__(self, l0_threshold: int = 0) -> None:
        super().__init__()
        self.l0_threshold = l0_threshold

    def forward(self, weights: Tensor, counts: Tensor | None = None) -> Tensor:
        """Return the cost of `weights`, shape [n, V], all ≥ 0; 0 where n is 0.

        Args:
            weights: of texts.
            counts: how many dimensions each of the V stands for, shape [V], where they are a sample; the sum is then an unbiased estimate.
        """
        costs = mean_weights(over_threshold(weights, self.l0_threshold, counts)).square()
        return costs.sum() if counts is None else costs @ counts.to(costs)


def mean_weights(weights: Tensor) -> Tensor:
    """Return each dimension's mean over the rows, shape [V]; 0 for no rows."""
    return weights.sum(dim=0) / max(weights.shape[0], 1)
