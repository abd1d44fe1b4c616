"""The ℓ0 threshold: texts that are sparse already cost nothing."""

from __future__ import annotations

from torch import Tensor


def over_threshold(weights: Tensor, threshold: int, counts: Tensor | None = None) -> Tensor:
    """Return `weights` with the rows of at most `threshold` active dimensions set to 0.

    w_i · 1[‖w_i‖₀ > t], inside the mean: a row that is masked still counts in N
    (ℓ0-inspired sparsification, Geng et al. 2025, arXiv 2504.14839; OpenSearch's doc-v3 uses t = 150).

    Args:
        weights: shape [n, V], all ≥ 0.
        threshold: t; 0 leaves every row as it is.
        counts: how many dimensions each of the V stands for, shape [V]; None: one.
    """
    if not threshold:
        return weights
    return weights * (active_dimensions(weights, counts) > threshold).unsqueeze(1)


def active_dimensions(weights: Tensor, counts: Tensor | None = None) -> Tensor:
    """Return how many dimensions of each row are above 0, shape [n]; `counts` as above."""
    active = weights > 0
    return active.sum(dim=1) if counts is None else active.to(counts.dtype) @ counts
