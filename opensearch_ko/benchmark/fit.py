"""A straight line through few points: what there is at once, and what each million passages adds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Line:
    """value = base + per_million · passages / 1,000,000, by least squares.

    Args:
        base: of an empty index; below 0 where growth is not quite straight.
        per_million: what a million passages adds.
        points: how many sizes were measured.
        largest_residual: the furthest that a point lies off the line, as a share of its value; None for two points, which no line misses.
    """

    base: float
    per_million: float
    points: int
    largest_residual: float | None

    def at(self, passages: float) -> float:
        """Return the value at a number of passages: a calculation, not a measurement, beyond the sizes that were measured."""
        return self.base + self.per_million * passages / 1e6

    def as_json(self) -> dict[str, Any]:
        """Return the line as JSON values of five significant digits."""
        return {name: float(f"{value:.5g}") if isinstance(value, float) else value for name, value in asdict(self).items()}


def fit_line(passages: Sequence[int], values: Sequence[float]) -> Line:
    """Return the line of least squares.

    Raises:
        ValueError: fewer than two different sizes.
    """
    if len(set(passages)) < 2:
        raise ValueError("a line needs two different sizes")
    millions = np.array(passages, dtype=float) / 1e6
    measured = np.array(values, dtype=float)
    slope, base = np.polyfit(millions, measured, 1)
    residual = None
    if len(passages) > 2:
        missed = np.abs(base + slope * millions - measured)
        residual = float(np.max(missed / np.maximum(np.abs(measured), 1e-12)))
    return Line(float(base), float(slope), len(passages), residual)
