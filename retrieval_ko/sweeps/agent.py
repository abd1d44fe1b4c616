"""An agent: takes up a trial, runs it, writes down what came of it, until there is none left.

Any number of agents may work at one sweep, on one machine or several that share its folder. An agent that dies, however, loses nothing
that is finished: its trial is taken over by the next agent that looks, which goes on from the run's newest checkpoint.
"""

from __future__ import annotations

import platform
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from retrieval_ko.errors import DataError, ModelError, RetrievalError
from retrieval_ko.sweeps.claims import BEAT_SECONDS, Claim
from retrieval_ko.sweeps.metrics import measurements, values_of
from retrieval_ko.sweeps.results import MEASURED_ON, in_short, results_of, write_best
from retrieval_ko.sweeps.sweep import Sweep
from retrieval_ko.sweeps.time_window import TimeWindow
from retrieval_ko.sweeps.trial_run import TrialRun, compared_on

FAILURES_IN_A_ROW = 3
"""An agent whose first or latest so many trials all failed stops: what is wrong is not the points."""
_LOOK_SECONDS = 0.5
_WAIT_SECONDS = 30.0


@dataclass
class Agent:
    """Runs trials of a sweep, one at a time.

    Args:
        sweep: whose trials.
        count: trials that this agent runs at most; None: no limit of its own.
        window: hours in which it may begin one; one that has begun is finished.
        tell: called with a line for a person.
        progress: called with (trials over, trials at most or None, newest figures in words).
        clock: the local time.
        sleep: waits for so many seconds.
    """

    sweep: Sweep
    count: int | None = None
    window: TimeWindow | None = None
    tell: Callable[[str], None] = lambda line: None
    progress: Callable[[int, int | None, str], None] = lambda over, limit, figures: None
    clock: Callable[[], datetime] = datetime.now
    sleep: Callable[[float], None] = time.sleep
    _failures: int = field(default=0, init=False)

    def run(self) -> int:
        """Run trials until none is left, `count` are done, or it is interrupted; return how many were brought to an end.

        Raises:
            ModelError: too many trials failed in a row.
            DataError: the data that dev is measured on changed since the sweep began.
        """
        done = 0
        try:
            while self.count is None or done < self.count:
                if not self._wait_for_window():
                    continue
                claim = self._next_claim()
                if claim is None:
                    if not self._others_at_work():
                        break
                    self._show("waiting for other agents")
                    self.sleep(BEAT_SECONDS)
                    continue
                done += self._run_trial(claim)
        finally:
            self.sweep.claims.forget_clock()
        return done

    def _wait_for_window(self) -> bool:
        """Return whether a trial may begin now; else wait for a while."""
        now = self.clock()
        if self.window is None or self.window.holds(now):
            return True
        opens = self.window.next_start(now)
        self._show(f"waiting for {opens:%H:%M}")
        self.sleep(min(_WAIT_SECONDS, max(1.0, (opens - now).total_seconds())))
        return False

    def _next_claim(self) -> Claim | None:
        """Take up the first trial that its agent lost, else the next new one; None where there is neither."""
        claims, limit = self.sweep.claims, self.sweep.settings.limit
        newest, over = claims.newest(), self._over()
        for number, claim in newest.items():
            if number not in over and claims.is_lost(claim) and (taken := claims.take(number, claim.generation + 1)):
                return taken
        number = 1
        while limit is None or number <= limit:
            if number not in newest and (taken := claims.take(number)):
                return taken
            number += 1
        return None

    def _over(self) -> set[int]:
        return {number for number, trial in self.sweep.store.records().items() if trial.state != "running"}

    def _others_at_work(self) -> bool:
        return bool(self.sweep.claims.newest().keys() - self._over())

    def _run_trial(self, claim: Claim) -> int:
        """Run one trial; return 1 where it came to an end, 0 where another agent has it now."""
        began = time.monotonic()
        run: TrialRun | None = None
        try:
            run = self._begun(claim)
            outcome = self._watch(claim, run)
        except BaseException:
            if run:
                run.end()
            self.sweep.claims.release(claim)
            raise
        if outcome is None:
            self.tell(f"Trial {claim.trial} has been taken over by another agent.")
            return 0
        self._write_down(claim, run, outcome, round(time.monotonic() - began, 1))
        return 1

    def _begun(self, claim: Claim) -> TrialRun:
        """Return the run of a trial, ready to be started or gone on with."""
        sweep, claims = self.sweep, self.sweep.claims
        point = sweep.store.draw(claim.trial, lambda key: claims.take_point(key, claim.trial), claims.points)
        if point is None:
            raise DataError(f"Every point of the sweep {sweep.sweep_id} has been tried.", "Widen its parameters in a new sweep.")
        run = sweep.trial_run(claim.trial, point)
        if claim.generation > 1:
            self.tell(f"Trial {claim.trial} is taken over from an agent that was lost.")
            if not run.wait_for_predecessor():
                raise ModelError(f"A process still works at {run.folder}, though its agent is gone.", "End it, and start the agent again.")
            run.take_over()
        shown = ", ".join(f"{key.rpartition('.')[2]} {in_short(value)}" for key, value in point.items())
        self.tell(f"Trial {claim.trial}: {shown}")
        return run

    def _watch(self, claim: Claim, run: TrialRun) -> str | None:
        """See a run through; return "ended" or "hopeless", None where another agent has taken the trial over."""
        if run.metadata().get("state") != "finished":  # else its agent was lost between the run's end and the record of it
            run.start()
        seen, last_beat = -1, float("-inf")
        while True:
            over = run.exit_code() is not None
            if time.monotonic() - last_beat >= BEAT_SECONDS or over:
                last_beat = time.monotonic()
                if not self.sweep.claims.beat(claim):
                    run.end()
                    return None
                events = run.events() if run.metadata() else []
                if len(events) != seen:
                    seen = len(events)
                    measured = measurements(events, self.sweep.settings.objectives[0].key)
                    self._show(_in_words(claim.trial, events, measured))
                    if not over and self.sweep.store.hopeless(claim.trial, measured):
                        run.end()
                        return "hopeless"
            if over:
                return "ended"
            self.sleep(_LOOK_SECONDS)

    def _write_down(self, claim: Claim, run: TrialRun, outcome: str, seconds: float) -> None:
        store, number = self.sweep.store, claim.trial
        facts: dict[str, Any] = {"machine": platform.node(), "seconds": seconds, "generation": claim.generation}
        metadata = run.metadata()
        if outcome == "hopeless":
            run.set_aside("ended early by its sweep: others were better at the same point")
            store.prune(number, **facts)
            self.tell(f"Trial {number} was ended early: it promised nothing.")
            self._failures = 0
        elif metadata.get("state") == "finished":
            self._finish(run, number, metadata, facts)
        else:
            error = run.complaint()
            store.fail(number, error, **facts)
            self._failures += 1
            self.tell(f"Trial {number} failed: {error}")
            if self._failures >= FAILURES_IN_A_ROW:
                raise ModelError(f"{self._failures} trials in a row failed; the last one: {error}", f"What it said is in {run.log}.")
        write_best(self.sweep, results_of(self.sweep))
        self._show("")

    def _finish(self, run: TrialRun, number: int, metadata: dict[str, Any], facts: dict[str, Any]) -> None:
        objectives = self.sweep.settings.objectives
        try:
            on = compared_on(run.folder)
            values = values_of(run.events(), int(metadata["best_step"]), objectives)
        except (RetrievalError, KeyError) as failure:
            self.sweep.store.fail(number, str(failure), **facts)
            raise
        earlier = [trial.facts[MEASURED_ON] for trial in self.sweep.store.records().values() if trial.state == "finished"]
        if earlier and earlier[0] != on:
            differs = ", ".join(f"{name} {earlier[0].get(name)} and {on[name]}" for name in on if earlier[0].get(name) != on[name])
            self.sweep.store.fail(number, f"measured on other data: {differs}", **facts)
            raise DataError(
                f"Trial {number} was measured on other data than the trials before it ({differs}), so they cannot be compared.",
                f"Put the data back, or begin a new sweep: {self.sweep.program.name} sweep --config FILE --new",
            )
        self.sweep.store.finish(number, values, **facts, **{MEASURED_ON: on})
        self._failures = 0
        figures = ", ".join(f"{one.words} {value:.4g}" for one, value in zip(objectives, values, strict=True))
        self.tell(f"Trial {number} is finished: dev {figures}.")

    def _show(self, figures: str) -> None:
        self.progress(len(self._over()), self.sweep.settings.limit, figures)


def _in_words(number: int, events: list[dict[str, Any]], measured: list[float]) -> str:
    step = max((int(event.get("step", 0)) for event in events), default=0)
    return f"trial {number}, step {step}" + (f", dev {measured[-1]:.4g}" if measured else "")
