"""Margin ranking: the positive must lead every negative by a fixed distance."""

from __future__ import annotations

from torch import Tensor, nn

from training_ko.losses.embedded import Embedded, masked_mean


class MarginRanking(nn.Module):
    """Mean shortfall of the positive's lead.

    mean over (i, d ∈ N_i) of relu(margin - s(q_i, d⁺) + s(q_i, d))
    (Weston and Watkins 1999; the margin of 0.1 is the project's first specification). Dot products of sparse weights
    run to tens, so 0.1 is soon met and the gradient soon gone; InfoNCE goes on.

    Args:
        margin: the lead that costs nothing.
        in_batch: whether N_i holds the documents of all queries of the batch, or those of query i alone.
    """

    def __init__(self, margin: float = 0.1, *, in_batch: bool = True) -> None:
        super().__init__()
        self.margin = margin
        self.in_batch = in_batch

    def forward(self, batch: Embedded) -> Tensor:
        """Return the mean over all pairs of a query and a negative; 0 where there is no negative."""
        scores, negatives = batch.rivals(in_batch=self.in_batch)
        shortfall = (self.margin - batch.positive_scores().unsqueeze(1) + scores).relu()
        return masked_mean(shortfall, negatives)
