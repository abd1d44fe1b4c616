"""How good an encoder is on dev, while it is trained: exact search, always over the same queries and passages."""

from __future__ import annotations

from retrieval_ko.collection import Collection
from retrieval_ko.evaluation.judging import DEPTH, judge, queries_of
from sparse_ko.model import SparseEncoder
from sparse_ko.retrieval import SparseIndex, active_dimensions
from training_ko.dev_part import dev_part
from training_ko.recording import DEV_METRIC


class DevMeasurement:
    """nDCG@10 and active dimensions on a part of a split that is drawn once, by a hash of the ids.

    Args:
        collection: with the split.
        split: whose queries are asked.
        queries: that are asked, at most.
        passages: that are searched, at most, but never fewer than the relevant ones; None: all.

    Raises:
        DataError: the collection has no such split.
    """

    def __init__(self, collection: Collection, split: str, queries: int, passages: int | None = None) -> None:
        self.collection = dev_part(collection, split, queries, passages)
        self._split = split
        self._queries = queries_of(self.collection, split)

    def __call__(self, encoder: SparseEncoder) -> dict[str, float]:
        """Return dev_ndcg@10, dev_document_dims and dev_query_dims of an encoder."""
        index = SparseIndex(encoder, self.collection.passages.values())
        vectors = encoder.encode_query(list(self._queries.values()))
        rankings = zip(self._queries, index.rankings(vectors, DEPTH), strict=True)
        return {
            DEV_METRIC: judge("dev", rankings, self.collection, self._split).scores.mean["ndcg@10"],
            "dev_document_dims": active_dimensions(index.weights),
            "dev_query_dims": active_dimensions(vectors),
        }
