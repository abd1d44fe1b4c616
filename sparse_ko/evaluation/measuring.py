"""An encoder's row in the comparison: it encodes the collection, is asked a split's queries, and its rankings are judged."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from scipy.sparse import csr_matrix

from retrieval_ko.collection import Collection
from retrieval_ko.errors import DataError
from retrieval_ko.evaluation.judging import DEPTH, SystemResult, judge, queries_of
from sparse_ko.evaluation.encoded_passages import EncodedPassages
from sparse_ko.retrieval import SparseIndex, active_dimensions, expected_flops

if TYPE_CHECKING:
    from sparse_ko.model import SparseEncoder


@dataclass(frozen=True)
class MeasuredEncoder:
    """An encoder's scores on a split, and what they were computed from."""

    encoder: SparseEncoder
    index: SparseIndex
    queries: dict[str, str]
    """query id → text."""
    vectors: csr_matrix
    """Of the queries, in their order, shape [queries, vocabulary]."""
    result: SystemResult
    passages_per_second: float | None
    """While the collection was encoded; None where its weights were kept from an earlier run."""


def measure_encoder(
    encoder: SparseEncoder,
    name: str,
    collection: Collection,
    split: str,
    *,
    depth: int = DEPTH,
    workers: int = 1,
    kept: EncodedPassages | None = None,
    on_progress: Callable[[int], None] | None = None,
) -> MeasuredEncoder:
    """Encode a collection and judge the encoder on a split.

    Args:
        encoder: what is measured.
        name: of its row.
        collection: what it encodes.
        split: whose queries it is asked.
        depth: places of a ranking.
        workers: threads that search; they change no result.
        kept: where the passages' weights are kept between runs; None keeps nothing.
        on_progress: told how many passages are encoded.

    Raises:
        DataError: the collection has no such split, or the kept weights are damaged.
    """
    queries = queries_of(collection, split)
    weights = kept.load() if kept else None
    if kept and weights is not None and weights.shape != (len(collection.passages), len(encoder.tokenizer)):
        raise DataError(f"The kept weights {kept.path} are those of other passages.", f"Delete the file, it is made anew: rm {kept.path}")
    begin = time.perf_counter()
    index = SparseIndex(encoder, collection.passages.values(), weights=weights, on_progress=on_progress, workers=workers)
    seconds = time.perf_counter() - begin
    if kept and weights is None:
        kept.save(index.ids, index.weights)
    vectors = encoder.encode_query(list(queries.values()))
    result = judge(
        name,
        zip(queries, index.rankings(vectors, depth), strict=True),
        collection,
        split,
        depth=depth,
        doc_dims=active_dimensions(index.weights),
        query_dims=active_dimensions(vectors),
        flops=expected_flops(vectors, index.weights),
    )
    return MeasuredEncoder(encoder, index, queries, vectors, result, len(index.ids) / seconds if weights is None else None)


def evaluate_encoder(encoder: SparseEncoder, name: str, collection: Collection, split: str) -> SystemResult:
    """Return the encoder's scores on a split, with its active dimensions and expected FLOPS.

    Raises:
        DataError: the collection has no such split.
    """
    return measure_encoder(encoder, name, collection, split).result
