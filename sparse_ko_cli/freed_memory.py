"""Keeps the memory that the process frees, so that the next step need not ask for it page by page."""

from __future__ import annotations

import ctypes
import os
import sys

_TRIM_THRESHOLD, _TOP_PAD, _MMAP_MAX = -1, -2, -4  # malloc.h of glibc
_AHEAD = 64 * 1024 * 1024


def keep_freed_memory() -> bool:
    """Tell glibc to reuse large blocks instead of giving them back, and return whether it does.

    A training step frees and asks for some hundred megabytes of tensors. By default each comes from the system anew, and all of its
    pages are cleared: half of a step's time on a virtual machine. Nothing is done on other systems, or where the user has set
    `MALLOC_…` variables.
    """
    if not sys.platform.startswith("linux") or any(name.startswith("MALLOC_") for name in os.environ):
        return False
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)  # musl has none
    return bool(mallopt and mallopt(_MMAP_MAX, 0) and mallopt(_TRIM_THRESHOLD, -1) and mallopt(_TOP_PAD, _AHEAD))
