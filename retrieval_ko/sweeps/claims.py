"""Who runs which trial, among agents that share nothing but a folder.

A claim is a file that one process alone can make (O_EXCL, which network file systems keep to as well). No lock is held, so none is left
behind by an agent that was killed.

trial-0007.1       the first agent that took up trial 7: its process, as JSON. It touches the file as long as it lives
trial-0007.2       the agent that took the trial over after the first was lost, and so on: the highest number has it
point-ab12…        the trial that tries this point, so that no other does
"""

from __future__ import annotations

import json
import os
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from retrieval_ko.runs.process import is_running, on_this_host, this_process

BEAT_SECONDS = 3.0
"""Between two signs of life."""

SAME_HOST_SECONDS = 12.0
"""An agent of this machine is lost where its process is gone and it has been silent for so long. The process alone proves nothing: two
containers may have one name, and do not see each other's processes."""

_CLAIM = re.compile(r"trial-(\d+)\.(\d+)")


@dataclass(frozen=True)
class Claim:
    """A trial that an agent has.

    Args:
        trial: its number, from 1.
        generation: 1 for the first agent that took it up, and one more each time it was taken over.
    """

    trial: int
    generation: int


@dataclass
class Claims:
    """The claims of one sweep.

    Args:
        folder: where they are; it is made.
        lost_after_seconds: an agent on another machine is lost where it has been silent for so long.
        process: of the agent, see `retrieval_ko.runs.process.this_process`.
    """

    folder: Path
    lost_after_seconds: float = 120.0
    process: dict[str, Any] = field(default_factory=this_process)

    def __post_init__(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)

    def take(self, trial: int, generation: int = 1) -> Claim | None:
        """Take a trial up; None where another agent was faster."""
        name = f"trial-{trial:04}.{generation}"
        return Claim(trial, generation) if self._make(name, self.process) else None

    def take_point(self, key: str, trial: int) -> bool:
        """Return whether a trial may try a point: nobody has tried it, or this very trial began to."""
        if self._make(f"point-{key}", {"trial": trial}):
            return True
        return bool(self._read(self.folder / f"point-{key}").get("trial") == trial)

    def points(self) -> set[str]:
        """Return the keys of all points that were taken."""
        return {path.name.removeprefix("point-") for path in self.folder.glob("point-*")}

    def newest(self) -> dict[int, Claim]:
        """Return trial → the claim that counts, in the order of the trials."""
        found: dict[int, Claim] = {}
        for path in self.folder.glob("trial-*"):
            if match := _CLAIM.fullmatch(path.name):
                claim = Claim(int(match[1]), int(match[2]))
                if claim.trial not in found or found[claim.trial].generation < claim.generation:
                    found[claim.trial] = claim
        return dict(sorted(found.items()))

    def holder(self, claim: Claim) -> dict[str, Any]:
        """Return the process that made a claim; empty where it was killed before it wrote that down."""
        return self._read(self._path(claim))

    def beat(self, claim: Claim) -> bool:
        """Give a sign of life; False where another agent has taken the trial over, so that this one must let go of it."""
        os.utime(self._path(claim))
        return not self._path(Claim(claim.trial, claim.generation + 1)).exists()

    def release(self, claim: Claim) -> None:
        """Let anybody take over a trial that is not finished, at once."""
        os.utime(self._path(claim), (0, 0))

    def is_lost(self, claim: Claim) -> bool:
        """Return whether the agent that has a trial is gone: it let go of it, its process is, or it has been silent for too long."""
        try:
            last = self._path(claim).stat().st_mtime
        except FileNotFoundError:
            return False
        silent = self._now() - last
        if last == 0 or silent >= self.lost_after_seconds:
            return True
        holder = self.holder(claim)
        return silent >= SAME_HOST_SECONDS and bool(holder) and on_this_host(holder) and not is_running(holder)

    def _now(self) -> float:
        """Return the time of the clock that dates these files, which is the file server's, not this machine's."""
        clock = self.folder / f".clock-{self.process['host']}-{self.process['pid']}"
        clock.touch()
        return clock.stat().st_mtime

    def forget_clock(self) -> None:
        """Remove what this agent read the time from."""
        (self.folder / f".clock-{self.process['host']}-{self.process['pid']}").unlink(missing_ok=True)

    def _path(self, claim: Claim) -> Path:
        return self.folder / f"trial-{claim.trial:04}.{claim.generation}"

    def _make(self, name: str, content: dict[str, Any]) -> bool:
        try:
            handle = os.open(self.folder / name, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o644)
        except FileExistsError:
            return False
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(json.dumps(content))
        return True

    def _read(self, path: Path) -> dict[str, Any]:
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
        except (FileNotFoundError, json.JSONDecodeError):  # it is being made this moment, or its maker was killed in between
            return {}
        return content if isinstance(content, dict) else {}
