"""The valid loss: the ranking loss of a run on dev queries, to be laid beside that of training."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor, nn

from retrieval_ko.collection import Collection
from retrieval_ko.evaluation.answers import answers_of
from training_ko.losses.embedded import Embedded
from training_ko.losses.infonce import InfoNce
from training_ko.losses.margin_ranking import MarginRanking
from training_ko.settings import RankingSettings


class DevLoss:
    """A ranking loss over batches of dev queries, each with one passage that answers it: always the same ones.

    The other answers of a batch are the negatives; what is known to answer a query too is none. A training batch may hold mined negatives
    besides, so the two losses differ in height: what tells is whether both fall, and whether one turns.

    Args:
        collection: with the split, as `dev_part` returned it.
        split: whose queries are asked.
        loss: of a batch.
        batch_size: queries a batch; the last one may be smaller.
    """

    def __init__(self, collection: Collection, split: str, loss: nn.Module, batch_size: int) -> None:
        self._answers = answers_of(collection, split)
        self._queries = list(self._answers)
        self._loss = loss
        self._batch_size = batch_size

    def __call__(self, embed: Callable[[slice, list[str]], tuple[Tensor, Tensor]]) -> float:
        """Return the mean over all queries.

        Args:
            embed: returns, for a slice of the split's queries and the ids of passages, their vectors, shapes [queries, V] and
                [passages, V]; any V that keeps their dot products.
        """
        losses, sizes = [], []
        with torch.no_grad():
            for start in range(0, len(self._queries), self._batch_size):
                asked = self._queries[start : start + self._batch_size]
                losses.append(float(self._loss(self._batch(asked, slice(start, start + len(asked)), embed))))
                sizes.append(len(asked))
        return float(np.average(losses, weights=sizes))

    def _batch(self, asked: list[str], rows: slice, embed: Callable[[slice, list[str]], tuple[Tensor, Tensor]]) -> Embedded:
        documents = list(dict.fromkeys(self._answers[query][0] for query in asked))
        place = {document: number for number, document in enumerate(documents)}
        relevant = torch.zeros(len(asked), len(documents), dtype=torch.bool)
        for row, query in enumerate(asked):
            relevant[row, [place[answer] for answer in self._answers[query] if answer in place]] = True
        positive = torch.tensor([place[self._answers[query][0]] for query in asked])
        queries, passages = embed(rows, documents)
        return Embedded(queries, passages, positive, positive.unsqueeze(1), relevant)


def dev_ranking_loss(settings: RankingSettings) -> nn.Module:
    """Return what a run's ranking loss is on dev: the same, but InfoNCE where a teacher's scores would be needed, which dev has not."""
    return MarginRanking(settings.margin) if settings.loss == "margin" else InfoNce(settings.temperature)
