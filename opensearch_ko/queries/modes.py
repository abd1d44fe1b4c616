"""Every way to search an index of ours, by name."""

from __future__ import annotations

from opensearch_ko.queries.context import Answer, Context, Mode, SearchOptions
from opensearch_ko.queries.hybrid_modes import CLIENT_FUSED_MODES, HYBRID_MODES
from opensearch_ko.queries.single_modes import SINGLE_MODES
from retrieval_ko.errors import UsageError

__all__ = ["MODES", "Answer", "Context", "Mode", "SearchOptions", "mode_named"]

_ALL: tuple[Mode, ...] = (*SINGLE_MODES, *HYBRID_MODES, *CLIENT_FUSED_MODES)
MODES: dict[str, Mode] = {mode.name: mode for mode in _ALL}


def mode_named(name: str) -> Mode:
    """Return the mode of that name.

    Raises:
        UsageError: there is none; the message names them all.
    """
    if name not in MODES:
        raise UsageError(f"There is no mode {name!r}.", f"Use one of: {', '.join(MODES)}")
    return MODES[name]
