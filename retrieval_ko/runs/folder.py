"""A training run's folder: what was asked, on what, what happened, and how it ended.

config.yaml      the settings, complete
metadata.json    state, versions, git commit, data hashes, seed, hardware, times, the process and its command
events.jsonl     one JSON object a line: losses, metrics
checkpoint-*     to resume from
model/           the result
report/          figures for people

Beside the folders of runs stands a link, latest-run, to the one that began last.
"""

from __future__ import annotations

import json
import logging
import os
import secrets
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

import yaml

from retrieval_ko.errors import DataError, RetrievalError, UsageError
from retrieval_ko.files import read_json, write_json, write_text
from retrieval_ko.runs.command_line import this_command
from retrieval_ko.runs.durations import in_words
from retrieval_ko.runs.machine import git_commit, hardware, peak_memory, versions
from retrieval_ko.runs.process import is_running, on_this_host, this_process

logger = logging.getLogger(__name__)

State = Literal["running", "finished", "failed", "crashed"]

LATEST = "latest-run"
"""The link beside the runs that names the one that began last."""


SILENT_SECONDS = 120.0
"""A run of another machine that recorded something within so long is not dead, whatever a person says: agents of a sweep wait as long."""

CARRIED = ("steps", "dev")
"""What stays known of a run when it is resumed: how many steps it has, and on what its dev figures were measured."""


class Run:
    """One run's folder, open for writing."""

    def __init__(self, folder: Path) -> None:
        self.folder = Path(folder)

    @classmethod
    def begin(cls, folder: Path, settings: dict[str, Any], *, seed: int, data: dict[str, str], resume: bool = False) -> Run:
        """Make the folder and write down what is about to happen.

        Args:
            folder: of the run; must be new or empty, or hold a run that `resume` goes on with.
            settings: the complete settings, plain values.
            seed: of everything random.
            data: name of each input → its SHA-256.
            resume: go on with the run that is there.

        Raises:
            UsageError: the folder holds a run already, one that is still running, or one that was made with other settings or other data.
        """
        run = cls(folder)
        known = run.folder / "config.yaml"
        carried: dict[str, Any] = {}
        if known.exists():
            if not resume:
                raise UsageError(f"{folder} already holds a run.", "Add --resume to go on with it, or choose another folder with --out.")
            before = run.look()
            if yaml.safe_load(known.read_text(encoding="utf-8")) != settings or before["data"] != data:
                raise UsageError(
                    f"The run in {folder} was made with other settings or other data, so it cannot be resumed with these.",
                    f"Its settings are in {known}; choose another folder with --out for a new run.",
                )
            run._refuse_a_second_writer(before)
            carried = {name: before[name] for name in CARRIED if name in before}
            carried["earlier"] = [*before.get("earlier", []), _sitting(before)]
        elif run.folder.exists() and any(run.folder.iterdir()):
            raise UsageError(f"{folder} holds other files.", "Choose an empty or new folder with --out.")
        write_text(known, yaml.safe_dump(settings, allow_unicode=True, sort_keys=False))
        run._write_metadata(
            {
                "state": "running",
                "started_at": _now(),
                "seed": seed,
                "data": data,
                "git_commit": git_commit(),
                "versions": versions(),
                "hardware": hardware(),
                "process": this_process(),
                "command": this_command(),
                **carried,
            }
        )
        _point_at(run.folder)
        return run

    def record(self, **event: Any) -> None:  # noqa: ANN401  any JSON value
        """Append one event, with the time, and hand it to the operating system at once."""
        line = json.dumps({"time": _now(), **event}, ensure_ascii=False)
        with (self.folder / "events.jsonl").open("a", encoding="utf-8") as file:
            file.write(line + "\n")

    def note(self, **facts: Any) -> None:  # noqa: ANN401  any JSON value
        """Write down what has become known of the run."""
        self._write_metadata({**self.metadata(), **facts})

    def end(self, state: State, **facts: Any) -> None:  # noqa: ANN401  any JSON value
        """Write down how the run ended, how long it took (since it was begun or resumed), and the most memory it held."""
        metadata, now = self.metadata(), _now()
        took = datetime.fromisoformat(now) - datetime.fromisoformat(metadata["started_at"])
        ending = {"state": state, "ended_at": now, "seconds": took.total_seconds(), "peak_memory": peak_memory()}
        self._write_metadata({**metadata, **ending, **facts})

    def metadata(self) -> dict[str, Any]:
        """Return what metadata.json holds.

        Raises:
            DataError: the folder holds no run.
        """
        metadata = read_json(self.folder / "metadata.json")
        if not isinstance(metadata, dict):
            raise DataError(f"{self.folder / 'metadata.json'} holds no run's metadata.")
        return metadata

    def is_alive(self) -> bool:
        """Return whether the run's process is at work.

        False where the run has ended and where its process is gone. A run on another machine, or one whose record names no process, cannot
        be seen from here and counts as alive as long as it says that it is running.

        Raises:
            DataError: the folder holds no run.
        """
        metadata = self.metadata()
        return metadata.get("state") == "running" and _process_is_there(metadata)

    def look(self) -> dict[str, Any]:
        """Return the metadata, after writing down as crashed a run that says it is running though its process is gone.

        Every command that shows, judges or compares runs reads them by this.

        Raises:
            DataError: the folder holds no run.
        """
        metadata = self.metadata()
        if metadata.get("state") != "running" or _process_is_there(metadata):
            return metadata
        metadata = self.metadata()  # it may have ended well between the two looks; now that it is gone it writes no more
        if metadata.get("state") != "running" or _process_is_there(metadata):
            return metadata
        metadata |= {"state": "crashed", "found_crashed_at": _now()}
        with suppress(RetrievalError):  # somebody else's run can be read and not written; what is returned is true all the same
            self._write_metadata(metadata)
        return metadata

    def take_over(self) -> bool:
        """Write down as crashed a run of another machine that says it is running, since a person knows better; return whether it said so.

        What cannot be seen from here is believed otherwise (`is_alive`), so that no two processes write into one folder.

        Raises:
            DataError: the folder holds no run.
            UsageError: its last event is younger than `SILENT_SECONDS`.
        """
        metadata = self.metadata()
        process = metadata.get("process")
        if metadata.get("state") != "running" or not process or on_this_host(process):
            return False
        silent = self._silent_seconds(metadata)
        who = f"process {process['pid']} on {process['host']}"
        if silent < SILENT_SECONDS:
            raise UsageError(
                f"The run in {self.folder} recorded something {in_words(silent)} ago, so {who} may well be at work.",
                f"End it there. A run is taken over once it has been silent for {in_words(SILENT_SECONDS)}.",
            )
        logger.warning("The run in %s is taken over from %s, which has been silent for %s.", self.folder, who, in_words(silent))
        self.end("crashed", error=f"taken over from {who}, silent for {in_words(silent)}", peak_memory=None)
        return True

    def events(self) -> list[dict[str, Any]]:
        """Return all events, oldest first; a last line that is still being written, or was cut off by a crash, is left out.

        Raises:
            DataError: another line is damaged.
        """
        source = self.folder / "events.jsonl"
        if not source.exists():
            return []
        lines = source.read_bytes().split(b"\n")
        events = []
        for number, line in enumerate(lines[:-1], start=1):
            try:
                event = json.loads(line)
            except ValueError as failure:  # JSONDecodeError and UnicodeDecodeError are ones
                if number == len(lines) - 1:
                    continue
                raise DataError(f"{source}, line {number}: not JSON ({failure}).") from failure
            if not isinstance(event, dict):
                raise DataError(f"{source}, line {number}: expected a JSON object, found {type(event).__name__}.")
            events.append(event)
        return events

    def _refuse_a_second_writer(self, before: dict[str, Any]) -> None:
        process = before.get("process")
        if before.get("state") != "running" or not process or not _process_is_there(before) or process == this_process():
            return
        if on_this_host(process):
            raise UsageError(
                f"The run in {self.folder} is still running: process {process['pid']} on {process['host']}.",
                "Wait for it, or end it first; `runs watch` shows how it goes.",
            )
        raise UsageError(
            f"The run in {self.folder} says that it is running: process {process['pid']} on {process['host']}, which cannot be seen "
            f"from this machine ({this_process()['host']}). Its last event is {in_words(self._silent_seconds(before))} old.",
            "Two processes would spoil the folder. If that one is gone for certain, add --take-over to --resume.",
        )

    def _silent_seconds(self, metadata: dict[str, Any]) -> float:
        """Return how old the last event is, that of the beginning where there is none; by this machine's clock, never below 0."""
        last = next((event["time"] for event in reversed(self.events()) if "time" in event), metadata["started_at"])
        latest = max(datetime.fromisoformat(last), datetime.fromisoformat(metadata["started_at"]))
        return max(0.0, (datetime.now(UTC) - latest).total_seconds())

    def _write_metadata(self, metadata: dict[str, Any]) -> None:
        write_json(self.folder / "metadata.json", metadata)


