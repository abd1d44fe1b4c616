"""How good an encoder is on dev, while it is trained: exact search, always over the same queries and passages."""

from __future__ import annotations

import numpy as np
import torch
from scipy.sparse import csr_matrix
from torch import Tensor

from retrieval_ko.collection import Collection
from retrieval_ko.evaluation.judging import DEPTH, judge, queries_of
from sparse_ko.model import SparseEncoder
from sparse_ko.retrieval import SparseIndex, active_dimensions, expected_flops
from training_ko.dev_figures import DevFigures, dev_means
from training_ko.dev_loss import DevLoss, dev_ranking_loss
from training_ko.dev_part import dev_part
from training_ko.settings import RankingSettings


class DevMeasurement:
    """Quality, loss and active dimensions on a part of a split that is drawn once, by a hash of the ids.

    Args:
        collection: with the split.
        split: whose queries are asked.
        queries: that are asked, at most.
        passages: that are searched, at most, but never fewer than the relevant ones; None: all.
        ranking: the loss of the run; None: the default one.
        batch_size: queries in a batch of that loss.

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
        ranking: RankingSettings | None = None,
        batch_size: int = 64,
    ) -> None:
        self.collection = dev_part(collection, split, queries, passages)
        self._split = split
        self._queries = queries_of(self.collection, split)
        self._loss = DevLoss(self.collection, split, dev_ranking_loss(ranking or RankingSettings()), batch_size)

    def __call__(self, encoder: SparseEncoder) -> DevFigures:
        """Return dev_ndcg@10 and further metrics, dev_loss, dev_document_dims, dev_query_dims and dev_flops of an encoder."""
        index = SparseIndex(encoder, self.collection.passages.values())
        vectors = encoder.encode_query(list(self._queries.values()))
        rankings = zip(self._queries, index.rankings(vectors, DEPTH), strict=True)
        result = judge("dev", rankings, self.collection, self._split)
        figures = {
            **dev_means(result),
            "dev_loss": self._loss(
                lambda rows, passages: _shared_dimensions(vectors[rows], index.weights[[index.rows[p] for p in passages]])
            ),
            "dev_document_dims": active_dimensions(index.weights),
            "dev_query_dims": active_dimensions(vectors),
            "dev_flops": expected_flops(vectors, index.weights),
        }
        return DevFigures(figures, result, self.collection, self._split)


def _shared_dimensions(queries: csr_matrix, passages: csr_matrix) -> tuple[Tensor, Tensor]:
    """Return both as full vectors over the dimensions that a query has; the others add nothing to a dot product."""
    used = np.unique(queries.indices)
    return torch.from_numpy(queries[:, used].toarray()), torch.from_numpy(passages[:, used].toarray())
