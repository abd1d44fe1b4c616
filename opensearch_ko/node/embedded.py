"""Starting, finding and stopping a node, or a cluster of several, on this machine."""

from __future__ import annotations

import logging
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil

from opensearch_ko.node.account import Account, choose_account
from opensearch_ko.node.assembly import ensure_assembled, lock
from opensearch_ko.node.errors import NodeError
from opensearch_ko.node.health import answer, indexes_are_open, ml_commons_answers
from opensearch_ko.node.java import find_jdk
from opensearch_ko.node.launch import Launcher, end_processes, node_folder, nodes_folder
from opensearch_ko.node.logs import error_lines, last_lines, remedy_for
from opensearch_ko.node.machine import LOOPBACK, free_port_range, free_ports, require_free_ports, require_memory
from opensearch_ko.node.maven import Progress
from opensearch_ko.node.places import cache_folder, node_home
from opensearch_ko.node.record import NodeProcess, Record, record_file
from opensearch_ko.node.settings import NodeSettings, NodeStatus, parse_heap

logger = logging.getLogger(__name__)

START_TIMEOUT_SECONDS = 180.0
"""A start takes 10 to 20 s on two cores; three nodes on a busy machine take longer."""
RECOVERY_TIMEOUT_SECONDS = 60.0
POLL_SECONDS = 0.25


def _silent(_what: str, _done: int, _total: int) -> None:
    return


