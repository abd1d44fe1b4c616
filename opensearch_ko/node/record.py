"""The file in a home that says which processes are ours, and how they are known again."""

from __future__ import annotations

import secrets
from datetime import UTC, datetime
from pathlib import Path

import psutil
from pydantic import BaseModel, Field, ValidationError

from opensearch_ko.node.errors import NodeError
from retrieval_ko.files import write_json

CLOCK_TOLERANCE_SECONDS = 2.0
"""The start time of a process is counted from a boot time that moves a little when the clock is set."""


def _new_token() -> str:
    return secrets.token_hex(16)


class NodeProcess(BaseModel):
    """One node of the cluster and its last process."""

    name: str
    http_port: int
    transport_port: int
    token: str = Field(default_factory=_new_token)
    """Stands on the command line of the process, so that it is found even when the starter died before it wrote the pid."""
    pid: int | None = None
    process_started: float | None = None
    """Seconds since 1970; with the pid it tells a process from a later one of the same pid."""

    @property
    def mark(self) -> str:
        """The argument that no other process has."""
        return f"-Dsparse_ko.node={self.token}"

    def adopt(self, process: psutil.Process) -> None:
        """Note which process this is."""
        self.pid, self.process_started = process.pid, process.create_time()

    def forget_process(self) -> None:
        """Make ready for the next process, which gets a mark of its own."""
        self.token, self.pid, self.process_started = _new_token(), None, None

    def find(self) -> psutil.Process | None:
        """Return the living process of this node, None when there is none. A stranger with its pid is not it."""
        if self.pid is not None:
            try:
                process = psutil.Process(self.pid)
                if self._is_ours(process):
                    return process
            except psutil.Error:
                return None
            return None
        return next((process for process in psutil.process_iter() if self._is_ours(process)), None)

    def _is_ours(self, process: psutil.Process) -> bool:
        try:
            if process.status() == psutil.STATUS_ZOMBIE or self.mark not in process.cmdline():
                return False
            return self.process_started is None or abs(process.create_time() - self.process_started) < CLOCK_TOLERANCE_SECONDS
        except psutil.Error:
            return False


class Record(BaseModel):
    """What was last started in a home."""

    version: str
    heap: str
    started_at: datetime = Field(default_factory=lambda: datetime.now(UTC))
    nodes: list[NodeProcess]

    def save(self, home: Path) -> None:
        """Write the file, whole or not at all."""
        write_json(record_file(home), self.model_dump(mode="json"))

    @classmethod
    def read(cls, home: Path) -> Record | None:
        """Return the record of `home`, None when nothing was ever started there.

        Raises:
            NodeError: the file is damaged.
        """
        file = record_file(home)
        try:
            return cls.model_validate_json(file.read_bytes())
        except FileNotFoundError:
            return None
        except (OSError, ValidationError) as failure:
            raise NodeError(
                f"{file} is not readable, so the node's processes are not known.",
                f"End the node yourself (`pgrep -af sparse_ko.node` shows it), then: rm {file}",
            ) from failure

    def living(self) -> dict[str, psutil.Process]:
        """Return the living processes by the name of their node."""
        found = {node.name: node.find() for node in self.nodes}
        return {name: process for name, process in found.items() if process is not None}


def record_file(home: Path) -> Path:
    """Return where the record of `home` is kept."""
    return home / "node.json"
