"""A run's events as curves: training step → value."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

VALID_LOSS = "dev_loss"
QUALITY = ("dev_ndcg@10", "dev_accuracy")
"""What decides which model is kept: of retrieval, and of masked language modelling. A run has one of them."""


@dataclass(frozen=True)
class Curve:
    """One figure over the steps, in the order it was recorded; a resumed run has no step twice."""

    steps: tuple[int, ...] = ()
    values: tuple[float, ...] = ()

    def __len__(self) -> int:
        """Return the number of points."""
        return len(self.steps)

    def finite(self) -> Curve:
        """Return the curve without what is no number."""
        kept = [(step, value) for step, value in zip(self.steps, self.values, strict=True) if math.isfinite(value)]
        return Curve(tuple(step for step, _ in kept), tuple(value for _, value in kept))

    def averaged(self, points: int) -> Curve:
        """Return at most `points` points, each the mean of equally many neighbours; a curve that is short already stays as it is."""
        if len(self) <= points:
            return self
        bounds = [len(self) * number // points for number in range(points + 1)]
        parts = [slice(start, end) for start, end in pairwise(bounds)]
        return Curve(
            tuple(self.steps[part][-1] for part in parts), tuple(sum(self.values[part]) / len(self.values[part]) for part in parts)
        )


def curve(events: Iterable[Mapping[str, Any]], name: str) -> Curve:
    """Return the curve of one figure; empty where it was never recorded."""
    found = [
        (int(event["step"]), float(event[name]))
        for event in events
        if "step" in event and isinstance(event.get(name), int | float) and not isinstance(event[name], bool)
    ]
    return Curve(tuple(step for step, _ in found), tuple(value for _, value in found))


def train_loss(events: Sequence[Mapping[str, Any]]) -> tuple[str, Curve]:
    """Return the name and curve of the loss that the valid loss is laid beside.

    That is the ranking part where a run records it: the total holds a weight of sparsity that grows while it is warmed up, so it may rise
    while everything goes well.
    """
    parts = curve(events, "ranking")
    return ("ranking", parts) if len(parts) else ("loss", curve(events, "loss"))


def quality(events: Sequence[Mapping[str, Any]]) -> tuple[str, Curve]:
    """Return the name and curve of what decides which model is kept; the first name and an empty curve where nothing was measured."""
    for name in QUALITY:
        if len(found := curve(events, name)):
            return name, found
    return QUALITY[0], Curve()


def not_numbers(events: Iterable[Mapping[str, Any]]) -> list[tuple[int, str]]:
    """Return (step, name) of every loss, gradient or dev figure that is NaN or infinite."""
    return [
        (int(event.get("step", 0)), name)
        for event in events
        for name, value in event.items()
        if isinstance(value, float) and not math.isfinite(value)
    ]
