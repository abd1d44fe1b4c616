"""Stages of work that overlap: each in a thread of its own, never more than a few items ahead of the next."""

from __future__ import annotations

import threading
from collections.abc import Generator, Iterable
from queue import Full, Queue
from typing import TypeVar

Item = TypeVar("Item")

_GLANCE_SECONDS = 0.2
"""How often a stage whose successor is busy looks whether it is still wanted."""


class _End:
    """The last thing in a queue; holds what ended the stage early."""

    def __init__(self, failure: BaseException | None = None) -> None:
        self.failure = failure


def ahead(items: Iterable[Item], most: int) -> Generator[Item]:
    """Yield `items` in order while a thread works up to `most` of them ahead.

    `items` is read, and closed if it is a generator, in that one thread, so it may hold a connection that belongs to a thread. What it
    raises is raised here. Closing this generator ends the thread after the item it is at.
    """
    queue: Queue[Item | _End] = Queue(most)
    unwanted = threading.Event()
    thread = threading.Thread(target=_fill, args=(items, queue, unwanted), daemon=True)
    thread.start()
    try:
        while not isinstance(item := queue.get(), _End):
            yield item
        if item.failure is not None:
            raise item.failure
    finally:
        unwanted.set()
        thread.join()


def _fill(items: Iterable[Item], queue: Queue[Item | _End], unwanted: threading.Event) -> None:
    end = _End()
    try:
        for item in items:
            if not _put(queue, item, unwanted):
                break
    except BaseException as failure:  # noqa: BLE001  raised again in the thread that reads
        end = _End(failure)
    finally:
        if isinstance(items, Generator):
            items.close()
        _put(queue, end, unwanted)


def _put(queue: Queue[Item | _End], item: Item | _End, unwanted: threading.Event) -> bool:
    while not unwanted.is_set():
        try:
            queue.put(item, timeout=_GLANCE_SECONDS)
        except Full:
            continue
        return True
    return False
