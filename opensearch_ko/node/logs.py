"""Reading the log of a node: its end, and what in it explains a death."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Sequence
from pathlib import Path

SHOWN_LINES = 6
SEARCHED_LINES = 400

_TROUBLE = re.compile(r"\[(ERROR|FATAL)|Exception|Error\b|^error|Error:|failed|Could not|likely root cause", re.IGNORECASE)
_STACK_FRAME = re.compile(r"^\s*(at |\.\.\. |<<<)")

_REMEDIES = (
    (r"No space left on device|disk quota", "The disk is full: free some space (`df -h`), or choose another folder with --home."),
    (r"Address already in use|BindException|Failed to bind", "A port was taken meanwhile: start again, or with --port 0."),
    (
        r"OutOfMemoryError|insufficient memory|Could not reserve enough space|Cannot allocate memory",
        "Try another heap, e.g. --heap 512m, or end other programs.",
    ),
    (r"AccessDeniedException|Permission denied", "The node's account may not read or write that path: choose another folder with --home."),
    (
        r"corrupt|IndexFormatTooNew|cannot downgrade",
        "The data is damaged or of another version: empty it with --fresh, or choose another --home.",
    ),
)


def last_lines(file: Path, count: int) -> list[str]:
    """Return the last `count` lines of a file, none when it doesn't exist."""
    try:
        with file.open(encoding="utf-8", errors="replace") as opened:
            return [line.rstrip("\n") for line in deque(opened, maxlen=count)]
    except FileNotFoundError:
        return []


def error_lines(files: Sequence[Path]) -> list[str]:
    """Return the last lines that speak of an error, else simply the last ones."""
    lines = [line for file in files for line in last_lines(file, SEARCHED_LINES) if line.strip() and not _STACK_FRAME.match(line)]
    troubles = [line for line in lines if _TROUBLE.search(line)]
    shown = list(dict.fromkeys(troubles or lines))[-SHOWN_LINES:]
    return [line[:300] for line in shown] or ["(it said nothing)"]


def remedy_for(lines: Sequence[str]) -> str:
    """Return what mends a known cause of death, nothing for an unknown one."""
    text = "\n".join(lines)
    return next((remedy for pattern, remedy in _REMEDIES if re.search(pattern, text, re.IGNORECASE)), "")
