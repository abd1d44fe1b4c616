"""What a sweep looks at: the name a person writes, the key in a run's events, and the value of a run."""

from __future__ import annotations

import difflib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from retrieval_ko.errors import DataError, UsageError

Goal = Literal["maximize", "minimize"]
COSTS = ("dims", "flops", "loss")
"""Parts of the names of what is better where it is smaller."""


@dataclass(frozen=True)
class Objective:
    """One figure that a sweep drives up or down.

    Args:
        key: its key in events.jsonl, such as dev_ndcg@10.
        goal: where to.
    """

    key: str
    goal: Goal

    @property
    def name(self) -> str:
        """How it is written in a sweep's file."""
        return spelt(self.key)

    @property
    def words(self) -> str:
        """How it is named to a person."""
        return self.key.removeprefix("dev_").replace("ndcg", "nDCG").replace("mrr", "MRR").replace("_", " ")

    def better(self, value: float, other: float) -> bool:
        """Return whether one value is better than another."""
        return value > other if self.goal == "maximize" else value < other


def spelt(key: str) -> str:
    """Return the published spelling of a key of the events: dev_ndcg@10 is eval/ndcg_at_10."""
    return "eval/" + key.removeprefix("dev_").replace("@", "_at_")


def objective(name: str, goal: str | None, known: Sequence[str]) -> Objective:
    """Return what a metric's name stands for.

    Args:
        name: eval/ndcg_at_10, or the key of the events, dev_ndcg@10.
        goal: "maximize" or "minimize"; None: what the name suggests.
        known: keys that a run's events have.

    Raises:
        UsageError: there is no such metric; names the nearest one.
    """
    plain = name.strip().lower().removeprefix("eval/").removeprefix("dev_").replace("_at_", "@")
    key = f"dev_{plain}"
    if key not in known:
        names = [other.removeprefix("dev_") for other in known]
        near = difflib.get_close_matches(plain, names, 1, 0.6)
        meant = f"; did you mean {spelt(near[0])}?" if near else "."
        raise UsageError(f"metric.name: a run measures no {name}{meant}", f"It measures: {', '.join(map(spelt, known))}.")
    cost = any(part in plain for part in COSTS)
    if goal is None:
        return Objective(key, "minimize" if cost else "maximize")
    if goal not in ("maximize", "minimize"):
        raise UsageError(f"metric.goal: expected maximize or minimize, found {goal}.")
    if cost != (goal == "minimize"):
        better = "smaller" if cost else "larger"
        raise UsageError(f"metric.goal: {name} is better where it is {better}, but the goal is to {goal} it.")
    return Objective(key, "minimize" if goal == "minimize" else "maximize")


def measurements(events: Sequence[Mapping[str, Any]], key: str) -> list[float]:
    """Return what was measured of `key`, one value a measurement on dev, the first before training."""
    return [float(event[key]) for event in events if key in event]


def values_of(events: Sequence[Mapping[str, Any]], best_step: int, objectives: Sequence[Objective]) -> list[float]:
    """Return the figures of the model that a run kept: all of the same measurement, at its best step.

    Raises:
        DataError: the events hold no such measurement, or a value that is no number.
    """
    at_best = [event for event in events if event.get("step") == best_step and any(one.key in event for one in objectives)]
    found: dict[str, Any] = {}
    for event in at_best:
        found |= event
    for one in objectives:
        if not isinstance(found.get(one.key), int | float) or not math.isfinite(found[one.key]):
            raise DataError(f"The run's events have no {one.key} at step {best_step}, where its model is from.")
    return [float(found[one.key]) for one in objectives]
