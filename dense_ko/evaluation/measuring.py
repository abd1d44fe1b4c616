"""A bi-encoder's row in the comparison: it encodes the collection, is asked a split's queries, and its rankings are judged."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from dense_ko.retrieval import DenseIndex, Vectors
from retrieval_ko.bm25 import Ranking
from retrieval_ko.collection import Collection, texts_of
from retrieval_ko.evaluation.judging import DEPTH, SystemResult, judge, queries_of
from training_ko.collator import count_cut, token_counts

if TYPE_CHECKING:
    from dense_ko.encoder import BiEncoder

TIMED_QUERIES = 100
WARM_UP_QUERIES = 5
SEARCHED_PLACES = 10
SHARES = (50, 90, 99)


@dataclass(frozen=True)
class MeasuredEncoder:
    """An encoder's scores on a split, and what they were computed from."""

    index: DenseIndex
    queries: dict[str, str]
    """query id → text."""
    vectors: Vectors
    """Of the queries, in their order, float32 [queries, dimensions]."""
    result: SystemResult

    def rankings(self, size: int = DEPTH) -> dict[str, Ranking]:
        """Return the first places of each query's ranking, by query id."""
        return dict(zip(self.queries, self.index.rankings(self.vectors, size), strict=True))


def measure_encoder(
    encoder: BiEncoder,
    name: str,
    collection: Collection,
    split: str,
    *,
    depth: int = DEPTH,
    on_progress: Callable[[int], None] | None = None,
) -> MeasuredEncoder:
    """Encode a collection and judge the encoder on a split.

    Args:
        encoder: what is measured.
        name: of its row.
        collection: what it encodes.
        split: whose queries it is asked.
        depth: places of a ranking.
        on_progress: told how many passages are encoded.

    Raises:
        DataError: the collection has no such split.
    """
    queries = queries_of(collection, split)
    begin = time.perf_counter()
    index = DenseIndex.of(encoder, collection.passages.values(), on_progress)
    seconds = time.perf_counter() - begin
    vectors = encoder.encode_queries(list(queries.values()))
    result = judge(name, zip(queries, index.rankings(vectors, depth), strict=True), collection, split, depth=depth)
    result.facts.update(
        template=str(encoder.template),
        dimensions=encoder.get_embedding_dimension(),
        cut=_cut_shares(encoder, collection, queries.values()),
        latency={**_latency(encoder, index, list(queries.values())), "passages_per_second": round(len(index.ids) / seconds, 1)},
    )
    return MeasuredEncoder(index, queries, vectors, result)


def _cut_shares(encoder: BiEncoder, collection: Collection, queries: Iterable[str]) -> dict[str, float]:
    """Return the share of the passages, and of the queries, that have more tokens than the encoder reads; the template counts too."""
    texts = {
        "passages": [encoder.record.passage_prefix + text for text in texts_of(collection.passages.values())],
        "queries": [encoder.record.query_prefix + text for text in queries],
    }
    limits = {"passages": encoder.get_max_seq_length("document"), "queries": encoder.get_max_seq_length("query")}
    return {
        side: round(count_cut(token_counts(encoder.tokenizer, given), limits[side]) / max(len(given), 1), 4)
        for side, given in texts.items()
    }


def _latency(encoder: BiEncoder, index: DenseIndex, queries: list[str]) -> dict[str, Any]:
    """Return milliseconds a query to encode it (`encode_ms`) and to find its ten best passages (`search_ms`), one query after the other."""
    drawn = queries[:: max(1, len(queries) // TIMED_QUERIES)][:TIMED_QUERIES]
    times: dict[str, list[float]] = {"encode_ms": [], "search_ms": []}
    for number, text in enumerate([*drawn[:WARM_UP_QUERIES], *drawn]):
        begin = time.perf_counter()
        vector = encoder.encode_queries([text])
        encoded = time.perf_counter()
        list(index.rankings(vector, SEARCHED_PLACES))
        if number >= len(drawn[:WARM_UP_QUERIES]):
            times["encode_ms"].append((encoded - begin) * 1000)
            times["search_ms"].append((time.perf_counter() - encoded) * 1000)
    return {name: {f"p{share}": round(float(np.percentile(values, share)), 3) for share in SHARES} for name, values in times.items()}
