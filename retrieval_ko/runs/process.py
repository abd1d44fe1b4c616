"""Which process a run is, and whether it is still there."""

from __future__ import annotations

import platform
from typing import Any

import psutil

CLOCK_TOLERANCE_SECONDS = 2.0
"""How far two readings of one process's start may differ: the kernel counts from boot, and the clock may have been set since."""


def this_process() -> dict[str, Any]:
    """Return what this process is known by: {"pid", "started", "host"}; `started` in seconds since 1970."""
    process = psutil.Process()
    return {"pid": process.pid, "started": process.create_time(), "host": platform.node()}


def on_this_host(process: dict[str, Any]) -> bool:
    """Return whether a process ran, or runs, on this machine."""
    return str(process["host"]) == platform.node()


def is_running(process: dict[str, Any]) -> bool:
    """Return whether a process of this machine is there; its number alone proves nothing, since numbers are used again.

    Args:
        process: what `this_process` returned in it.
    """
    try:
        found = psutil.Process(process["pid"])
        same = abs(found.create_time() - float(process["started"])) < CLOCK_TOLERANCE_SECONDS
        return bool(same and found.status() != psutil.STATUS_ZOMBIE)  # ended, and nobody has asked how
    except psutil.NoSuchProcess:
        return False
