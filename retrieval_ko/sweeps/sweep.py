"""A sweep's folder, which its agents share.

sweep.yaml       the sweep as it was created
base.yaml        the config that every trial starts from, as it was then
trials.log       what Optuna knows (trials.db with store: sqlite)
claims/          who runs which trial, see `claims`
trial-0001/      the run of a trial: config.yaml, metadata.json, events.jsonl, model/
logs/            what the trials said on the terminal
best.yaml        a config of the best trial so far
report/          pareto.png, pareto.html
"""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import yaml

from retrieval_ko.errors import UsageError
from retrieval_ko.files import write_text
from retrieval_ko.sweeps.claims import Claims
from retrieval_ko.sweeps.identity import new_sweep_id, write_sweep_id
from retrieval_ko.sweeps.program import Program
from retrieval_ko.sweeps.settings import SweepSettings, read_file, read_settings
from retrieval_ko.sweeps.trial_run import TrialRun

if TYPE_CHECKING:
    from retrieval_ko.sweeps.store import SweepStore

DEFINITION, BASE = "sweep.yaml", "base.yaml"
_MAY_CHANGE = ("sweep_id", "run_cap", "description", "lost_after_seconds")
"""Keys of a sweep's file that may be changed after it was created: what was tried so far stays comparable."""


@dataclass
class Sweep:
    """A sweep that was created.

    Args:
        folder: its folder; the folder's name is its id.
        settings: what it searches.
        program: whose runs its trials are.
    """

    folder: Path
    settings: SweepSettings
    program: Program

    @property
    def sweep_id(self) -> str:
        """What it is known by."""
        return self.folder.name

    @cached_property
    def store(self) -> SweepStore:
        """What is known of its trials.

        Raises:
            UsageError: optuna is not installed.
        """
        from retrieval_ko.sweeps.store import SweepStore

        return SweepStore(self.folder, self.sweep_id, self.settings)

    @cached_property
    def claims(self) -> Claims:
        """Who runs which trial."""
        return Claims(self.folder / "claims", self.settings.lost_after_seconds)

    def trial_folder(self, number: int) -> Path:
        """Return the folder of a trial's run."""
        return self.folder / f"trial-{number:04}"

    def trial_run(self, number: int, point: dict[str, object]) -> TrialRun:
        """Return the run of a trial."""
        log = self.folder / "logs" / f"trial-{number:04}.log"
        return TrialRun(self.program, self.folder / BASE, point, self.trial_folder(number), log)


def create(source: Path, runs: Path, program: Program, *, anew: bool = False) -> Sweep:
    """Create the sweep that a file describes, and write its id into the file.

    Args:
        source: the sweep's YAML file.
        runs: folder of the runs; the sweep gets one of its own in it.
        program: whose runs the trials are.
        anew: create another sweep of a file that has been one already.

    Raises:
        UsageError: the file is wrong, or belongs to a sweep already.
    """
    settings = read_settings(source, program)
    known = settings.written.get("sweep_id")
    if known and not anew and (runs / str(known)).exists():
        raise UsageError(
            f"{source} belongs to the sweep {known} already.",
            f"Go on with it: {program.name} sweep agent --config {source}. Another one with the same settings: --new",
        )
    sweep = Sweep(runs / new_sweep_id(settings.name), settings, program)
    definition = {key: value for key, value in settings.written.items() if key != "sweep_id"}
    text = yaml.safe_dump({"sweep_id": sweep.sweep_id, **definition}, allow_unicode=True, sort_keys=False)
    sweep.store  # noqa: B018  a store that cannot be made is no sweep
    write_text(sweep.folder / BASE, program.find(settings.config).read_text(encoding="utf-8"))
    write_text(sweep.folder / DEFINITION, text)
    write_sweep_id(source, sweep.sweep_id)
    return sweep


def open_sweep(sweep_id: str, runs: Path, program: Program) -> Sweep:
    """Open a sweep by its id, or by its folder.

    Raises:
        UsageError: there is none; names the nearest.
    """
    folder = Path(sweep_id) if (Path(sweep_id) / DEFINITION).is_file() else runs / sweep_id
    if not (folder / DEFINITION).is_file():
        known = sorted(path.parent.name for path in runs.glob(f"*/{DEFINITION}"))
        near = difflib.get_close_matches(sweep_id, known, 1, 0.5)
        meant = f" Did you mean {near[0]}?" if near else ""
        raise UsageError(
            f"There is no sweep {sweep_id} in {runs}.{meant}", f"In {runs}: {', '.join(known) or 'no sweep'}. Elsewhere: --runs DIR"
        )
    return Sweep(folder, read_settings(folder / DEFINITION, program, config=folder / BASE), program)


def open_by_file(source: Path, runs: Path, program: Program) -> Sweep:
    """Open the sweep whose id a file holds; its `run_cap` may have been raised since.

    Raises:
        UsageError: it holds none, or was changed in what it searches.
    """
    values = read_file(source)
    sweep_id = values.get("sweep_id")
    if not isinstance(sweep_id, str):
        raise UsageError(f"{source} has no sweep_id: no sweep was created from it.", f"Create it: {program.name} sweep --config {source}")
    sweep = open_sweep(sweep_id, runs, program)
    before = dict(sweep.settings.written)
    changed = [key for key in dict.fromkeys([*before, *values]) if key not in _MAY_CHANGE and before.get(key) != values.get(key)]
    if changed:
        raise UsageError(
            f"{source} has changed since the sweep {sweep_id} was created from it: {', '.join(changed)}.",
            f"Its trials would not belong together. A new sweep: {program.name} sweep --config {source} --new; "
            f"as it was: {program.name} sweep agent {sweep_id}",
        )
    return Sweep(sweep.folder, read_settings(source, program, config=sweep.folder / BASE), program)
