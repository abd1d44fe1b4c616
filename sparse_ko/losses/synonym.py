"""The cross-lingual loss: the two sides of a synonym pair mean the same."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from training_ko.losses.embedded import masked_mean


class SynonymLoss(nn.Module):
    """Mean distance of the two sides' directions.

    1/S Σ_i (1 - cos(v_i^ko, v_i^en)) (the project's first specification, its β term).

    Both sides are encoded as documents, through the network: a term of several pieces is one text with one vector, like any other, and
    where a query is a table over its own tokens only the network can learn that 계약 means contract. The loss pulls and never
    pushes; taken alone it is 0 where all texts are alike. Train on the pairs as well (`synonyms.as_pairs`), which brings negatives.

    A side without any weight has no direction: its pair costs 1 and gives no gradient.
    """

    def forward(self, korean: Tensor, english: Tensor) -> Tensor:
        """Return the mean over the pairs, between 0 and 1, of weights ≥ 0 of shape [S, V] each; 0 where S is 0."""
        losses = 1 - (_unit(korean) * _unit(english)).sum(dim=1)
        return masked_mean(losses, torch.ones_like(losses, dtype=torch.bool))


def _unit(weights: Tensor) -> Tensor:
    """Return the rows at length 1; rows of zeros stay zeros, with gradient 0."""
    if not weights.numel():
        return weights
    # by the largest entry first: the square of a small weight is 0 in 32 bits
    largest = weights.detach().amax(dim=1, keepdim=True)
    scaled = weights / torch.where(largest > 0, largest, 1.0)
    squares = scaled.square().sum(dim=1, keepdim=True)
    unit = scaled / torch.where(largest > 0, squares, 1.0).sqrt()  # no square root of 0: its gradient is infinite
    return torch.where(largest > 0, unit, 0.0)
