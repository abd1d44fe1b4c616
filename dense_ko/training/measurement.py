"""How good a bi-encoder is on dev, while it is trained: exact search, always over the same queries and passages."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch

from dense_ko.retrieval import DenseIndex, Vectors
from dense_ko.training.loss import MNR_TEMPERATURE, mnr_loss
from retrieval_ko.collection import Collection, parents_of
from retrieval_ko.evaluation.judging import DEPTH, judge, queries_of
from training_ko.dev_part import dev_part
from training_ko.losses import Embedded
from training_ko.recording import DEV_METRIC

if TYPE_CHECKING:
    from dense_ko.encoder import BiEncoder

METRICS = ("ndcg@10", "ndcg@5", "mrr@10", "recall@10", "recall@5")


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
        self._answers = _answers(self.collection, split)
        self._loss = mnr_loss(temperature)
        self._batch_size = batch_size

    def __call__(self, encoder: BiEncoder) -> dict[str, float]:
        """Return dev_ndcg@10, dev_ndcg@5, dev_mrr@10, dev_recall@10, dev_recall@5 and dev_loss of an encoder."""
        index = DenseIndex.of(encoder, self.collection.passages.values())
        vectors = encoder.encode_queries(list(self._queries.values()))
        rankings = zip(self._queries, index.rankings(vectors, DEPTH), strict=True)
        means = judge("dev", rankings, self.collection, self._split).scores.mean
        figures = {f"dev_{metric}": means[metric] for metric in METRICS}
        return {DEV_METRIC: figures.pop(DEV_METRIC), **figures, "dev_loss": self._mean_loss(index, vectors)}

    def _mean_loss(self, index: DenseIndex, vectors: Vectors) -> float:
        asked = list(self._queries)
        batches = [range(start, min(start + self._batch_size, len(asked))) for start in range(0, len(asked), self._batch_size)]
        losses = [float(self._loss(self._batch(index, vectors, [asked[place] for place in batch], batch))) for batch in batches]
        return float(np.average(losses, weights=[len(batch) for batch in batches]))

    def _batch(self, index: DenseIndex, vectors: Vectors, asked: list[str], rows: range) -> Embedded:
        """Return queries of the split with a passage that answers each; what answers another one too is no negative of it."""
        documents = list(dict.fromkeys(self._answers[query][0] for query in asked))
        relevant = torch.tensor([[document in self._answers[query] for document in documents] for query in asked])
        positive = torch.tensor([documents.index(self._answers[query][0]) for query in asked])
        return Embedded(
            queries=torch.from_numpy(vectors[rows.start : rows.stop]),
            documents=torch.from_numpy(index.vectors[[index.rows[document] for document in documents]]),
            positive=positive,
            candidates=positive.unsqueeze(1),
            relevant=relevant,
        )


def _answers(collection: Collection, split: str) -> dict[str, list[str]]:
    """Return the passages that answer each query; where judgements name parents, all passages of the relevant ones."""
    relevant = collection.relevant(split)
    if collection.judged == "passage":
        return relevant
    parts: dict[str, list[str]] = {}
    for passage, parent in parents_of(collection.passages.values()).items():
        parts.setdefault(parent, []).append(passage)
    return {query: [passage for parent in parents for passage in parts[parent]] for query, parents in relevant.items()}