class EmbeddedNode:
    """The node (or cluster) of one home folder."""

    def __init__(self, settings: NodeSettings | None = None) -> None:
        self.settings = settings or NodeSettings()
        self.home = self.settings.home_folder
        self._children: list[subprocess.Popen[bytes]] = []

    def start(self, progress: Progress = _silent) -> NodeStatus:
        """Start the node and wait until ML Commons answers; a running one is returned, dead parts of it are started again.

        Raises:
            NodeError: something is missing, taken, too small or full, or a node died: says which, and what mends it.
        """
        with self._alone():
            record = Record.read(self.home)
            living = record.living() if record else {}
            launched: list[NodeProcess] = []
            try:
                if record is None or not living:
                    record, launched = self._start_all(progress)
                else:
                    self._refuse_fresh(living)
                    self._mention_differences(record)
                    launched = self._start_again([node for node in record.nodes if node.name not in living], record, progress)
                self._wait_until_ready(record, progress)
            except BaseException:
                self._end([process for node in launched if (process := node.find())])
                raise
        return self.status()

    def stop(self) -> bool:
        """End the processes that were started in this home, and no other; tell whether there was one."""
        if not self.home.is_dir():
            return False
        with self._alone():
            record = Record.read(self.home)
            living = list(record.living().values()) if record else []
            self._end(living)
        return bool(living)

    def status(self) -> NodeStatus:
        """Say what is known of the node."""
        record = Record.read(self.home)
        if record is None:
            return NodeStatus(running=False, home=self.home)
        living = record.living()
        return NodeStatus(
            running=len(living) == len(record.nodes),
            url=_url(record) if living else None,
            pids=[process.pid for process in living.values()],
            version=record.version,
            nodes=len(record.nodes),
            heap=record.heap,
            started_at=record.started_at if living else None,
            home=self.home,
        )

    def log_files(self) -> list[Path]:
        """Return the log of each node that has one."""
        return sorted(nodes_folder(self.home).glob("n*/logs/node.log"))

    def log_tail(self, lines: int = 50) -> list[str]:
        """Return the last lines of each node's log."""
        return [line for file in self.log_files() for line in last_lines(file, lines)]

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Let no other process start or stop the node of this home meanwhile."""
        lock_file = self.home / ".lock"
        try:
            if not self.home.is_dir():
                self.home.mkdir(parents=True)
                self.home.chmod(0o755)
            strangers = [path.name for path in self.home.iterdir() if path != lock_file and not path.name.endswith(".unfinished")]
            if strangers and not record_file(self.home).is_file():
                raise NodeError(
                    f"{self.home} holds other files ({', '.join(sorted(strangers)[:3])}) and is not the home of a node.",
                    "Choose an empty or a new folder: --home DIR",
                )
            with lock(lock_file, waiting_for=f"another command that starts or stops the node of {self.home}"):
                yield
        except OSError as failure:
            raise NodeError(
                f"Cannot use the home {self.home}: {failure.strerror or failure}.",
                "Free some space (`df -h`), or choose another folder: --home DIR",
            ) from failure

    def _start_all(self, progress: Progress) -> tuple[Record, list[NodeProcess]]:
        settings = self.settings
        jdk, account = find_jdk(), self._choose_account()
        require_memory(settings.nodes, settings.heap_bytes)
        self._check_cluster_size()
        http_ports = list(range(settings.port, settings.port + settings.nodes)) if settings.port else free_port_range(settings.nodes)
        require_free_ports(http_ports)
        launcher = Launcher(self.home, jdk, ensure_assembled(settings.version, progress), account)
        transport_ports = [port for port in free_ports(2 * settings.nodes) if port not in http_ports]
        nodes = [
            NodeProcess(name=f"n{number}", http_port=http, transport_port=transport)
            for number, (http, transport) in enumerate(zip(http_ports, transport_ports, strict=False), start=1)
        ]
        record = Record(version=settings.version, heap=settings.heap, nodes=nodes)
        if settings.fresh:
            launcher.empty()
        self._children += launcher.launch(nodes, record)
        return record, nodes

    def _start_again(self, dead: list[NodeProcess], record: Record, progress: Progress) -> list[NodeProcess]:
        """Start the dead nodes of a cluster whose others live, with the ports they had."""
        if dead:
            jdk, account = find_jdk(), self._choose_account()
            require_memory(len(dead), parse_heap(record.heap))
            require_free_ports([port for node in dead for port in (node.http_port, node.transport_port)])
            launcher = Launcher(self.home, jdk, ensure_assembled(record.version, progress), account)
            self._children += launcher.launch(dead, record)
        return dead

    def _choose_account(self) -> Account | None:
        account = choose_account()
        if account:
            account.require_way_to(self.home, "Choose a folder that is open to it: --home /var/lib/sparse-ko/node")
            account.require_way_to(cache_folder(), "Set SPARSE_KO_CACHE to a folder that is open to it, e.g. /var/cache/sparse-ko")
        return account

    def _check_cluster_size(self) -> None:
        before = len(list(nodes_folder(self.home).glob("n*")))
        if before and before != self.settings.nodes and not self.settings.fresh:
            raise NodeError(
                f"{self.home} holds the data of a cluster of {before}, which cannot start with {self.settings.nodes} node(s).",
                f"Start it with --nodes {before}, empty it with --fresh, or choose another --home.",
            )

    def _refuse_fresh(self, living: dict[str, psutil.Process]) -> None:
        if self.settings.fresh:
            raise NodeError(
                f"The node of {self.home} is running (pid {next(iter(living.values())).pid}); its data is not emptied under it.",
                f"Stop it first: sparse-ko node stop --home {self.home}",
            )

    def _mention_differences(self, record: Record) -> None:
        running = (len(record.nodes), record.heap, record.version)
        if (self.settings.nodes, self.settings.heap, self.settings.version) != running:
            logger.warning(
                "The node of %s is running already, with %d node(s), heap %s, version %s; stop it first to change that.",
                self.home,
                *running,
            )

    def _wait_until_ready(self, record: Record, progress: Progress) -> None:
        ports = [node.http_port for node in record.nodes]
        began = time.monotonic()
        while not ml_commons_answers(ports):
            living = record.living()
            for node in record.nodes:
                if node.name not in living:
                    raise self._explain_death(node)
            waited = time.monotonic() - began
            if waited > START_TIMEOUT_SECONDS:
                raise NodeError(f"The node did not answer within {START_TIMEOUT_SECONDS:.0f} s.", f"Read its log: {self._logs_command}")
            progress(f"starting ({waited:.0f} s)", 0, 0)
            time.sleep(POLL_SECONDS)
        self._wait_for_indexes(ports[0])

    def _wait_for_indexes(self, port: int) -> None:
        """Wait until the indexes of the last run are open; one that stays closed is no reason to refuse the others."""
        deadline = time.monotonic() + RECOVERY_TIMEOUT_SECONDS
        while not indexes_are_open(port):
            if time.monotonic() > deadline:
                logger.warning("Not all indexes could be opened; the log says why: %s", self._logs_command)
                return
            time.sleep(POLL_SECONDS)

    def _explain_death(self, node: NodeProcess) -> NodeError:
        folder = node_folder(self.home, node)
        said = error_lines([folder.console, folder.log])
        return NodeError(
            f"Node {node.name} died while starting. Its last words:\n" + "\n".join(f"  {line}" for line in said),
            remedy_for(said) or f"Read its log: {self._logs_command}",
        )

    @property
    def _logs_command(self) -> str:
        return f"sparse-ko node logs --home {self.home}"

    def _end(self, processes: list[psutil.Process]) -> None:
        end_processes(processes)
        for child in self._children:
            child.poll()  # takes note of the end of a process of our own


def find_running_node(home: Path | None = None) -> str | None:
    """Return the address of the running node of `home`, None when none answers.

    Without `home` that is the one of `$SPARSE_KO_NODE_HOME`, else the default home.
    """
    record = Record.read(node_home(home))
    if record and record.living() and answer(record.nodes[0].http_port, "/") is not None:
        return _url(record)
    return None


def _url(record: Record) -> str:
    return f"http://{LOOPBACK}:{record.nodes[0].http_port}"
