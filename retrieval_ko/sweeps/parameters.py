"""One parameter of a sweep, in the spelling of W&B: a list of values, or a range and how it is drawn from."""

from __future__ import annotations

import difflib
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from retrieval_ko.errors import UsageError

DISTRIBUTIONS = ("constant", "categorical", "int_uniform", "uniform", "q_uniform", "log_uniform", "log_uniform_values")
KEYS = ("value", "values", "distribution", "min", "max", "q")
MOST_STEPS = 100_000
"""A range of more steps than this is as good as continuous."""


@dataclass(frozen=True)
class Choice:
    """One of several values, of which the order means nothing; a constant is a choice of one."""

    values: tuple[Any, ...]

    @property
    def finite(self) -> bool:
        """Whether `options` can name every value."""
        return True

    def options(self) -> tuple[Any, ...]:
        """Return every value."""
        return self.values

    def ends(self) -> tuple[Any, ...]:
        """Return the values that show whether the parameter fits a setting: all."""
        return self.values


@dataclass(frozen=True)
class Range:
    """A number between two others, both of them included.

    Args:
        low: the smallest.
        high: the largest.
        log: whether its logarithm is drawn evenly.
        step: between two neighbours; None: any number.
        whole: whether it is an integer.
    """

    low: float
    high: float
    log: bool = False
    step: float | None = None
    whole: bool = False

    @property
    def finite(self) -> bool:
        """Whether `options` can name every value."""
        return self.step is not None and (self.high - self.low) / self.step < MOST_STEPS

    def options(self) -> tuple[float, ...]:
        """Return every value of a finite range, rising."""
        if self.step is None:
            raise ValueError("a continuous range has no list of values")
        count = math.floor((self.high - self.low) / self.step + 1e-9) + 1
        return tuple(self._number(self.low + place * self.step) for place in range(count))

    def ends(self) -> tuple[float, ...]:
        """Return the values that show whether the parameter fits a setting: the smallest and the largest."""
        return (self._number(self.low), self._number(self.high))

    def _number(self, value: float) -> float:
        return round(value) if self.whole else value


Distribution = Choice | Range


def read_parameters(given: Mapping[str, Any], where: str, prefix: str = "") -> dict[str, Distribution]:
    """Return key → distribution of a group of parameters; a group inside a group, as W&B nests them, is a key with dots.

    Args:
        given: what a person wrote.
        where: the place it was written in, for the message.
        prefix: keys around it, with dots.

    Raises:
        UsageError: a parameter is not understood; names its key.
    """
    found: dict[str, Distribution] = {}
    for key, spelt in given.items():
        name = f"{prefix}{key}"
        if isinstance(spelt, Mapping) and isinstance(spelt.get("parameters"), Mapping) and len(spelt) == 1:
            found |= read_parameters(spelt["parameters"], where, f"{name}.")
        else:
            found[name] = read_parameter(spelt, f"{where}.{name}")
    return found


def read_parameter(given: Any, where: str) -> Distribution:  # noqa: ANN401  what a person wrote
    """Return the distribution of one parameter.

    `log_uniform` takes exponents, as in W&B: a value lies between exp(min) and exp(max); `log_uniform_values` takes the values themselves.

    Args:
        given: {values: [...]}, {value: ...}, or {distribution, min, max, q}.
        where: its place, such as parameters.training.epochs.

    Raises:
        UsageError: it is not understood, or a bound is missing or impossible.
    """
    if not isinstance(given, Mapping):
        raise UsageError(f"{where}: expected {{values: [...]}}, {{value: ...}} or {{distribution, min, max}}, found {given!r}.")
    for key in given:
        if key not in KEYS:
            raise UsageError(f"{where}: there is no such key as {key}{_meant(str(key), KEYS)}")
    if "value" in given or "values" in given:
        return _choice(given, where)
    kind = given.get("distribution") or _kind_of_bounds(given, where)
    if kind not in DISTRIBUTIONS:
        raise UsageError(
            f"{where}: there is no distribution {kind}{_meant(str(kind), DISTRIBUTIONS)}", f"Known: {', '.join(DISTRIBUTIONS)}."
        )
    if kind in ("constant", "categorical"):
        raise UsageError(f"{where}: {kind} needs {'value' if kind == 'constant' else 'values'}.")
    return _range(given, kind, where)


