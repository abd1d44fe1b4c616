"""What is known of a sweep's trials: an Optuna study in a file that several agents share, and the choice of the next point."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from retrieval_ko.errors import UsageError
from retrieval_ko.sweeps.parameters import Choice, Distribution
from retrieval_ko.sweeps.settings import SweepSettings
from retrieval_ko.sweeps.space import key_of

try:
    import optuna
    from optuna.distributions import BaseDistribution
    from optuna.samplers import BaseSampler
    from optuna.storages import BaseStorage, JournalStorage, RDBStorage
    from optuna.storages.journal import JournalFileBackend, JournalFileOpenLock
    from optuna.trial import FrozenTrial, Trial, TrialState
except ImportError as failure:
    raise UsageError(
        "A sweep needs optuna, which this installation leaves out.", "Install it with: pip install 'sparse-ko[sweep]'"
    ) from failure

logger = logging.getLogger(__name__)

State = Literal["running", "finished", "pruned", "failed"]
_STATES: dict[TrialState, State] = {
    TrialState.RUNNING: "running",
    TrialState.WAITING: "running",
    TrialState.COMPLETE: "finished",
    TrialState.PRUNED: "pruned",
    TrialState.FAIL: "failed",
}
SLOT, DUPLICATE, SETTINGS = "trial", "duplicate", "settings"
"""Names of what is written beside a trial: its number, whether its point had been tried, its values."""

REDRAWS = 20
"""Points drawn again before a finite space is gone through in order, and an infinite one drawn from evenly."""


@dataclass(frozen=True)
class TrialRecord:
    """What is known of one trial.

    Args:
        number: from 1, without gaps; its run's folder is trial-NUMBER.
        state: how it stands.
        settings: key → value.
        values: one an objective; empty where it is not finished.
        facts: whatever else was written down: error, machine, seconds, what it was measured on.
    """

    number: int
    state: State
    settings: dict[str, Any]
    values: tuple[float, ...] = ()
    facts: dict[str, Any] = field(default_factory=dict)


class SweepStore:
    """The study of one sweep.

    Args:
        folder: of the sweep.
        sweep_id: the study's name.
        settings: of the sweep.
    """

    def __init__(self, folder: Path, sweep_id: str, settings: SweepSettings) -> None:
        self._settings = settings
        folder.mkdir(parents=True, exist_ok=True)
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        self._storage = _journal(folder / "trials.log") if settings.store == "journal" else _sqlite(folder / "trials.db")
        self._study = optuna.create_study(
            storage=self._storage,
            study_name=sweep_id,
            directions=[one.goal for one in settings.objectives],
            sampler=optuna.samplers.RandomSampler(),
            pruner=_pruner(settings),
            load_if_exists=True,
        )
        self._study_id = self._storage.get_study_id_from_name(sweep_id)

    def records(self) -> dict[int, TrialRecord]:
        """Return number → what is known of the trials, in order; those whose point had been tried before are left out."""
        found = {trial.user_attrs[SLOT]: _record(trial) for trial in self._trials()}
        return dict(sorted(found.items()))

    def draw(self, number: int, take_point: Callable[[str], bool], taken: Callable[[], set[str]]) -> dict[str, Any] | None:
        """Return the point that a trial tries: the one it began with, else a new one; None where every point has been tried.

        May be called again for a trial whose agent was killed, whenever that was.

        Args:
            number: of the trial.
            take_point: called with a point's key; returns whether the trial may try it.
            taken: returns the keys of all points that were taken.
        """
        open_trial = next((trial for trial in self._trials() if trial.user_attrs[SLOT] == number and not trial.state.is_finished()), None)
        trial = self._attached(open_trial.number) if open_trial else None
        attempt = 0
        while True:
            if trial is None:
                sampler = self._sampler(number, attempt, taken)
                if sampler is None:
                    return None
                self._study.sampler = sampler
                trial = self._study.ask()
                trial.set_user_attr(SLOT, number)
            point = self._settings.space.draw(_suggester(trial))
            if take_point(key_of(point)):
                trial.set_user_attr(SETTINGS, point)
                return point
            trial.set_user_attr(DUPLICATE, True)
            self._study.tell(trial, state=TrialState.FAIL)
            trial, attempt = None, attempt + 1

    def hopeless(self, number: int, measured: Sequence[float]) -> bool:
        """Note what a trial measured on dev so far, the first before training, and return whether it should be ended."""
        if self._settings.early is None:
            return False
        trial = self._attached(self._optuna_number(number))
        known = self._study.get_trials(deepcopy=False)[trial.number].intermediate_values
        hopeless = False
        for step, value in enumerate(measured):
            if step and step not in known:  # before training every trial of one base is alike
                trial.report(value, step)
                hopeless = trial.should_prune()
        return hopeless

    def finish(self, number: int, values: Sequence[float], **facts: Any) -> None:  # noqa: ANN401  any JSON value
        """Write down the values of a trial that is finished."""
        self._tell(number, TrialState.COMPLETE, list(values), facts)

    def prune(self, number: int, **facts: Any) -> None:  # noqa: ANN401  any JSON value
        """Write down that a trial was ended since it promised nothing."""
        self._tell(number, TrialState.PRUNED, None, facts)

    def fail(self, number: int, error: str, **facts: Any) -> None:  # noqa: ANN401  any JSON value
        """Write down that a trial failed, and why."""
        self._tell(number, TrialState.FAIL, None, {"error": error, **facts})

    def _tell(self, number: int, state: TrialState, values: list[float] | None, facts: dict[str, Any]) -> None:
        trial = self._attached(self._optuna_number(number))
        for name, value in facts.items():
            trial.set_user_attr(name, value)
        self._study.tell(trial.number, values, state=state)

    def _trials(self) -> list[FrozenTrial]:
        trials = self._study.get_trials(deepcopy=False)
        return [trial for trial in trials if SLOT in trial.user_attrs and DUPLICATE not in trial.user_attrs]

    def _optuna_number(self, number: int) -> int:
        """Return Optuna's own number of a trial, which counts the points that were drawn twice."""
        return next(trial.number for trial in self._trials() if trial.user_attrs[SLOT] == number)

    def _attached(self, optuna_number: int) -> Trial:
        return Trial(self._study, self._storage.get_trial_id_from_study_id_trial_number(self._study_id, optuna_number))

    def _sampler(self, number: int, attempt: int, taken: Callable[[], set[str]]) -> BaseSampler | None:
        settings = self._settings
        space = settings.space
        seed = (settings.seed * 1_000_003 + number * 101 + attempt) % 2**32
        if settings.method == "grid" or (attempt >= REDRAWS and space.size() is not None):
            used = taken()
            return next((_Given(answers) for answers, point in space.points() if key_of(point) not in used), None)
        if settings.method == "random" or attempt >= REDRAWS:
            return optuna.samplers.RandomSampler(seed=seed)
        # the constant liar: what other agents try at this moment counts as bad, so that no two look in the same corner
        return optuna.samplers.TPESampler(n_startup_trials=settings.startup_trials, seed=seed, constant_liar=True)


