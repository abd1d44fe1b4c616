"""How good a bi-encoder is on dev, while it is trained: exact search, always over the same queries and passages."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from dense_ko.retrieval import DenseIndex
from dense_ko.training.loss import MNR_TEMPERATURE, mnr_loss
from retrieval_ko.collection import Collection
from retrieval_ko.evaluation.judging import DEPTH, judge, queries_of
from training_ko.dev_figures import DevFigures, dev_means
from training_ko.dev_loss import DevLoss
from training_ko.dev_part import dev_part

if TYPE_CHECKING:
    from dense_ko.encoder import BiEncoder


class DevMeasurement:
    """Quality and loss on a part of a split that is drawn once, by a hash of the ids.

    The loss is that of multiple negatives ranking over batches of dev queries, so it may be laid beside that of training: where one falls
    and the other rises, the encoder learns its pairs by heart.

    Args:
        collection: with the split.
        split: whose queries are asked.
        queries: that are asked, at most.
        passages: that are searched, at most, but never fewer than the relevant ones; None: all.
        temperature: of the loss.
        batch_size: of the loss.

    Raises:
        DataError: the collection has no such split.
    """

    def __init__(
        self,
        collection: Collection,
        split: str,
        queries: int,
        passages: int | None = None,
        *,
        temperature: float = MNR_TEMPERATURE,
        batch_size: int = 64,
    ) -> None:
        self.collection = dev_part(collection, split, queries, passages)
        self._split = split
        self._queries = queries_of(self.collection, split)
        self._loss = DevLoss(self.collection, split, mnr_loss(temperature), batch_size)

    def __call__(self, encoder: BiEncoder) -> DevFigures:
        """Return dev_ndcg@10, dev_ndcg@5, dev_mrr@10, dev_recall@10, dev_recall@5 and dev_loss of an encoder."""
        index = DenseIndex.of(encoder, self.collection.passages.values())
        vectors = encoder.encode_queries(list(self._queries.values()))
        rankings = zip(self._queries, index.rankings(vectors, DEPTH), strict=True)
        result = judge("dev", rankings, self.collection, self._split)
        loss = self._loss(
            lambda rows, passages: (torch.from_numpy(vectors[rows]), torch.from_numpy(index.vectors[[index.rows[p] for p in passages]]))
        )
        return DevFigures({**dev_means(result), "dev_loss": loss}, result, self.collection, self._split)
