"""Times as people say them."""

from __future__ import annotations


def in_words(seconds: float | None) -> str:
    """Return a time for people: 42 s, 3 min, 2.5 h; empty where it is not known."""
    if seconds is None:
        return ""
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"
