"""A training run's folder: what was asked, on what, what happened, and how it ended.

config.yaml      the settings, complete
metadata.json    state, versions, git commit, data hashes, seed, hardware, times
events.jsonl     one JSON object a line: losses, metrics
checkpoint-*     to resume from
model/           the result
report/          figures for people
"""

from __future__ import annotations

import json
import os
import platform
import subprocess
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Literal

import psutil
import yaml

from retrieval_ko.errors import DataError, UsageError
from retrieval_ko.files import read_json, read_jsonl, write_json, write_text

State = Literal["running", "finished", "failed"]
RECORDED_VERSIONS = ("sparse-ko", "torch", "transformers", "sentence-transformers", "tokenizers", "kiwipiepy", "numpy", "scipy")


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
            UsageError: the folder holds a run already, or one that was made with other settings or other data.
        """
        run = cls(folder)
        known = run.folder / "config.yaml"
        if known.exists():
            if not resume:
                raise UsageError(f"{folder} already holds a run.", "Add --resume to go on with it, or choose another folder with --out.")
            if yaml.safe_load(known.read_text(encoding="utf-8")) != settings or run.metadata()["data"] != data:
                raise UsageError(
                    f"The run in {folder} was made with other settings or other data, so it cannot be resumed with these.",
                    f"Its settings are in {known}; choose another folder with --out for a new run.",
                )
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
                "hardware": _hardware(),
            }
        )
        return run

    def record(self, **event: Any) -> None:  # noqa: ANN401  any JSON value
        """Append one event, with the time, and hand it to the operating system at once."""
        line = json.dumps({"time": _now(), **event}, ensure_ascii=False)
        with (self.folder / "events.jsonl").open("a", encoding="utf-8") as file:
            file.write(line + "\n")

    def end(self, state: State, **facts: Any) -> None:  # noqa: ANN401  any JSON value
        """Write down how the run ended."""
        self._write_metadata({**self.metadata(), "state": state, "ended_at": _now(), **facts})

    def metadata(self) -> dict[str, Any]:
        """Return what metadata.json holds.

        Raises:
            DataError: the folder holds no run.
        """
        metadata = read_json(self.folder / "metadata.json")
        if not isinstance(metadata, dict):
            raise DataError(f"{self.folder / 'metadata.json'} holds no run's metadata.")
        return metadata

    def events(self) -> list[dict[str, Any]]:
        """Return all events, oldest first."""
        source = self.folder / "events.jsonl"
        return [event for _, event in read_jsonl(source)] if source.exists() else []

    def _write_metadata(self, metadata: dict[str, Any]) -> None:
        write_json(self.folder / "metadata.json", metadata)


def find_runs(folder: Path) -> list[Run]:
    """Return the runs directly below `folder`, oldest first."""
    runs = [Run(path.parent) for path in Path(folder).glob("*/metadata.json")]
    return sorted(runs, key=lambda run: str(run.metadata().get("started_at", "")))


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


def versions() -> dict[str, str]:
    """Return the versions of Python and of the libraries that decide about numbers, as far as they are installed."""
    found = {"python": platform.python_version()}
    for name in RECORDED_VERSIONS:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def _hardware() -> dict[str, Any]:
    return {
        "machine": platform.machine(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "memory_gb": round(psutil.virtual_memory().total / 2**30),
    }


def git_commit() -> str | None:
    """Return the commit of the code that runs; None where it is not a git checkout."""
    try:
        answer = subprocess.run(
            ["git", "rev-parse", "HEAD"], cwd=Path(__file__).parent, capture_output=True, text=True, timeout=10, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return answer.stdout.strip() or None
