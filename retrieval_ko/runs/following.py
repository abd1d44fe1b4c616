"""What can be seen of a run while it goes: how far it is, how long it has said nothing, and what is wrong."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from retrieval_ko.runs.folder import Run

Problem = Literal["failed", "stalled", "not a number", "out of memory", "crashed"]

STALL_LEAST_SECONDS = 120.0
"""A run that says nothing for less is never called stalled: a checkpoint on a slow disk takes as long."""
STALL_FACTOR = 5.0
"""Times the longest silence so far: measurements of dev make silences that come again."""
STALL_START_SECONDS = 1800.0
"""Before the first event a vocabulary is learnt, texts are tokenised and a base is loaded."""


@dataclass(frozen=True)
class Sight:
    """One look at a run.

    Args:
        state: as its metadata says it, crashed ones found out.
        step: done.
        steps: in all; None where the run has not said so yet.
        figures: the newest value of everything it records.
        best: highest dev quality so far, None before the first measurement.
        measurements: of dev so far.
        silent_seconds: since its last event, or since it began.
        stall_seconds: of silence, from which on it counts as stalled.
        problem: what is wrong; None where it runs or has finished.
        reason: the problem in words.
    """

    state: str
    step: int
    steps: int | None
    figures: Mapping[str, float]
    best: float | None
    measurements: int
    silent_seconds: float
    stall_seconds: float
    problem: Problem | None = None
    reason: str = ""


@dataclass
class _Seen:
    """What the events read so far add up to."""

    step: int = 0
    figures: dict[str, float] = field(default_factory=dict)
    best: float | None = None
    measurements: int = 0
    loss_is_a_number: bool = True
    last: datetime | None = None
    longest_gap: float = 0.0


class Following:
    """Looks at a run again and again, reading only what is new in its events.

    Args:
        run: that is followed.
        stall_seconds: of silence that count as a stall; None: 5 times the longest silence so far, 2 minutes at least, and half an hour
            before the first event.
        kills: returns how many processes the kernel has killed so far because memory ran out; None where it does not say.
    """

    def __init__(self, run: Run, stall_seconds: float | None = None, kills: Callable[[], int | None] | None = None) -> None:
        self.run = run
        self._stall_seconds = stall_seconds
        self._kills = kills or kills_for_memory
        self._kills_before = self._kills()
        self._events = run.folder / "events.jsonl"
        self._offset, self._file = 0, -1
        self._seen = _Seen()

    def look(self, now: datetime | None = None) -> Sight:
        """Return what is to be seen now.

        Raises:
            DataError: the folder holds no run.
        """
        metadata = self.run.look()
        now = now or datetime.now(UTC)
        started = datetime.fromisoformat(metadata["started_at"])
        self._read(started)
        seen = self._seen
        spoke = seen.last is not None and seen.last >= started
        silent = (now - (seen.last if spoke and seen.last else started)).total_seconds()
        stall = self._stall_after(spoke=spoke)
        problem, reason = self._problem(metadata, silent, stall)
        return Sight(
            state=str(metadata["state"]),
            step=seen.step,
            steps=metadata.get("steps"),
            figures=seen.figures,
            best=seen.best,
            measurements=seen.measurements,
            silent_seconds=max(silent, 0.0),
            stall_seconds=stall,
            problem=problem,
            reason=reason,
        )

    def _stall_after(self, *, spoke: bool) -> float:
        if self._stall_seconds is not None:
            return self._stall_seconds
        return max(STALL_LEAST_SECONDS, STALL_FACTOR * self._seen.longest_gap) if spoke else STALL_START_SECONDS

    def _problem(self, metadata: Mapping[str, Any], silent: float, stall: float) -> tuple[Problem | None, str]:
        error = str(metadata.get("error", "")).partition("\n")[0]
        match metadata["state"]:
            case "finished":
                return None, ""
            case "running":
                if silent > stall:
                    return "stalled", f"no event for {silent:.0f} s"
                return None, ""
            case "crashed":
                before, after = self._kills_before, self._kills()
                if before is not None and after is not None and after > before:
                    return "out of memory", "its process is gone, and the kernel has killed one because memory ran out"
                return "crashed", "its process is gone without a word"
        if not self._seen.loss_is_a_number or "not a number" in error:
            return "not a number", error or "the loss is not a number any more"
        if "out of memory" in error.lower() or "memory is too small" in error:
            return "out of memory", error
        return "failed", error or "no reason was written down"

    def _read(self, started: datetime) -> None:
        """Read the lines that are new and whole; all of them where the file is another one, as after a resumption."""
        if not self._events.exists():
            return
        with self._events.open("rb") as file:
            status = _identity(self._events)
            if status != self._file or file.seek(0, 2) < self._offset:
                self._file, self._offset, self._seen = status, 0, _Seen()
            file.seek(self._offset)
            lines = file.read().split(b"\n")
        for line in lines[:-1]:
            self._offset += len(line) + 1
            try:
                event = json.loads(line)
            except ValueError:  # a line that a crash cut off; resuming drops it
                continue
            if isinstance(event, dict):
                self._add(event, started)

    def _add(self, event: Mapping[str, Any], started: datetime) -> None:
        seen = self._seen
        seen.step = max(seen.step, int(event.get("step", 0)))
        for name, value in event.items():
            if isinstance(value, int | float) and not isinstance(value, bool):
                seen.figures[name] = value
        for name in ("dev_ndcg@10", "dev_accuracy"):
            if name in event:
                seen.measurements += 1
                seen.best = event[name] if seen.best is None else max(seen.best, event[name])
        seen.loss_is_a_number = seen.loss_is_a_number and math.isfinite(event.get("loss", 0.0))
        if "time" in event:
            when = datetime.fromisoformat(event["time"])
            before = max(started, seen.last) if seen.last else started
            if when >= started:
                seen.longest_gap = max(seen.longest_gap, (when - before).total_seconds())
            seen.last = when


def kills_for_memory() -> int | None:
    """Return how many processes the kernel has killed because memory ran out: in this container where it is one, else on this machine."""
    for source in (Path("/sys/fs/cgroup/memory.events"), Path("/proc/vmstat")):
        if source.exists():
            for line in source.read_text(encoding="utf-8").splitlines():
                name, _, count = line.partition(" ")
                if name == "oom_kill":
                    return int(count)
    return None


def _identity(file: Path) -> int:
    return file.stat().st_ino
