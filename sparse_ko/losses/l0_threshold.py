"""The ℓ0 threshold: texts that are sparse already cost nothing."""

from __future__ import annotations

from torch import Tensor


def over_threshold(weights: Tensor, threshold: int) -> Tensor:
    """Return `weights` with the rows of at most `threshold` active dimensions set to 0.

    w_i · 1[‖w_i‖₀ > t], inside the mean: a row that is masked still counts in N
    (ℓ0-inspired sparsification, Geng et al. 2025, arXiv 2504.14839; OpenSearch's doc-v3 uses t = 150).

    Args:
        weights: shape [n, V], all ≥ 0.
        threshold: t; 0 leaves every row as it is.
    """
    if not threshold:
        return weights
    active = (weights > 0).sum(dim=1, keepdim=True)
    return weights * (active > threshold)
