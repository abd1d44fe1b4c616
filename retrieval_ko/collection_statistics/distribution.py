"""A distribution of numbers, exact however many there are, since it counts each value once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Any

BINS = 24
_VALUES_WITH_A_BAR_EACH = 24


class Distribution:
    """Numbers of which many are equal: lengths, counts, shares of small numbers."""

    def __init__(self, values: Iterable[float] = ()) -> None:
        self._counts: Counter[float] = Counter(values)

    def add(self, value: float) -> None:
        """Count one more value."""
        self._counts[value] += 1

    @property
    def size(self) -> int:
        """How many values there are."""
        return self._counts.total()

    def count(self, value: float) -> int:
        """Return how often a value is there."""
        return self._counts[value]

    @property
    def mean(self) -> float:
        """Their mean; 0 where there is none."""
        return sum(value * count for value, count in self._counts.items()) / self.size if self.size else 0.0

    def quantile(self, share: float) -> float:
        """Return the smallest value that at least `share` (0 to 1) of all values do not exceed; 0 where there is none."""
        wanted = share * self.size
        below = 0
        for value in sorted(self._counts):
            below += self._counts[value]
            if below >= wanted:
                return value
        return 0.0

    def histogram(self) -> list[tuple[float, float, int]]:
        """Return (from, up to and without, count) of each bar, in order.

        Few distinct whole numbers have a bar each; else 24 bars reach to the 99th percentile and the last one holds all above.
        """
        if not self._counts:
            return []
        values = sorted(self._counts)
        if all(value == int(value) for value in values) and values[-1] - values[0] < _VALUES_WITH_A_BAR_EACH:
            whole = range(int(values[0]), int(values[-1]) + 1)
            return [(float(value), float(value + 1), self._counts[value]) for value in whole]
        if len(values) == 1:
            return [(values[0], values[0] + 1, self.size)]
        low, high = values[0], self.quantile(0.99)
        if high <= low:
            high = values[-1]
        width = (high - low) / BINS
        bars = [0] * BINS
        for value, count in self._counts.items():
            bars[min(int((value - low) / width), BINS - 1)] += count
        edges = [low + width * number for number in range(BINS)] + [max(high, values[-1])]
        return [(edges[number], edges[number + 1], bars[number]) for number in range(BINS)]

    def as_json(self) -> dict[str, Any]:
        """Return count, mean, minimum, median, 90th and 99th percentile, maximum and histogram; only the count where it is 0."""
        if not self.size:
            return {"count": 0}
        quantiles = {"min": 0.0, "median": 0.5, "p90": 0.9, "p99": 0.99, "max": 1.0}
        return {
            "count": self.size,
            "mean": round(self.mean, 4),
            **{name: round(self.quantile(share), 4) for name, share in quantiles.items()},
            "histogram": [[round(low, 4), round(high, 4), count] for low, high, count in self.histogram()],
        }
