"""The trainer of every encoder, told what a bi-encoder's run has of its own."""

from __future__ import annotations

from training_ko.trainer import WholeBatchTrainer

HEADLINE = {
    "loss": "loss {:.3f}",
    "first": "{:.0%} of the positives first",
    "held_back": "{:.1%} of the negatives held back",
    "dev_ndcg@10": "dev nDCG@10 {:.3f}",
    "dev_loss": "dev loss {:.3f}",
}
"""What the line of progress says, in this order, as far as it was logged."""


class DenseTrainer(WholeBatchTrainer):
    """Trains a bi-encoder; every model may be the best, and none before the end of the warm-up counts against patience."""

    def settled_from(self) -> float:
        """Return the end of the learning rate's warm-up."""
        return self._settings.warmup_ratio