def find_runs(folder: Path) -> list[Run]:
    """Return the runs directly below `folder`, oldest first."""
    runs = [Run(path.parent) for path in Path(folder).glob("*/metadata.json") if not path.parent.is_symlink()]
    return sorted(runs, key=lambda run: str(run.metadata().get("started_at", "")))


def _process_is_there(metadata: dict[str, Any]) -> bool:
    process = metadata.get("process")
    return is_running(process) if process and on_this_host(process) else True


def _sitting(metadata: dict[str, Any]) -> dict[str, Any]:
    """Return what is kept of the time before a run was resumed."""
    names = ("state", "started_at", "ended_at", "found_crashed_at", "seconds", "error", "git_commit", "peak_memory")
    return {name: metadata[name] for name in names if name in metadata}


def _point_at(folder: Path) -> None:
    """Let the link beside the runs name this one; where something else has that name, it stays."""
    folder = Path(os.path.abspath(folder))  # "." has no name
    link = folder.parent / LATEST
    if link.exists() and not link.is_symlink():
        return
    temporary = link.with_name(f".{LATEST}.{secrets.token_hex(4)}.unfinished")
    try:
        temporary.symlink_to(folder.name, target_is_directory=True)
        temporary.replace(link)
    except OSError as failure:  # a file system without links
        temporary.unlink(missing_ok=True)
        logger.warning("%s was not made: %s", link, failure.strerror or failure)


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
