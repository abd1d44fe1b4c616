"""What a sweep searches: parameters, what is fixed, and what depends on a value such as the base model."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

from retrieval_ko.errors import UsageError
from retrieval_ko.sweeps.parameters import MOST_STEPS, Distribution

Suggest = Callable[[str, Distribution], Any]
"""Called with a name and a distribution; returns the value drawn."""


@dataclass(frozen=True)
class Condition:
    """What holds where other keys have certain values.

    Args:
        when: key → the values that it must have one of; all keys must.
        fixed: key → value.
        parameters: key → distribution, in place of the one that holds otherwise.
        at_most: key → largest value; a larger one is clipped.
        at_least: key → smallest value.
    """

    when: Mapping[str, tuple[Any, ...]]
    fixed: Mapping[str, Any] = field(default_factory=dict)
    parameters: Mapping[str, Distribution] = field(default_factory=dict)
    at_most: Mapping[str, float] = field(default_factory=dict)
    at_least: Mapping[str, float] = field(default_factory=dict)

    def touches(self, key: str) -> bool:
        """Return whether the value of `key` depends on this condition."""
        return any(key in part for part in (self.fixed, self.parameters, self.at_most, self.at_least))


@dataclass(frozen=True)
class Space:
    """Every point that a sweep may try.

    Args:
        parameters: key of the settings → distribution.
        fixed: key → value, the same in all trials.
        conditions: later ones go before earlier ones.

    Raises:
        UsageError: a condition needs its own outcome.
    """

    parameters: Mapping[str, Distribution]
    fixed: Mapping[str, Any] = field(default_factory=dict)
    conditions: tuple[Condition, ...] = ()

    def __post_init__(self) -> None:
        for key in self.keys():
            self._check_order(key, ())

    def keys(self) -> tuple[str, ...]:
        """Return every key that a point may set, in the order of the file."""
        conditional = (key for condition in self.conditions for part in (condition.parameters, condition.fixed) for key in part)
        return tuple(dict.fromkeys((*self.parameters, *self.fixed, *conditional)))

    def swept(self) -> tuple[str, ...]:
        """Return the keys that have more than one value."""
        drawn = [self.parameters, *(condition.parameters for condition in self.conditions)]
        several = [key for part in drawn for key, how in part.items() if not how.finite or len(how.options()) > 1]
        decided = [key for condition in self.conditions for key in condition.fixed]
        return tuple(dict.fromkeys((*several, *decided)))

    def draw(self, suggest: Suggest) -> dict[str, Any]:
        """Return key → value of one point; `suggest` is asked for what the conditions leave open, and for nothing else.

        A distribution of a condition is asked for under a name of its own (`key@2` is the second condition's), since it is another
        question than the one that holds otherwise.
        """
        point: dict[str, Any] = {}
        for key in self.keys():
            self._settle(key, point, suggest)
        return {key: point[key] for key in self.keys() if key in point}

    def points(self) -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
        """Yield (name → what `suggest` answered, key → value) of every distinct point of a finite space, always in the same order."""
        seen = set()
        path: list[int] = []
        while True:
            walk = _Walk(path)
            point = self.draw(walk.answer)
            if (key := key_of(point)) not in seen:  # clipping makes different answers one point
                seen.add(key)
                yield walk.answers, point
            if not (path := walk.next_path()):
                return

    @property
    def finite(self) -> bool:
        """Whether the points can be counted."""
        drawn = [self.parameters, *(condition.parameters for condition in self.conditions)]
        return all(how.finite for part in drawn for how in part.values())

    def size(self) -> int | None:
        """Return how many distinct points there are; None: more than anybody tries."""
        if not self.finite:
            return None
        count = sum(1 for _ in islice(self.points(), MOST_STEPS))
        return count if count < MOST_STEPS else None

    def _settle(self, key: str, point: dict[str, Any], suggest: Suggest) -> None:
        if key in point:
            return
        matching: list[tuple[int, Condition]] = []
        for number, condition in enumerate(self.conditions, start=1):
            if condition.touches(key):
                for asked in condition.when:
                    if asked != key:
                        self._settle(asked, point, suggest)
                if all(asked in point and point[asked] in values for asked, values in condition.when.items() if asked != key):
                    matching.append((number, condition))
        value = self._value(key, matching, suggest)
        if value is not _ABSENT:
            for _, condition in matching:
                value = _clipped(value, condition.at_least.get(key), condition.at_most.get(key))
            point[key] = value

    def _value(self, key: str, matching: list[tuple[int, Condition]], suggest: Suggest) -> Any:  # noqa: ANN401  any value
        for number, condition in reversed(matching):
            if key in condition.fixed:
                return condition.fixed[key]
            if key in condition.parameters:
                return suggest(f"{key}@{number}", condition.parameters[key])
        if key in self.fixed:
            return self.fixed[key]
        return suggest(key, self.parameters[key]) if key in self.parameters else _ABSENT

    def _check_order(self, key: str, above: tuple[str, ...]) -> None:
        if key in above:
            circle = " → ".join((*above[above.index(key) :], key))
            raise UsageError(f"conditions: what {key} is depends on itself ({circle}).")
        for condition in self.conditions:
            if condition.touches(key):
                for asked in condition.when:
                    self._check_order(asked, (*above, key))


class _Walk:
    """One way through the choices: `path` says which option is taken first, second and so on, and after its end the first of each."""

    def __init__(self, path: list[int]) -> None:
        self._path = path
        self._trail: list[tuple[int, int]] = []
        self.answers: dict[str, Any] = {}

    def answer(self, name: str, how: Distribution) -> Any:  # noqa: ANN401  any value
        options = how.options()
        step = len(self._trail)
        place = self._path[step] if step < len(self._path) else 0
        self._trail.append((place, len(options)))
        self.answers[name] = options[place]
        return options[place]

    def next_path(self) -> list[int]:
        """Return the way that comes next, as one counts: the last choice with an option left moves on. Empty at the end."""
        trail = list(self._trail)
        while trail and trail[-1][0] + 1 == trail[-1][1]:
            trail.pop()
        return [place for place, _ in trail[:-1]] + [trail[-1][0] + 1] if trail else []


_ABSENT = object()


def _clipped(value: Any, lowest: float | None, highest: float | None) -> Any:  # noqa: ANN401  any value
    if highest is not None and value > highest:
        return highest
    if lowest is not None and value < lowest:
        return lowest
    return value


def key_of(point: Mapping[str, Any]) -> str:
    """Return what tells a point from every other: 16 hexadecimal digits over its keys and values."""
    spelt = json.dumps(point, sort_keys=True, ensure_ascii=False)
    return hashlib.sha256(spelt.encode()).hexdigest()[:16]
