"""A trial is an ordinary run of `train`, in a process of its own: what crashes or eats the memory is the trial, never the agent."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from retrieval_ko.errors import DataError, RetrievalError
from retrieval_ko.files import read_json
from retrieval_ko.runs import Run
from retrieval_ko.runs.process import is_running, on_this_host
from retrieval_ko.sweeps.leash import AGENT
from retrieval_ko.sweeps.program import Program
from retrieval_ko.sweeps.settings import changes_of

GRACE_SECONDS = 20.0
"""How long a trial that is told to end may take before it is killed."""
_LAST_LINES = 4_000
"""Bytes of a trial's output that are read where it failed and said nothing else."""


@dataclass
class TrialRun:
    """One trial's run.

    Args:
        program: whose `train` it is.
        config: what it starts from.
        point: key → value, set over the config.
        folder: of the run.
        log: what the process writes to its terminal is added to this file.
    """

    program: Program
    config: Path
    point: Mapping[str, Any]
    folder: Path
    log: Path
    process: subprocess.Popen[bytes] | None = None

    def command(self) -> list[str]:
        """Return the command that begins the run, or goes on with it where it has begun."""
        changes = [word for change in changes_of(self.point) for word in ("--set", change)]
        resume = ["--resume"] if (self.folder / "config.yaml").exists() else []
        return [*self.program.command, "train", str(self.config), *changes, "--out", str(self.folder), *resume]

    def start(self) -> None:
        """Start the process, in a session of its own: an interruption at the keyboard is the agent's, which ends its trial itself."""
        self.log.parent.mkdir(parents=True, exist_ok=True)
        with self.log.open("ab") as output:
            self.process = subprocess.Popen(
                self.command(),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                env={**os.environ, "COLUMNS": "200", AGENT: str(os.getpid())},
            )

    def exit_code(self) -> int | None:
        """Return how the process ended, None while it is at work."""
        return self.process.poll() if self.process else 0

    def end(self) -> None:
        """End the process that this object started, and nothing else."""
        if self.process is None or self.process.poll() is not None:
            return
        self.process.terminate()
        try:
            self.process.wait(GRACE_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def events(self) -> list[dict[str, Any]]:
        """Return what the run recorded so far."""
        return Run(self.folder).events()

    def metadata(self) -> dict[str, Any]:
        """Return how the run stands; empty before it began."""
        if not (self.folder / "metadata.json").exists():
            return {}
        return Run(self.folder).metadata()

    def wait_for_predecessor(self, seconds: float = GRACE_SECONDS) -> bool:
        """Wait for a process of this machine that an agent left behind; False where it is still there after `seconds`."""
        until = time.monotonic() + seconds
        while self._left_behind():
            if time.monotonic() > until:
                return False
            time.sleep(0.2)
        return True

    def take_over(self) -> None:
        """Write down as crashed a run of an agent that was lost, so that `train --resume` goes on with it, from whatever machine it was."""
        metadata = self.metadata()
        if metadata.get("state") == "running":
            host = metadata.get("process", {}).get("host", "another machine")
            Run(self.folder).end("crashed", error=f"its agent on {host} was lost", peak_memory=None)

    def set_aside(self, reason: str) -> None:
        """Write down why a run that this agent ended did not go to its end."""
        if self.metadata().get("state") == "running":
            Run(self.folder).end("failed", error=reason, peak_memory=None)

    def complaint(self) -> str:
        """Return why the run failed: what it recorded, the signal that ended it, else the last thing it said."""
        metadata = Run(self.folder).look() if self.metadata() else {}  # writes down a run that could not say that it crashed
        if metadata.get("state") == "failed" and (error := metadata.get("error")):
            return str(error)
        if self.process is not None and (self.process.returncode or 0) < 0:
            name = signal.Signals(-self.process.returncode).name
            return f"it was ended by {name}" + (" (the machine's memory may have been too small)" if name == "SIGKILL" else "")
        with suppress(OSError), self.log.open("rb") as file:
            file.seek(max(0, self.log.stat().st_size - _LAST_LINES))
            lines = [line.strip() for line in file.read().decode("utf-8", "replace").splitlines() if line.strip()]
            said = next((number for number, line in enumerate(lines) if line.startswith("Error:")), len(lines) - 1)
            if lines:
                return " ".join(lines[said:]).removeprefix("Error:").strip()
        return "it ended without a word"

    def _left_behind(self) -> bool:
        metadata = self.metadata()
        process = metadata.get("process")
        if metadata.get("state") != "running" or process is None:  # one that has ended writes no more
            return False
        return on_this_host(process) and is_running(process)


def compared_on(folder: Path) -> dict[str, Any]:
    """Return on what a run measured dev: only trials of which all of it is equal can be compared.

    Raises:
        DataError: the folder holds no run.
    """
    try:
        config = yaml.safe_load((folder / "config.yaml").read_text(encoding="utf-8"))
        data = read_json(folder / "metadata.json")["data"]
        training = config["training"]
        name, digest = next(iter(data.items()))  # the run's own collection is written first
        return {
            "collection": name,
            "sha256": digest,
            "dev_split": config["dev_split"],
            "queries": training["eval_queries"],
            "passages": training["eval_passages"],
        }
    except (OSError, KeyError, TypeError, StopIteration, yaml.YAMLError, RetrievalError) as failure:
        raise DataError(f"{folder} does not say what its run was measured on ({type(failure).__name__}: {failure}).") from failure
