"""Anti-collapse: a text with no weight at all cannot be found."""

from __future__ import annotations

from torch import Tensor, nn


class AntiCollapse(nn.Module):
    """Cost of texts that are about to lose their last dimension.

    1/N Σ_i e^{-‖w_i‖₁}: 1 for a text without weights, 0.007 at a sum of 5, nothing at the sums of a healthy encoder (10 to 100);
    value and gradient are bounded. (Ours. It replaces the reciprocal squares seen elsewhere, which have no limit at 0.)

    It works before the collapse: where every logit is below 0, ReLU passes no gradient and no term brings the text back.
    """

    def forward(self, weights: Tensor) -> Tensor:
        """Return the cost of `weights`, shape [n, V], all ≥ 0; 0 where n is 0."""
        return (-weights.sum(dim=1)).exp().sum() / max(weights.shape[0], 1)
