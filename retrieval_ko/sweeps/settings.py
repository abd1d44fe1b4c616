"""A sweep's YAML file, in the spelling of W&B, checked before anything starts."""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import yaml

from retrieval_ko.errors import UsageError
from retrieval_ko.files import read_lines
from retrieval_ko.sweeps.metrics import Objective, objective
from retrieval_ko.sweeps.parameters import number_of, read_parameters
from retrieval_ko.sweeps.program import Program
from retrieval_ko.sweeps.space import Condition, Space

Method = Literal["bayes", "random", "grid"]
METHODS = ("bayes", "random", "grid")
KEYS = (
    "sweep_id",
    "name",
    "description",
    "program",
    "config",
    "method",
    "metric",
    "parameters",
    "fixed",
    "conditions",
    "run_cap",
    "early_terminate",
    "startup_trials",
    "seed",
    "store",
    "lost_after_seconds",
)
CONDITION_KEYS = ("when", "fixed", "parameters", "at_most", "at_least")
COMPARED_BY = ("collection", "dev_split", "training.eval_queries", "training.eval_passages")
"""Keys that decide on what dev is measured: trials that differ in them cannot be compared."""


@dataclass(frozen=True)
class EarlyTermination:
    """When a trial is ended that promises nothing.

    Args:
        kind: median: worse than half of the others at the same measurement; hyperband: not among the best 1/eta of its round.
        min_iter: measurements on dev, that before training left out, which every trial gets.
        eta: of hyperband.
    """

    kind: Literal["median", "hyperband"]
    min_iter: int = 1
    eta: int = 3


@dataclass(frozen=True)
class SweepSettings:
    """What a sweep searches, and how.

    Args:
        name: of the sweep; its id begins with it.
        config: of `train`, a file or a packaged name, over which every trial's values are set.
        method: how the next point is chosen.
        objectives: what is driven up or down; with several, the best are a front.
        space: the points.
        run_cap: trials at most, over all agents; None: no end but the space's.
        early: when a trial is ended that promises nothing; None: never.
        startup_trials: of bayes: trials drawn at random before the model of the others counts.
        seed: of everything drawn.
        store: journal (a file that is only appended to; may lie on a shared folder) or sqlite (one machine).
        lost_after_seconds: an agent on another machine that has not been heard of for so long is given up.
        written: the file's content, program's keys not replaced.
    """

    name: str
    config: str
    method: Method
    objectives: tuple[Objective, ...]
    space: Space
    run_cap: int | None
    early: EarlyTermination | None
    startup_trials: int
    seed: int
    store: Literal["journal", "sqlite"]
    lost_after_seconds: float
    written: Mapping[str, Any]

    @cached_property
    def limit(self) -> int | None:
        """How many trials there are at most; None: no end."""
        size = self.space.size()
        bounds = [bound for bound in (self.run_cap, size) if bound is not None]
        return min(bounds) if bounds else None


def read_file(source: Path) -> dict[str, Any]:
    """Return what a sweep's file holds, unchecked.

    Raises:
        UsageError: the file is missing, not YAML, or no mapping.
    """
    if not source.is_file():
        raise UsageError(f"There is no sweep file {source}.", "Write one of the packaged ones with: sweep preset --no-run --output FILE")
    try:
        values = yaml.safe_load("\n".join(line for _, line in read_lines(source)))
    except yaml.YAMLError as failure:
        raise UsageError(f"{source} is not YAML: {' '.join(str(failure).split())}.") from failure
    if not isinstance(values, dict):
        raise UsageError(f"{source}: expected keys and values, found {type(values).__name__}.")
    return values


def read_settings(source: Path, program: Program, *, config: Path | None = None) -> SweepSettings:
    """Read a sweep's file and check it against the program whose runs its trials are.

    Args:
        source: the file.
        program: whose runs the trials are.
        config: what the points are checked over; None: what the file names.

    Raises:
        UsageError: the file is missing or not YAML, a key or metric is unknown, or a value cannot be what it says; names file and key.
    """
    values = read_file(source)
    try:
        settings = settings_of(values, program)
        check_points(settings, program, str(config or settings.config))
    except UsageError as failure:
        raise UsageError(f"{source}: {failure.problem}", failure.remedy) from failure
    return settings


