"""In which order modes and queries are asked: interleaved, so that whatever disturbs the machine disturbs every mode alike."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from typing import NamedTuple


class Turn(NamedTuple):
    """One request: which round, whose query, by which mode."""

    round: int
    query: str
    mode: str


def interleaved(modes: Sequence[str], queries: Sequence[str], rounds: int, salt: str = "") -> Iterator[Turn]:
    """Yield every mode of every query of every round, query by query.

    Each round has an order of queries of its own, and each query an order of modes, so that no mode always comes first, when the
    query's passages are not yet in the operating system's cache. The orders are hashes: the same for the
    same salt, whatever ran before.
    """
    for number in range(rounds):
        for query in shuffled(queries, f"{salt}/{number}"):
            for mode in shuffled(modes, f"{salt}/{number}/{query}"):
                yield Turn(number, query, mode)


def shuffled(names: Sequence[str], salt: str) -> list[str]:
    """Return the names in an order that `salt` alone decides."""
    return sorted(names, key=lambda name: hashlib.sha256(f"{salt}\0{name}".encode()).digest())
