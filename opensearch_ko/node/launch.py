"""From a record to running processes, and from processes to none."""

from __future__ import annotations

import logging
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil

from opensearch_ko.node.account import Account
from opensearch_ko.node.configuration import NodeFolder, command_line, environment
from opensearch_ko.node.errors import NodeError
from opensearch_ko.node.java import Jdk
from opensearch_ko.node.record import NodeProcess, Record
from retrieval_ko.errors import RetrievalError

logger = logging.getLogger(__name__)

STOP_TIMEOUT_SECONDS = 60.0
"""A node closes its indexes in a few seconds; after this it is killed."""


@dataclass(frozen=True)
class Launcher:
    """Starts nodes of one home with one JDK, one assembly and, as root, one account."""

    home: Path
    jdk: Jdk
    software: Path
    account: Account | None

    def empty(self) -> None:
        """Remove the data, logs and configuration of all nodes of the home."""
        if nodes_folder(self.home).exists():
            shutil.rmtree(nodes_folder(self.home))

    def launch(self, nodes: Sequence[NodeProcess], record: Record) -> list[subprocess.Popen[bytes]]:
        """Start the processes of `nodes`, which are part of `record`.

        The record is written before the first process and after each one, so that a starter that is killed
        leaves nothing that cannot be found.

        Raises:
            NodeError: the disk is full.
        """
        started: list[subprocess.Popen[bytes]] = []
        try:
            for node in nodes:
                node.forget_process()
            record.save(self.home)
            for node in nodes:
                node_folder(self.home, node).prepare(node, record.nodes)
            if self.account:
                self.account.give(nodes_folder(self.home))
            for node in nodes:
                started.append(self._spawn(node, record.heap))
                record.save(self.home)
        except BaseException as failure:
            end_processes([psutil.Process(child.pid) for child in started])
            if isinstance(failure, RetrievalError):  # its remedy speaks of --out
                raise NodeError(failure.problem, "Free some space (`df -h`), or choose another folder: --home DIR") from failure
            raise
        return started

    def _spawn(self, node: NodeProcess, heap: str) -> subprocess.Popen[bytes]:
        folder = node_folder(self.home, node)
        with folder.console.open("wb") as console:
            child = subprocess.Popen(
                command_line(self.jdk, self.software, folder, heap, node.mark),
                env=environment(self.jdk, self.software, folder),
                cwd=folder.path,
                stdin=subprocess.DEVNULL,
                stdout=console,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # Ctrl-C and the end of the terminal are the starter's, not the node's
                user=self.account.uid if self.account else None,
                group=self.account.gid if self.account else None,
                extra_groups=[] if self.account else None,
            )
        try:
            node.adopt(psutil.Process(child.pid))
        except psutil.NoSuchProcess:
            logger.debug("%s died at once.", node.name)  # whoever waits for it says why
        return child


def nodes_folder(home: Path) -> Path:
    """Return the folder that holds one folder for each node."""
    return home / "nodes"


def node_folder(home: Path, node: NodeProcess) -> NodeFolder:
    """Return the folder of one node."""
    return NodeFolder(nodes_folder(home) / node.name)


def end_processes(processes: Sequence[psutil.Process]) -> None:
    """Ask processes to end, kill those that don't, and return when all are gone.

    Raises:
        NodeError: a process belongs to somebody else.
    """
    for process in processes:
        _signal(process, kill=False)
    _, stubborn = psutil.wait_procs(list(processes), timeout=STOP_TIMEOUT_SECONDS)
    for process in stubborn:
        logger.warning("Process %d did not end within %.0f s and is killed.", process.pid, STOP_TIMEOUT_SECONDS)
        _signal(process, kill=True)
    psutil.wait_procs(stubborn, timeout=STOP_TIMEOUT_SECONDS)


def _signal(process: psutil.Process, kill: bool) -> None:
    try:
        if kill:
            process.kill()
        else:
            process.terminate()
    except psutil.NoSuchProcess:
        return
    except psutil.AccessDenied as failure:
        raise NodeError(
            f"Process {process.pid} belongs to {process.username()} and may not be ended by you.",
            "Run the command as that user, or with sudo.",
        ) from failure
