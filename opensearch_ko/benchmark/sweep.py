"""Queries a second by how many clients ask at once, each over its own connection, until errors appear."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

from opensearch_ko.benchmark.schedule import shuffled
from opensearch_ko.benchmark.timing import percentiles
from opensearch_ko.cluster import Cluster
from opensearch_ko.errors import ClusterError
from opensearch_ko.queries.modes import Context, Mode

CLIENTS = (1, 2, 4, 8)
HIGHEST_ERROR_RATE = 0.001
"""A mode that fails more often is not asked by more clients: what it answers fast is then not what it was asked."""
KEPT_REASONS = 3


def sweep(
    modes: Mapping[str, Mode],
    context: Context,
    queries: Mapping[str, str],
    *,
    clients: Sequence[int] = CLIENTS,
    seconds: float = 5.0,
    on_progress: Callable[[int, int], None] = lambda done, total: None,
) -> dict[str, list[dict[str, Any]]]:
    """Return for each mode a step a number of clients: {"clients", "requests", "errors", "error_rate", "seconds", "qps", "service_ms"}.

    Queries are encoded before: a client's Kiwi would take the processor that the node needs where both share a machine, and its cost
    stands in the report already. `qps` counts answers only; `service_ms` is of answers only.

    Args:
        modes: by name.
        context: of the run; each client gets one with a connection of its own.
        queries: by id; each client asks them all in turn, beginning at another.
        clients: how many at once, ascending.
        seconds: how long each step lasts.
        on_progress: told how many steps of how many are done.
    """
    encoded = {name: [mode.encode(text, context) for text in queries.values()] for name, mode in modes.items()}
    steps: dict[str, list[dict[str, Any]]] = {name: [] for name in modes}
    going, done, total = set(modes), 0, len(modes) * len(clients)
    for number in clients:
        for name in shuffled(list(modes), f"sweep/{number}"):
            if name in going:
                step = _step(modes[name], context, encoded[name], number, seconds)
                steps[name].append(step)
                if step["error_rate"] > HIGHEST_ERROR_RATE:
                    going.discard(name)
            done += 1
            on_progress(done, total)
    return steps


def _step(mode: Mode, context: Context, encoded: Sequence[Any], clients: int, seconds: float) -> dict[str, Any]:
    begin_together = threading.Barrier(clients)
    connections = [Cluster(context.cluster.profile) for _ in range(clients)]
    for connection in connections:
        connection.check_identity()  # opened now, so that no client's first request pays for it

    def ask(client: int) -> tuple[list[float], list[str], float, float]:
        own = replace(context, cluster=connections[client])
        times: list[float] = []
        failures: list[str] = []
        place = client * len(encoded) // clients
        begin_together.wait()
        begin = now = time.perf_counter()
        while now - begin < seconds:
            try:
                mode.ask(encoded[place % len(encoded)], own)
            except ClusterError as failure:
                failures.append(failure.problem)
            else:
                times.append((time.perf_counter() - now) * 1000)
            now = time.perf_counter()
            place += 1
        own.cluster.client.close()
        return times, failures, begin, now

    with ThreadPoolExecutor(clients) as pool:
        answers = list(pool.map(ask, range(clients)))
    times = [milliseconds for own, _, _, _ in answers for milliseconds in own]
    failures = [reason for _, own, _, _ in answers for reason in own]
    lasted = max(end for *_, end in answers) - min(begin for _, _, begin, _ in answers)
    requests = len(times) + len(failures)
    return {
        "clients": clients,
        "requests": requests,
        "errors": len(failures),
        "error_rate": round(len(failures) / requests, 5),
        "reasons": sorted(set(failures))[:KEPT_REASONS],
        "seconds": round(lasted, 2),
        "qps": round(len(times) / lasted, 1),
        "service_ms": percentiles(times),
    }
