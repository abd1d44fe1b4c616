"""DF-FLOPS: FLOPS that spares rare dimensions and charges those that most documents use."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn

from sparse_ko.losses.flops import mean_weights
from sparse_ko.losses.l0_threshold import over_threshold


class DfFlops(nn.Module):
    """FLOPS in which a dimension costs more, the more documents use it.

    Σ_j (ω_j/N Σ_i w_ij)², ω_j = activation(DF_j / |C|) (Porco et al. 2025, arXiv 2505.15070). FLOPS alone lets a particle or an
    ending stand in every document with a small weight; its posting list is then as long as the index.

    The paper counts DF on validation documents every 100 steps. Here it is an average over the batches seen: a plain mean at
    first, and exponential once 1 / `batches` is below `rate`. It lives in `state_dict`, for a run that is resumed.

    Args:
        alpha: the document frequency at which ω is 1/2, between 0 and 1.
        beta: how sharp the step from 0 to 1 is.
        rate: share of a batch in the average.
        l0_threshold: rows with at most so many active dimensions count as 0 (they still count in DF).
        document_frequency: share of the documents that use each dimension, shape [V], where it is known: then it is never refreshed.
    """

    document_frequency: Tensor
    batches: Tensor

    def __init__(
        self,
        alpha: float = 0.1,
        beta: float = 10.0,
        *,
        rate: float = 0.01,
        l0_threshold: int = 0,
        document_frequency: Tensor | None = None,
    ) -> None:
        super().__init__()
        self.alpha, self.beta, self.rate, self.l0_threshold = alpha, beta, rate, l0_threshold
        self.refreshed = document_frequency is None
        self.register_buffer("document_frequency", torch.zeros(0) if document_frequency is None else document_frequency.clone())
        self.register_buffer("batches", torch.zeros((), dtype=torch.int64))

    def forward(self, weights: Tensor) -> Tensor:
        """Return the cost of `weights`, shape [n, V], all ≥ 0; while training, refresh the document frequencies first."""
        if self.refreshed and self.training:
            self._refresh(weights.detach())
        frequency = self.document_frequency
        if frequency.numel() != weights.shape[1]:  # nothing measured yet
            frequency = weights.new_ones(weights.shape[1])
        activation = frequency_activation(frequency.to(weights), self.alpha, self.beta)
        return (activation * mean_weights(over_threshold(weights, self.l0_threshold))).square().sum()

    def _refresh(self, weights: Tensor) -> None:
        if not weights.shape[0]:
            return
        measured = (weights > 0).to(weights.dtype).mean(dim=0)
        if not self.document_frequency.numel():
            self.document_frequency = torch.zeros_like(measured)
        self.batches = (self.batches + 1).to(measured.device)
        rate = torch.clamp(1 / self.batches, min=self.rate).to(measured)
        self.document_frequency = torch.lerp(self.document_frequency.to(measured), measured, rate)

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *others: Any) -> None:  # noqa: ANN401
        saved = state_dict.get(f"{prefix}document_frequency")
        if saved is not None:  # its length is the vocabulary's, unknown before the first batch
            self.document_frequency = self.document_frequency.new_zeros(saved.shape)
        super()._load_from_state_dict(state_dict, prefix, *others)


def frequency_activation(frequency: Tensor, alpha: float, beta: float) -> Tensor:
    """Return ω = 1 / (1 + (x^{log_α 2} - 1)^β) of every share x in [0, 1]: 0 at 0, 1/2 at α, 1 at 1, rising in between."""
    exponent = math.log(2) / math.log(alpha)
    excess = frequency.clamp(min=torch.finfo(frequency.dtype).tiny, max=1.0).pow(exponent) - 1
    # through the logarithm: the β-th power of a rare dimension's excess is too large for 32 bits
    return torch.where(frequency > 0, torch.sigmoid(-beta * excess.clamp(min=torch.finfo(excess.dtype).tiny).log()), 0.0)
