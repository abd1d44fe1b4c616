"""Every mode answers the same queries in the same run: once for quality, then against the clock."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from opensearch_ko.benchmark.schedule import Turn, interleaved
from opensearch_ko.benchmark.timing import Timing
from opensearch_ko.queries.modes import Context, Mode
from retrieval_ko.bm25 import Ranking

OnTurn = Callable[[int, int], None]


def rank(
    modes: Mapping[str, Mode], context: Context, queries: Mapping[str, str], depth: int, on_turn: OnTurn
) -> dict[str, dict[str, Ranking]]:
    """Return mode → query id → the first `depth` passages. It is the warm-up too: afterwards every mode has read every query once."""
    deep = replace(context, size=depth)
    rankings: dict[str, dict[str, Ranking]] = {name: {} for name in modes}
    for turn, done, total in _turns(modes, list(queries), 1, "quality"):
        mode = modes[turn.mode]
        rankings[turn.mode][turn.query] = mode.ask(mode.encode(queries[turn.query], deep), deep).ranking
        on_turn(done, total)
    return rankings


def against_the_clock(
    modes: Mapping[str, Mode], context: Context, queries: Mapping[str, str], rounds: int, on_turn: OnTurn
) -> dict[str, list[Timing]]:
    """Return mode → the time of each request, `rounds` a query, the modes interleaved.

    One client asks, and waits for each answer.
    """
    timings: dict[str, list[Timing]] = {name: [] for name in modes}
    for turn, done, total in _turns(modes, list(queries), rounds, "clock"):
        mode, text = modes[turn.mode], queries[turn.query]
        begin = time.perf_counter()
        encoded = mode.encode(text, context)
        sent = time.perf_counter()
        answer = mode.ask(encoded, context)
        end = time.perf_counter()
        timings[turn.mode].append(Timing(turn.query, (sent - begin) * 1000, (end - sent) * 1000, float(answer.took_ms)))
        on_turn(done, total)
    return timings


def _turns(modes: Mapping[str, Mode], queries: Sequence[str], rounds: int, salt: str) -> list[tuple[Turn, int, int]]:
    turns = list(interleaved(list(modes), queries, rounds, salt))
    return [(turn, done, len(turns)) for done, turn in enumerate(turns, start=1)]
