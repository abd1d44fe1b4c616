"""Beginning a run again from its last checkpoint, by the command that began it, and ending what was begun here. Nothing else is ended."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import psutil

from retrieval_ko.runs.command_line import LEFT_OUT
from retrieval_ko.runs.folder import Run
from retrieval_ko.runs.process import on_this_host

GRACE_SECONDS = 20.0
"""Between asking a process to end and ending it."""


def why_not(metadata: Mapping[str, Any], command: Sequence[str] | None = None) -> str:
    """Return why a run can't be begun again from here, empty where it can.

    Args:
        metadata: of the run.
        command: to be used instead of the one that is written down.
    """
    if command:
        return ""
    known = metadata.get("command")
    if not known:
        return "its record holds no command"
    if not on_this_host(metadata["process"]):
        return f"it ran on {metadata['process']['host']}"
    if known["processes"] > 1:
        return f"a launcher began its {known['processes']} processes, and its command is not known here"
    if any(LEFT_OUT in word for word in known["argv"]):
        return "its command holds a secret, which was not kept"
    return ""


def begin_again(run: Run, number: int, command: Sequence[str] | None = None) -> subprocess.Popen[bytes]:
    """Start a run's command with --resume, in a session of its own, so that it outlives whoever watches it.

    What it prints goes to report/restart-N.log in the run's folder.

    Args:
        run: whose command it is.
        number: of the restart, from 1.
        command: instead of the one that is written down.

    Raises:
        OSError: the command can't be started.
    """
    known = {} if command else run.metadata()["command"]
    words = list(command or known["argv"])
    argv = words if "--resume" in words else [*words, "--resume"]
    log = restart_log(run, number)
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("wb") as output:
        return subprocess.Popen(
            argv, cwd=known.get("folder"), stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT, start_new_session=True
        )


def restart_log(run: Run, number: int) -> Path:
    """Return where a restarted run's output is."""
    return run.folder / "report" / f"restart-{number}.log"


def end(process: subprocess.Popen[bytes], grace_seconds: float = GRACE_SECONDS) -> None:
    """End a process that `begin_again` started, and those that it started: asked first, made to after a while."""
    if process.poll() is not None:
        return
    try:
        members = psutil.Process(process.pid).children(recursive=True)
    except psutil.NoSuchProcess:
        members = []
    process.terminate()
    try:
        process.wait(grace_seconds)
    except subprocess.TimeoutExpired:
        os.kill(process.pid, signal.SIGKILL)  # a child that nobody has waited for: its number is nobody else's
        process.wait()
    for member in members:
        try:
            member.kill()  # psutil looks at the start time too
        except psutil.NoSuchProcess:
            continue