def settings_of(values: Mapping[str, Any], program: Program) -> SweepSettings:
    """Return the settings that a sweep's file means; see `read_settings`."""
    for key in values:
        if key not in KEYS:
            raise UsageError(f"there is no such key as {key}{_meant(str(key), KEYS)}")
    if values.get("program", program.name) != program.name:
        raise UsageError(f"program: this sweep is for {values['program']}.", f"Start it with: {values['program']} sweep")
    method = _one_of(values, "method", METHODS, "bayes")
    objectives = _objectives(values.get("metric"), program)
    early = _early(values.get("early_terminate"))
    if early and len(objectives) > 1:
        raise UsageError("early_terminate: which trial is hopeless cannot be said of several metrics; leave it out.")
    space = _space(values, program)
    if method == "grid" and space.size() is None:
        continuous = next((key for key, how in space.parameters.items() if not how.finite), "a condition's parameter")
        raise UsageError(f"method: a grid needs lists of values, and {continuous} is continuous (or there are more than 100,000 points).")
    run_cap = _whole(values, "run_cap", None)
    return SweepSettings(
        name=_name(values),
        config=_config(values),
        method=method,  # type: ignore[arg-type]  # one of METHODS
        objectives=objectives,
        space=space,
        run_cap=run_cap,
        early=early,
        startup_trials=_whole(values, "startup_trials", min(10, max(3, (run_cap or 40) // 4))) or 1,
        seed=_whole(values, "seed", 13, least=0) or 0,
        store=_one_of(values, "store", ("journal", "sqlite"), "journal"),  # type: ignore[arg-type]
        lost_after_seconds=float(_whole(values, "lost_after_seconds", 120, least=20) or 120),
        written=dict(values),
    )


def check_points(settings: SweepSettings, program: Program, config: str) -> None:
    """Let `train` check every value of a list and both ends of every range, each beside the first values of the others.

    Raises:
        UsageError: `train` would refuse it.
    """
    space = settings.space
    drawn = {key: how.ends() for key, how in space.parameters.items()}
    for number, condition in enumerate(space.conditions, start=1):
        drawn |= {f"{key}@{number}": how.ends() for key, how in condition.parameters.items()}
    firsts = {name: ends[0] for name, ends in drawn.items()}
    points = [firsts, *({**firsts, name: end} for name, ends in drawn.items() for end in ends[1:])]
    checked = set()
    for answers in points:
        point = space.draw(lambda name, _, answers=answers: answers[name])  # type: ignore[misc]
        changes = changes_of(point)
        if tuple(changes) not in checked:
            checked.add(tuple(changes))
            program.check(config, changes)


def changes_of(point: Mapping[str, Any]) -> list[str]:
    """Return a point as `train --set` takes it: KEY=VALUE, the value as YAML."""
    spelt = []
    for key, value in point.items():
        text = yaml.safe_dump(value, default_flow_style=True, allow_unicode=True, width=10**9)
        spelt.append(f"{key}={text.removesuffix('...' + chr(10)).strip()}")
    return spelt


def _name(values: Mapping[str, Any]) -> str:
    name = values.get("name", "sweep")
    if not isinstance(name, str) or not re.fullmatch(r"[a-z0-9][a-z0-9-]{0,40}", name):
        raise UsageError(f"name: lower case, digits and hyphens, found {name!r}.")
    return name


def _config(values: Mapping[str, Any]) -> str:
    config = values.get("config")
    if not isinstance(config, str) or not config:
        raise UsageError("config: names what `train` starts from: a YAML file, or a packaged config.", "For example: config: static")
    return config


def _objectives(given: Any, program: Program) -> tuple[Objective, ...]:  # noqa: ANN401  what a person wrote
    listed = given if isinstance(given, list) else [given]
    found = []
    for one in listed:
        if not isinstance(one, Mapping) or not isinstance(one.get("name"), str) or set(one) - {"name", "goal"}:
            raise UsageError(
                f"metric: expected {{name, goal}} or a list of them, found {one!r}.", "metric: {name: eval/ndcg_at_10, goal: maximize}"
            )
        found.append(objective(one["name"], one.get("goal"), program.metrics))
    if not found:
        raise UsageError("metric: names what a trial is judged by.", "metric: {name: eval/ndcg_at_10, goal: maximize}")
    if len({one.key for one in found}) < len(found):
        raise UsageError("metric: one of them is there twice.")
    return tuple(found)


def _early(given: Any) -> EarlyTermination | None:  # noqa: ANN401  what a person wrote
    if given is None:
        return None
    if not isinstance(given, Mapping):
        raise UsageError(f"early_terminate: expected {{type, min_iter}}, found {given!r}.")
    for key in given:
        if key not in ("type", "min_iter", "eta"):
            raise UsageError(f"early_terminate: there is no such key as {key}{_meant(str(key), ('type', 'min_iter', 'eta'))}")
    kind = _one_of(given, "type", ("median", "hyperband"), "hyperband")
    steps, eta = _whole(given, "min_iter", 1) or 1, _whole(given, "eta", 3, least=2) or 3
    return EarlyTermination(kind, steps, eta)  # type: ignore[arg-type]  # one of the two


def _space(values: Mapping[str, Any], program: Program) -> Space:
    parameters = read_parameters(_group(values, "parameters", "parameters"), "parameters")
    if not parameters:
        raise UsageError("parameters: there is nothing to search.")
    listed = values.get("conditions") or []
    if not isinstance(listed, list):
        raise UsageError("conditions: expected a list of {when, fixed, parameters, at_most, at_least}.")
    conditions = tuple(_condition(given, f"conditions[{number}]", program) for number, given in enumerate(listed, start=1))
    space = Space(_own_keys(parameters, "parameters", program), _plain(values, "fixed", "fixed", program), conditions)
    for key in space.parameters:
        if key in space.fixed:
            raise UsageError(f"fixed.{key}: it is one of the parameters too; leave one of them out.")
    for key in space.swept():
        if key in COMPARED_BY:
            raise UsageError(
                f"parameters.{key}: it decides on what dev is measured, so trials that differ in it could not be compared.",
                "Name it under fixed, or in the config.",
            )
    known = space.keys()
    for condition in conditions:
        for key in condition.when:
            if key not in known:
                raise UsageError(f"conditions: when names {key}, which is no parameter and not fixed.")
    return space


def _condition(given: Any, where: str, program: Program) -> Condition:  # noqa: ANN401  what a person wrote
    if not isinstance(given, Mapping):
        raise UsageError(f"{where}: expected {{when, fixed, parameters, at_most, at_least}}, found {given!r}.")
    for key in given:
        if key not in CONDITION_KEYS:
            raise UsageError(f"{where}: there is no such key as {key}{_meant(str(key), CONDITION_KEYS)}")
    when = _plain(given, "when", f"{where}.when", program)
    if not when:
        raise UsageError(f"{where}: when says where it holds, for example when: {{model.base: bge-m3}}.")
    bounds: dict[str, dict[str, float]] = {}
    for side in ("at_most", "at_least"):
        bounds[side] = _plain(given, side, f"{where}.{side}", program)
        for key, value in bounds[side].items():
            if isinstance(value, bool) or not isinstance(value, int | float):
                raise UsageError(f"{where}.{side}.{key}: expected a number, found {value!r}.")
    return Condition(
        when={key: tuple(value) if isinstance(value, list) else (value,) for key, value in when.items()},
        fixed=_plain(given, "fixed", f"{where}.fixed", program),
        parameters=_own_keys(read_parameters(_group(given, "parameters", where), f"{where}.parameters"), f"{where}.parameters", program),
        **bounds,
    )


def _plain(given: Mapping[str, Any], part: str, where: str, program: Program) -> dict[str, Any]:
    """Return key → value of a group such as fixed; keys may be nested or have dots."""
    return _own_keys({key: number_of(value) for key, value in _flat(_group(given, part, where)).items()}, where, program)


def _flat(given: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in given.items():
        if isinstance(value, Mapping):
            found |= _flat(value, f"{prefix}{key}.")
        else:
            found[f"{prefix}{key}"] = value
    return found


def _group(given: Mapping[str, Any], part: str, where: str) -> Mapping[str, Any]:
    group = given.get(part)
    if group is None:
        return {}
    if not isinstance(group, Mapping):
        raise UsageError(f"{where}: expected keys and values, found {group!r}.")
    return group


def _own_keys(given: Mapping[str, Any], where: str, program: Program) -> dict[str, Any]:
    """Return `given` with the program's own keys.

    Raises:
        UsageError: a key is none, or two names stand for the same.
    """
    found: dict[str, Any] = {}
    for key, value in given.items():
        if key in program.refused:
            raise UsageError(f"{where}.{key}: here it is {program.refused[key]}.")
        own = program.renamed.get(key, key)
        if own not in program.keys:
            raise UsageError(f"{where}.{key}: {program.name} train has no such key{_meant(key, (*program.keys, *program.renamed))}")
        if own in found:
            raise UsageError(f"{where}.{key}: it stands for {own}, which is given too; leave one of them out.")
        found[own] = value
    return found


def _one_of(given: Mapping[str, Any], key: str, known: tuple[str, ...], default: str) -> str:
    value = given.get(key, default)
    if value not in known:
        raise UsageError(f"{key}: expected {', '.join(known)}, found {value!r}{_meant(str(value), known)}")
    return str(value)


def _whole(given: Mapping[str, Any], key: str, default: int | None, least: int = 1) -> int | None:
    value = given.get(key, default)
    if value is not None and (isinstance(value, bool) or not isinstance(value, int) or value < least):
        raise UsageError(f"{key}: expected a whole number, {least} or more, found {value!r}.")
    return value


def _meant(unknown: str, known: tuple[str, ...]) -> str:
    same_name = [key for key in known if key.rpartition(".")[2] == unknown.rpartition(".")[2]]
    near = difflib.get_close_matches(unknown, known, 1, 0.6) or same_name
    return f"; did you mean {near[0]}?" if near else "."