def _choice(given: Mapping[str, Any], where: str) -> Choice:
    others = [key for key in given if key not in ("value", "values", "distribution")]
    if "value" in given and "values" in given:
        raise UsageError(f"{where}: value and values are both given; leave one of them out.")
    if others:
        raise UsageError(f"{where}: a list of values has no {others[0]}.")
    values = [given["value"]] if "value" in given else given["values"]
    if not isinstance(values, list) or not values:
        raise UsageError(f"{where}: values is a list of at least one, found {values!r}.")
    numbers = tuple(number_of(value) for value in values)
    twice = [value for place, value in enumerate(numbers) if value in numbers[:place]]
    if twice:
        raise UsageError(f"{where}: {twice[0]!r} is there twice.")
    return Choice(numbers)


def _kind_of_bounds(given: Mapping[str, Any], where: str) -> str:
    low, high = (_bound(given, name, where) for name in ("min", "max"))
    return "int_uniform" if isinstance(low, int) and isinstance(high, int) else "uniform"


def _range(given: Mapping[str, Any], kind: str, where: str) -> Range:
    low, high = _bound(given, "min", where), _bound(given, "max", where)
    if low >= high:
        raise UsageError(f"{where}: min {low:g} is not below max {high:g}.")
    if kind != "q_uniform" and "q" in given:
        raise UsageError(f"{where}: {kind} has no q; q_uniform has.")
    if kind == "int_uniform":
        if not (isinstance(low, int) and isinstance(high, int)):
            raise UsageError(f"{where}: int_uniform has whole numbers as min and max, found {low} and {high}.")
        return Range(low, high, step=1, whole=True)
    if kind == "log_uniform":
        if low > 0 and high < 1:
            raise UsageError(
                f"{where}: log_uniform takes exponents, so {low:g} to {high:g} would mean {math.exp(low):g} to {math.exp(high):g}.",
                "Write log_uniform_values for the values themselves.",
            )
        if high > 700:
            raise UsageError(f"{where}: log_uniform takes exponents, and exp({high:g}) is no number; write log_uniform_values.")
        return Range(math.exp(low), math.exp(high), log=True)
    if kind == "q_uniform":
        return _quantised(low, high, number_of(given.get("q", 1)), where)
    if kind == "log_uniform_values" and low <= 0:
        raise UsageError(f"{where}: a logarithm needs a min above 0, found {low:g}.")
    return Range(low, high, log=kind == "log_uniform_values")


def _quantised(low: float, high: float, q: Any, where: str) -> Range:  # noqa: ANN401  what a person wrote
    """Return the multiples of q: W&B draws from min to max and rounds to the nearest."""
    if isinstance(q, bool) or not isinstance(q, int | float) or q <= 0:
        raise UsageError(f"{where}: q is a number above 0, found {q!r}.")
    first, last = round(low / q), round(high / q)
    if first >= last:
        raise UsageError(f"{where}: there is no multiple of {q:g} to choose between {low:g} and {high:g}.")
    return Range(first * q, last * q, step=q, whole=isinstance(q, int))


def _bound(given: Mapping[str, Any], name: str, where: str) -> float:
    value = number_of(given.get(name))
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise UsageError(f"{where}: {name} is a number, found {given.get(name)!r}.", "Or give values: [...] to choose from.")
    return value


def number_of(value: Any) -> Any:  # noqa: ANN401  any YAML value
    """Return the number that a text such as 5e-7 is: YAML 1.1 takes it for a text, since it has no point."""
    if isinstance(value, str):
        try:
            number = float(value)
        except ValueError:
            return value
        return number if math.isfinite(number) and "e" in value.lower() else value
    return value


def _meant(unknown: str, known: tuple[str, ...]) -> str:
    near = difflib.get_close_matches(unknown, known, 1, 0.6)
    return f"; did you mean {near[0]}?" if near else "."
