"""Milliseconds, and what may be said of them: percentiles that the number of samples carries, ratios with an interval."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

LEAST_SAMPLES = {"p50": 1, "p90": 10, "p99": 100, "p99.9": 1000}
"""A percentile is given from so many samples on: OpenSearch Benchmark's rule (osbenchmark/metrics.py)."""

_RESAMPLES = 2000
_RESAMPLES_AT_ONCE = 100


@dataclass(frozen=True)
class Timing:
    """One query asked once by one mode."""

    query: str
    encode_ms: float
    """Reading the query on this machine: Kiwi, a tokenizer, a model."""
    service_ms: float
    """From sending the request to the whole answer, decoded: the network, the node's queue and a model in the node included."""
    took_ms: float
    """The node's own word, in whole milliseconds."""

    @property
    def total_ms(self) -> float:
        """What a user waits for: encode and service."""
        return self.encode_ms + self.service_ms


def percentiles(values: Sequence[float]) -> dict[str, float]:
    """Return the percentiles that so many values carry, interpolated linearly between neighbours, rounded to a hundredth."""
    return {name: round(float(np.percentile(values, float(name[1:]))), 2) for name, least in LEAST_SAMPLES.items() if len(values) >= least}


def timing_json(timings: Sequence[Timing]) -> dict[str, Any]:
    """Return percentiles of encode, service, their sum and `took`, and the queries a second of one client that waits for answers."""
    parts = {
        name: percentiles([getattr(timing, name) for timing in timings]) for name in ("encode_ms", "service_ms", "total_ms", "took_ms")
    }
    seconds = sum(timing.total_ms for timing in timings) / 1000
    return {**parts, "samples": len(timings), "qps": round(len(timings) / seconds, 1) if seconds else 0.0}


def median_ratio(timings: Sequence[Timing], baseline: Sequence[Timing], part: str = "service_ms", seed: int = 0) -> dict[str, float]:
    """Return {"ratio", "low", "high"}: a mode's p50 over the baseline's, and the 95 % bootstrap interval of that ratio.

    Queries are drawn with replacement, and both modes keep the same draw with all its rounds, so what makes a query slow for both
    does not widen the interval.

    Args:
        timings: of the mode.
        baseline: of the same queries, as often.
        part: which milliseconds: "service_ms", "encode_ms", "total_ms" or "took_ms".
        seed: of the draws.

    Raises:
        ValueError: the two were not asked the same queries equally often.
    """
    first, second = (_by_query(side, part) for side in (timings, baseline))
    if first.keys() != second.keys() or {len(held) for held in first.values()} != {len(held) for held in second.values()}:
        raise ValueError("a paired ratio needs both modes timed on the same queries, equally often")
    queries = sorted(first)
    above, below = (np.array([held[query] for query in queries]) for held in (first, second))
    rng = np.random.default_rng(seed)
    ratios = []
    for _ in range(_RESAMPLES // _RESAMPLES_AT_ONCE):
        drawn = rng.integers(len(queries), size=(_RESAMPLES_AT_ONCE, len(queries)))
        medians = [np.median(side[drawn].reshape(_RESAMPLES_AT_ONCE, -1), axis=1) for side in (above, below)]
        ratios.append(medians[0] / medians[1])
    low, high = np.percentile(np.concatenate(ratios), (2.5, 97.5))
    return {"ratio": round(float(np.median(above) / np.median(below)), 3), "low": round(float(low), 3), "high": round(float(high), 3)}


def _by_query(timings: Sequence[Timing], part: str) -> dict[str, list[float]]:
    held: dict[str, list[float]] = {}
    for timing in timings:
        held.setdefault(timing.query, []).append(getattr(timing, part))
    return held
