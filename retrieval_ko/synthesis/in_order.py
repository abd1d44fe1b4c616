"""Work done by several threads, its results in the order of the work."""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future
from queue import SimpleQueue
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")

logger = logging.getLogger(__name__)

_AHEAD = 4
"""How many items a worker may be ahead of the slowest one, so that one long answer does not hold up the others."""


def in_order(work: Callable[[Item], Result], items: Iterable[Item], workers: int) -> Generator[tuple[Item, Result], None, None]:
    """Yield each item with `work(item)`, in the order of the items, `workers` of them at a time.

    When the consumer stops (an error, Ctrl-C), work that has begun is awaited and the rest is dropped. The threads are daemons, unlike
    those of `ThreadPoolExecutor`: a second Ctrl-C breaks off that wait, and the program ends although a request is still open.
    """
    tasks: SimpleQueue[tuple[Future[Result], Item] | None] = SimpleQueue()

    def run() -> None:
        while (task := tasks.get()) is not None:
            future, item = task
            if not future.set_running_or_notify_cancel():
                continue
            try:
                future.set_result(work(item))
            except BaseException as failure:  # noqa: BLE001  handed to the consumer, who raises it
                future.set_exception(failure)

    threads = [threading.Thread(target=run, daemon=True) for _ in range(workers)]
    for thread in threads:
        thread.start()
    waiting: deque[tuple[Item, Future[Result]]] = deque()
    try:
        for item in items:
            future: Future[Result] = Future()
            waiting.append((item, future))
            tasks.put((future, item))
            if len(waiting) >= workers * _AHEAD:
                yield waiting[0][0], waiting[0][1].result()
                waiting.popleft()
        while waiting:
            yield waiting[0][0], waiting[0][1].result()
            waiting.popleft()
    finally:
        for _, future in waiting:
            future.cancel()
        for _ in threads:
            tasks.put(None)
        if any(future.running() for _, future in waiting):
            logger.info("Waiting for the answers that are under way; Ctrl-C drops them.")
        for thread in threads:
            thread.join()
