"""What a sweep found: its trials in order of quality, the front, and a config of the best one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from retrieval_ko.files import write_text
from retrieval_ko.sweeps.metrics import Objective
from retrieval_ko.sweeps.store import TrialRecord
from retrieval_ko.sweeps.sweep import Sweep

MEASURED_ON = "measured_on"
"""Name under which is written down what a trial's dev figures stand on."""


@dataclass(frozen=True)
class Results:
    """A sweep's trials.

    Args:
        objectives: what they were judged by.
        trials: all of them, by number.
        best: the finished trial with the best first objective; None before the first.
        front: the finished trials that no other one beats in every objective; with one objective, the best.
    """

    objectives: tuple[Objective, ...]
    trials: tuple[TrialRecord, ...]
    best: TrialRecord | None
    front: tuple[TrialRecord, ...]

    def count(self, state: str) -> int:
        """Return how many trials are in a state."""
        return sum(trial.state == state for trial in self.trials)


def results_of(sweep: Sweep) -> Results:
    """Return what a sweep found so far. Only trials that were measured on the same data are held against each other."""
    objectives = sweep.settings.objectives
    trials = tuple(sweep.store.records().values())
    finished = comparable(trials)
    front = pareto_front(finished, objectives)
    sign = -1 if objectives[0].goal == "maximize" else 1
    best = min(front, key=lambda trial: (sign * trial.values[0], trial.number), default=None)
    return Results(objectives, trials, best, front)


def comparable(trials: Sequence[TrialRecord]) -> list[TrialRecord]:
    """Return the finished trials that were measured on what the first of them was measured on."""
    finished = [trial for trial in trials if trial.state == "finished"]
    return [trial for trial in finished if trial.facts.get(MEASURED_ON) == finished[0].facts.get(MEASURED_ON)]


def pareto_front(trials: Sequence[TrialRecord], objectives: Sequence[Objective]) -> tuple[TrialRecord, ...]:
    """Return the trials of which none is at least as good in every objective and better in one, in the order of the first."""
    signs = [-1 if one.goal == "maximize" else 1 for one in objectives]
    costs = {trial.number: [sign * value for sign, value in zip(signs, trial.values, strict=True)] for trial in trials}

    def beaten(trial: TrialRecord) -> bool:
        own = costs[trial.number]
        return any(other != own and all(a <= b for a, b in zip(other, own, strict=True)) for other in costs.values())

    return tuple(sorted((trial for trial in trials if not beaten(trial)), key=lambda trial: (costs[trial.number], trial.number)))


def write_best(sweep: Sweep, results: Results) -> Path | None:
    """Write the config of the best trial, which `train` takes as it is; None before a trial is finished.

    It holds every setting, so a later change of a default changes nothing.
    """
    if results.best is None:
        return None
    best = results.best
    source = sweep.trial_folder(best.number) / "config.yaml"
    figures = ", ".join(f"{one.words} {value:.4g}" for one, value in zip(results.objectives, best.values, strict=True))
    drawn = [f"#   {key}: {value}" for key, value in best.settings.items()]
    head = [f"# The best of {results.count('finished')} finished trials of the sweep {sweep.sweep_id}: trial {best.number}, dev {figures}."]
    head += ["# What the sweep set:", *drawn, f"# Train it: {sweep.program.name} train {sweep.folder / 'best.yaml'}"]
    settings = yaml.safe_load(source.read_text(encoding="utf-8"))
    target = sweep.folder / "best.yaml"
    write_text(target, "\n".join(head) + "\n" + yaml.safe_dump(settings, allow_unicode=True, sort_keys=False))
    return target


def as_json(sweep: Sweep, results: Results) -> dict[str, Any]:
    """Return what `sweep show --json` prints."""
    names = [one.name for one in results.objectives]
    front = {trial.number for trial in results.front}
    rows = [
        {
            "trial": trial.number,
            "state": trial.state,
            **dict(zip(names, trial.values, strict=False)),
            "on_front": trial.number in front,
            "settings": trial.settings,
            "run": str(sweep.trial_folder(trial.number)),
            **trial.facts,
        }
        for trial in results.trials
    ]
    return {
        "sweep": sweep.sweep_id,
        "folder": str(sweep.folder),
        "method": sweep.settings.method,
        "objectives": [{"name": one.name, "goal": one.goal} for one in results.objectives],
        "limit": sweep.settings.limit,
        "best": results.best.number if results.best else None,
        "best_config": str(sweep.folder / "best.yaml") if results.best else None,
        "trials": rows,
    }


def in_short(value: object) -> str:
    """Return a setting's value as a table shows it."""
    if value is None:
        return ""
    return f"{value:.3g}" if isinstance(value, float) else str(value)
