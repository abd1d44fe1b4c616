"""A sparse encoder against the baselines, in process and exact."""

from __future__ import annotations

from retrieval_ko.collection import Collection
from retrieval_ko.evaluation.comparison import DEPTH, SystemResult, judge, queries_of
from sparse_ko.model import SparseEncoder
from sparse_ko.retrieval import SparseIndex, active_dimensions, expected_flops


def evaluate_encoder(encoder: SparseEncoder, name: str, collection: Collection, split: str, *, progress: bool = False) -> SystemResult:
    """Return the encoder's scores on a split, with its active dimensions and expected FLOPS.

    Raises:
        DataError: the collection has no such split.
    """
    queries = queries_of(collection, split)
    index = SparseIndex(encoder, collection.passages.values(), progress=progress)
    vectors = encoder.encode_query(list(queries.values()))
    rankings = dict(zip(queries, index.rank_vectors(vectors, DEPTH), strict=True))
    return judge(
        name,
        rankings,
        collection,
        split,
        doc_dims=active_dimensions(index.weights),
        query_dims=active_dimensions(vectors),
        flops=expected_flops(vectors, index.weights),
    )
