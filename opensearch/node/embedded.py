"""Starting, finding and stopping a node, or a cluster of several, on this machine."""

from __future__ import annotations

import logging
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil

from opensearch.node.account import Account, choose_account
from opensearch.node.assembly import ensure_assembled, lock
from opensearch.node.configuration import NodeFolder, command_line, environment
from opensearch.node.errors import NodeError
from opensearch.node.health import answer, is_ready
from opensearch.node.java import Jdk, find_jdk
from opensearch.node.logs import error_lines, last_lines, remedy_for
from opensearch.node.machine import LOOPBACK, free_port_range, free_ports, require_free_ports, require_memory
from opensearch.node.maven import Progress
from opensearch.node.places import default_home, node_home
from opensearch.node.record import NodeProcess, Record, record_file
from opensearch.node.settings import NodeSettings, NodeStatus, parse_heap
from retrieval_ko.errors import RetrievalError

logger = logging.getLogger(__name__)

START_TIMEOUT_SECONDS = 180.0
"""A start takes 10 to 20 s on two cores; three nodes on a busy machine take longer."""
STOP_TIMEOUT_SECONDS = 60.0
"""A node closes its indexes in a few seconds; after this it is killed."""
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
            if record and living:
                self._refuse_fresh(living)
                self._mention_differences(record)
                dead = [node for node in record.nodes if node.name not in living]
            else:
                record = None
                dead = []
            if record is None or dead:
                record = self._launch(record, dead, progress)
            self._wait_until_ready(record, progress)
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
        return sorted(self._nodes_folder.glob("n*/logs/node.log"))

    def log_tail(self, lines: int = 50) -> list[str]:
        """Return the last lines of each node's log."""
        return [line for file in self.log_files() for line in last_lines(file, lines)]

    @property
    def _nodes_folder(self) -> Path:
        return self.home / "nodes"

    def _folder(self, node: NodeProcess) -> NodeFolder:
        return NodeFolder(self._nodes_folder / node.name)

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
                f"Cannot write the home {self.home}: {failure.strerror or failure}.",
                "Free some space (`df -h`), or choose another folder: --home DIR",
            ) from failure

    def _refuse_fresh(self, living: dict[str, psutil.Process]) -> None:
        if self.settings.fresh:
            raise NodeError(
                f"The node of {self.home} is running (pid {next(iter(living.values())).pid}); its data is not emptied under it.",
                f"Stop it first: sparse-ko node stop --home {self.home}",
            )

    def _mention_differences(self, record: Record) -> None:
        asked = (len(record.nodes), record.heap, record.version)
        if (self.settings.nodes, self.settings.heap, self.settings.version) != asked:
            logger.warning(
                "The node of %s is running already, with %d node(s), heap %s, version %s; stop it first to change that.", self.home, *asked
            )

    def _launch(self, running: Record | None, dead: list[NodeProcess], progress: Progress) -> Record:
        """Start all nodes of a new record, or the dead ones of a running cluster."""
        jdk = find_jdk()
        account = choose_account()
        heap = running.heap if running else self.settings.heap
        require_memory(len(dead) if running else self.settings.nodes, parse_heap(heap))
        if running:
            record = running
            require_free_ports([port for node in dead for port in (node.http_port, node.transport_port)])
        else:
            self._check_cluster_size()
            record = self._new_record()
            dead = record.nodes
        software = ensure_assembled(record.version, progress)
        self._prepare(record, dead, account, software)
        for node in dead:
            node.token, node.pid, node.process_started = NodeProcess(name="", http_port=0, transport_port=0).token, None, None
        record.save(self.home)  # before the first process, so that a killed starter leaves nothing that cannot be found
        for node in dead:
            self._spawn(node, record, jdk, software, account)
            record.save(self.home)
        return record

    def _check_cluster_size(self) -> None:
        before = len(list(self._nodes_folder.glob("n*")))
        if before and before != self.settings.nodes and not self.settings.fresh:
            raise NodeError(
                f"{self.home} holds the data of a cluster of {before}, which cannot start with {self.settings.nodes} node(s).",
                f"Start it with --nodes {before}, empty it with --fresh, or choose another --home.",
            )

    def _new_record(self) -> Record:
        count, port = self.settings.nodes, self.settings.port
        http_ports = list(range(port, port + count)) if port else free_port_range(count)
        require_free_ports(http_ports)
        transport_ports = [port for port in free_ports(2 * count) if port not in http_ports][:count]
        nodes = [
            NodeProcess(name=f"n{number}", http_port=http, transport_port=transport)
            for number, (http, transport) in enumerate(zip(http_ports, transport_ports, strict=True), start=1)
        ]
        return Record(version=self.settings.version, heap=self.settings.heap, nodes=nodes)

    def _prepare(self, record: Record, nodes: list[NodeProcess], account: Account | None, software: Path) -> None:
        if account:
            account.require_way_to(self.home, "Choose a folder that is open to it: --home /var/lib/sparse-ko/node")
            account.require_way_to(software, "Set SPARSE_KO_CACHE to a folder that is open to it, e.g. /var/cache/sparse-ko")
        try:
            record.save(self.home)
            if self.settings.fresh:
                shutil.rmtree(self._nodes_folder, ignore_errors=True)
            for node in nodes:
                self._folder(node).prepare(node, record.nodes)
            if account:
                account.give(self._nodes_folder)
        except RetrievalError as failure:
            raise NodeError(failure.problem, "Free some space (`df -h`), or choose another folder: --home DIR") from failure

    def _spawn(self, node: NodeProcess, record: Record, jdk: Jdk, software: Path, account: Account | None) -> None:
        folder = self._folder(node)
        with folder.console.open("wb") as console:
            child = subprocess.Popen(
                command_line(jdk, software, folder, record.heap, node.mark),
                env=environment(jdk, software, folder),
                cwd=folder.path,
                stdin=subprocess.DEVNULL,
                stdout=console,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # Ctrl-C and the end of the terminal are the starter's, not the node's
                user=account.uid if account else None,
                group=account.gid if account else None,
                extra_groups=[] if account else None,
            )
        self._children.append(child)
        try:
            node.adopt(psutil.Process(child.pid))
        except psutil.Error:
            logger.debug("%s died at once.", node.name)  # the wait for it says why

    def _wait_until_ready(self, record: Record, progress: Progress) -> None:
        ports = [node.http_port for node in record.nodes]
        began = time.monotonic()
        try:
            while not is_ready(ports):
                living = record.living()
                for node in record.nodes:
                    if node.name not in living:
                        raise self._explain_death(node)
                waited = time.monotonic() - began
                if waited > START_TIMEOUT_SECONDS:
                    raise NodeError(
                        f"The node did not answer within {START_TIMEOUT_SECONDS:.0f} s and was ended.",
                        f"Read its log: {self._logs_command}",
                    )
                progress("starting", int(waited), int(START_TIMEOUT_SECONDS))
                time.sleep(POLL_SECONDS)
        except BaseException:
            self._end(list(record.living().values()))
            raise

    def _explain_death(self, node: NodeProcess) -> NodeError:
        folder = self._folder(node)
        said = error_lines([folder.console, folder.log])
        return NodeError(
            f"Node {node.name} died while starting. Its last words:\n" + "\n".join(f"  {line}" for line in said),
            remedy_for(said) or f"Read its log: {self._logs_command}",
        )

    @property
    def _logs_command(self) -> str:
        return f"sparse-ko node logs --home {self.home}"

    def _end(self, processes: list[psutil.Process]) -> None:
        for process in processes:
            _signal(process, "terminate")
        _, stubborn = psutil.wait_procs(processes, timeout=STOP_TIMEOUT_SECONDS)
        for process in stubborn:
            logger.warning("Process %d did not end within %.0f s and is killed.", process.pid, STOP_TIMEOUT_SECONDS)
            _signal(process, "kill")
        psutil.wait_procs(stubborn, timeout=STOP_TIMEOUT_SECONDS)
        for child in self._children:
            child.poll()


def find_running_node(home: Path | None = None) -> str | None:
    """Return the address of the running node of `home`, None when none answers.

    Without `home` it looks at `$SPARSE_KO_NODE_HOME` and at the default home.
    """
    homes = [node_home(home)] if home else dict.fromkeys([node_home(), default_home()])
    for each in homes:
        record = Record.read(each)
        if record and record.living() and answer(record.nodes[0].http_port, "/") is not None:
            return _url(record)
    return None


def _url(record: Record) -> str:
    return f"http://{LOOPBACK}:{record.nodes[0].http_port}"


def _signal(process: psutil.Process, how: str) -> None:
    try:
        process.terminate() if how == "terminate" else process.kill()
    except psutil.NoSuchProcess:
        return
    except psutil.AccessDenied as failure:
        raise NodeError(
            f"Process {process.pid} belongs to {process.username()} and may not be ended by you.",
            "Run the command as that user, or with sudo.",
        ) from failure
