"""Waiting for what a cluster does in its own time: short pauses at first, longer ones later, and a deadline."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

from opensearch_ko.errors import ClusterError

Step = Callable[[str], None]
"""Is told each step, in a few words."""

BUSY = "The node may be busy: look at its log, then run the command again."


def silent(_: str) -> None:
    """Take no notice of a step."""


def wait_for(condition: Callable[[], bool], deadline_seconds: float, complaint: str) -> None:
    """Ask until `condition` holds.

    Raises:
        ClusterError: it does not within `deadline_seconds`; `complaint` says what was waited for.
    """
    if not comes_true(condition, deadline_seconds):
        raise ClusterError(f"{complaint} after {deadline_seconds:g} s.", BUSY)


def comes_true(condition: Callable[[], bool], deadline_seconds: float) -> bool:
    """Ask until `condition` holds or the time is over; return whether it held."""
    end = time.monotonic() + deadline_seconds
    for pause in _pauses():
        if condition():
            return True
        if time.monotonic() > end:
            return False
        time.sleep(pause)
    raise AssertionError("the pauses never end")


def _pauses() -> Iterator[float]:
    pause = 0.1
    while True:
        yield pause
        pause = min(2.0, pause * 1.5)
