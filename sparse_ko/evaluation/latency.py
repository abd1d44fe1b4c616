"""How long an encoder takes in process: reading a query, searching for it, encoding passages. One thing at a time, after a warm-up."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from retrieval_ko.records import Passage
from sparse_ko.evaluation.measuring import MeasuredEncoder
from sparse_ko.retrieval import encode_in_parts

if TYPE_CHECKING:
    from sparse_ko.model import SparseEncoder

TIMED_QUERIES = 200
WARM_UP_QUERIES = 10
TIMED_PASSAGES = 64
SEARCHED_PLACES = 10


def percentiles(seconds: Sequence[float]) -> dict[str, float]:
    """Return p50, p90 and p99 in milliseconds."""
    return {f"p{share}": round(float(np.percentile(seconds, share)) * 1000, 3) for share in (50, 90, 99)} if seconds else {}


def latency(measured: MeasuredEncoder, passages: Sequence[Passage]) -> dict[str, Any]:
    """Return milliseconds a query to encode it (`encode_ms`) and to find its ten best passages (`search_ms`), and passages a second.

    One query after the other, up to 200 of them drawn evenly; search is exact and on one thread.
    """
    texts = list(measured.queries.values())
    drawn = texts[:: max(1, len(texts) // TIMED_QUERIES)][:TIMED_QUERIES]
    for text in drawn[:WARM_UP_QUERIES]:
        measured.index.rank_vectors(measured.encoder.encode_query([text]), SEARCHED_PLACES)
    encode, search = [], []
    for text in drawn:
        begin = time.perf_counter()
        vector = measured.encoder.encode_query([text])
        encoded = time.perf_counter()
        measured.index.rank_vectors(vector, SEARCHED_PLACES)
        encode.append(encoded - begin)
        search.append(time.perf_counter() - encoded)
    speed = measured.passages_per_second or _passages_per_second(measured.encoder, passages)
    return {"encode_ms": percentiles(encode), "search_ms": percentiles(search), "passages_per_second": round(speed, 1)}


def _passages_per_second(encoder: SparseEncoder, passages: Sequence[Passage]) -> float:
    drawn = passages[:: max(1, len(passages) // TIMED_PASSAGES)][:TIMED_PASSAGES]
    seconds = _timed(lambda: encode_in_parts(encoder, drawn))
    return len(drawn) / seconds if seconds else 0.0


def _timed(work: Callable[[], object]) -> float:
    begin = time.perf_counter()
    work()
    return time.perf_counter() - begin
