"""Watching a run until it ends, and beginning it again where it died on the way."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from retrieval_ko.runs.folder import Run
from retrieval_ko.runs.following import Following, Problem, Sight
from retrieval_ko.runs.process import this_process
from retrieval_ko.runs.restarting import begin_again, end, restart_log, why_not

EXIT_CODES: dict[Problem | None, int] = {None: 0, "failed": 1, "stalled": 3, "not a number": 4, "out of memory": 5, "crashed": 6}
"""Of `runs watch`, by what was wrong at the end; 2 is wrong use."""
THEN_FAILED = 7
"""The run finished, and the command of --then did not."""

POLL_SECONDS = 2.0
_LOG_TAIL_CHARACTERS = 400


@dataclass(frozen=True)
class WatchSettings:
    """How a run is watched.

    Args:
        restarts: how often it may be begun again.
        stall_seconds: of silence that count as a stall; None: by its own habits (`Following`).
        poll_seconds: between two looks.
        command: that begins it again; None: the one that began it, with --resume.
    """

    restarts: int = 0
    stall_seconds: float | None = None
    poll_seconds: float = POLL_SECONDS
    command: Sequence[str] | None = None


@dataclass(frozen=True)
class Watched:
    """How a watch ended.

    Args:
        run: the run's folder.
        sight: the last look.
        restarts: how often it was begun again.
        not_restarted: why it was not begun again though it might have been, empty otherwise.
    """

    run: str
    sight: Sight
    restarts: int
    not_restarted: str = ""

    @property
    def exit_code(self) -> int:
        """What the command ends with."""
        return EXIT_CODES[self.sight.problem]

    def as_json(self) -> dict[str, Any]:
        """Return it as JSON values."""
        seen = asdict(self.sight)
        return {"run": self.run, **seen, "restarts": self.restarts, "not_restarted": self.not_restarted, "exit_code": self.exit_code}


def watch(run: Run, settings: WatchSettings = WatchSettings(), *, on_sight: Callable[[Sight, int], None] = lambda *_: None) -> Watched:
    """Look at a run until it has finished or can't be helped.

    A run that diverged is not begun again: it would come to the same step with the same numbers. Nor is one that a person interrupted. One
    that stalls is ended only where this watch began it.

    Args:
        run: that is watched.
        settings: how.
        on_sight: told every look and how often the run was begun again so far.

    Raises:
        DataError: the folder holds no run.
    """
    following = Following(run, settings.stall_seconds)
    child: subprocess.Popen[bytes] | None = None
    restarts = 0
    while True:
        sight = following.look()
        on_sight(sight, restarts)
        if sight.problem is None:
            if sight.state == "finished":
                return Watched(str(run.folder), sight, restarts)
            time.sleep(settings.poll_seconds)
            continue
        refusal = _refusal(run, sight, settings, restarts, child)
        if refusal is not None:
            return Watched(str(run.folder), sight, restarts, refusal)
        if child is not None:
            end(child)
        restarts += 1
        child = begin_again(run, restarts, settings.command)
        if problem := _wait_until_begun(run, child, restarts, settings):
            return Watched(str(run.folder), replace(sight, problem="failed", reason=problem), restarts)
        following = Following(run, settings.stall_seconds)


def _refusal(run: Run, sight: Sight, settings: WatchSettings, restarts: int, child: subprocess.Popen[bytes] | None) -> str | None:
    """Return why the run is not begun again; empty where nobody asked for it, None where it is to be."""
    if not settings.restarts:
        return ""
    if restarts >= settings.restarts:
        return f"it was begun again {restarts} times already"
    metadata = run.metadata()
    if sight.problem == "not a number":
        return "it would come to the same step with the same numbers; lower the learning rate"
    if metadata.get("error") == "KeyboardInterrupt":
        return "a person interrupted it"
    if sight.problem == "stalled" and (child is None or child.poll() is not None or metadata["process"]["pid"] != child.pid):
        return "its process still runs and was not started by this watch, which ends only its own"
    return why_not(metadata, settings.command) or None


def _wait_until_begun(run: Run, child: subprocess.Popen[bytes], number: int, settings: WatchSettings) -> str:
    """Wait until the new process has written down that it runs; return what went wrong, empty where nothing did."""
    while True:
        metadata = run.metadata()
        if metadata.get("process", {}).get("pid") == child.pid and metadata["process"]["host"] == this_process()["host"]:
            return ""
        if (code := child.poll()) is not None:
            if run.metadata().get("process", {}).get("pid") == child.pid:  # it was quick
                return ""
            words = restart_log(run, number).read_text(encoding="utf-8", errors="replace").strip()[-_LOG_TAIL_CHARACTERS:]
            return f"the restart ended with {code}: {' '.join(words.split()) or 'no word'}"
        time.sleep(min(settings.poll_seconds, 0.5))
