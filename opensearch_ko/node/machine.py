"""Whether this machine has the memory and the ports that a node needs; asked before anything is started."""

from __future__ import annotations

import socket
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

import psutil

from opensearch_ko.node.errors import NodeError

LOOPBACK = "127.0.0.1"
MEMORY_BESIDE_HEAP = 512 * 2**20
"""What a JVM with OpenSearch takes besides its heap: classes, threads, compiled code; models come on top."""


def require_memory(nodes: int, heap_bytes: int) -> None:
    """Make sure that `nodes` JVMs fit into the memory that is free.

    Raises:
        NodeError: they don't; says how much there is and which heap would fit.
    """
    needed = nodes * (heap_bytes + MEMORY_BESIDE_HEAP)
    free = free_memory()
    if needed <= free:
        return
    fitting = (free // nodes - MEMORY_BESIDE_HEAP) // 2**20
    advice = f"or use a smaller heap: --heap {fitting}m" if fitting >= 256 else "or ask for fewer nodes"
    raise NodeError(
        f"Too little memory: {nodes} node(s) with a heap of {heap_bytes / 2**30:.1f} GiB take {needed / 2**30:.1f} GiB, "
        f"{free / 2**30:.1f} GiB are free.",
        f"End other programs, {advice}.",
    )


def free_memory() -> int:
    """Return the bytes that new processes can have, under the limit of the container if there is one."""
    free = psutil.virtual_memory().available
    group = Path("/sys/fs/cgroup")
    try:
        limit, used = (group / "memory.max").read_text().strip(), int((group / "memory.current").read_text())
    except OSError:
        return free
    return free if limit == "max" else min(free, max(0, int(limit) - used))


def require_free_ports(ports: Sequence[int]) -> None:
    """Make sure that nobody listens on `ports`.

    Raises:
        NodeError: a port is taken; names the process where the system tells it.
    """
    for port in ports:
        if not is_free(port):
            raise NodeError(
                f"Port {port} on {LOOPBACK} is taken{_holder(port)}.", "End that program, or let a free port be chosen: --port 0"
            )


def free_ports(count: int) -> list[int]:
    """Return `count` ports on which nobody listens."""
    with ExitStack() as held:
        sockets = [held.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind((LOOPBACK, 0))
        return [int(each.getsockname()[1]) for each in sockets]


def free_port_range(count: int) -> list[int]:
    """Return `count` consecutive ports on which nobody listens.

    Raises:
        NodeError: none found.
    """
    for _ in range(100):
        first = free_ports(1)[0]
        ports = list(range(first, first + count))
        if ports[-1] <= 65535 and all(map(is_free, ports)):
            return ports
    raise NodeError(f"No {count} consecutive free ports were found.", "Name one with --port.")


def is_free(port: int) -> bool:
    """Tell whether a server can listen on `port`."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # a port in TIME_WAIT is free to a server
        try:
            probe.bind((LOOPBACK, port))
        except OSError:
            return False
    return True


def _holder(port: int) -> str:
    try:
        for connection in psutil.net_connections(kind="tcp"):
            if connection.status == psutil.CONN_LISTEN and connection.laddr[1:] == (port,) and connection.pid:
                return f" by {psutil.Process(connection.pid).name()} (pid {connection.pid})"
    except psutil.Error:
        pass  # another user's process: the system doesn't tell
    return ""