class _Given(BaseSampler):
    """Answers with values that were chosen before."""

    def __init__(self, answers: dict[str, Any]) -> None:
        self._answers = answers

    def infer_relative_search_space(self, study: optuna.Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        return {}

    def sample_relative(self, study: optuna.Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]) -> dict[str, Any]:
        return {}

    def sample_independent(self, study: optuna.Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution) -> Any:  # noqa: ANN401
        value = self._answers[param_name]
        return _as_choice(value) if isinstance(param_distribution, optuna.distributions.CategoricalDistribution) else value


def _suggester(trial: Trial) -> Callable[[str, Distribution], Any]:
    def suggest(name: str, how: Distribution) -> Any:  # noqa: ANN401  any value
        if isinstance(how, Choice):
            return json.loads(str(trial.suggest_categorical(name, [_as_choice(value) for value in how.values])))
        if how.whole:
            return trial.suggest_int(name, round(how.low), round(how.high), step=round(how.step or 1))
        return trial.suggest_float(name, how.low, how.high, log=how.log, step=how.step)

    return suggest


def _as_choice(value: Any) -> str:  # noqa: ANN401  any JSON value
    """Return a value as Optuna keeps it: it knows no lists, and takes 1 and true for the same."""
    return json.dumps(value, ensure_ascii=False, sort_keys=True)


def _record(trial: FrozenTrial) -> TrialRecord:
    facts = {name: value for name, value in trial.user_attrs.items() if name not in (SLOT, DUPLICATE, SETTINGS)}
    state = _STATES[trial.state]
    values = tuple(trial.values or ()) if state == "finished" else ()
    return TrialRecord(trial.user_attrs[SLOT], state, dict(trial.user_attrs.get(SETTINGS, {})), values, facts)


def _pruner(settings: SweepSettings) -> optuna.pruners.BasePruner:
    early = settings.early
    if early is None:
        return optuna.pruners.NopPruner()
    if early.kind == "median":
        return optuna.pruners.MedianPruner(n_startup_trials=3, n_warmup_steps=early.min_iter)
    return optuna.pruners.HyperbandPruner(min_resource=early.min_iter, reduction_factor=early.eta)


def _journal(path: Path) -> BaseStorage:
    lock = JournalFileOpenLock(str(path))
    _mend(path, lock)
    return JournalStorage(JournalFileBackend(str(path), lock_obj=lock))


def _mend(path: Path, lock: JournalFileOpenLock) -> None:
    """Cut off a last line that a power cut left unfinished: Optuna reads nothing behind it."""
    if not path.exists() or path.stat().st_size == 0:
        return
    lock.acquire()
    try:
        with path.open("rb+") as file:
            content = file.read()
            whole = content.rfind(b"\n") + 1
            if whole < len(content):
                logger.warning("The last line of %s was cut off, and is dropped.", path)
                file.truncate(whole)
    finally:
        lock.release()


def _sqlite(path: Path) -> BaseStorage:
    return RDBStorage(f"sqlite:///{path.resolve()}", engine_kwargs={"connect_args": {"timeout": 60}})
