"""Two rankers in one list: whose results do people click? An A/B test's stand-in that needs a hundredth of its queries.

Team-draft interleaving (Radlinski, Kurup and Joachims 2008, CIKM): in every round a coin says which ranker picks first; each puts its best
result that is not in the list yet. A click counts for the ranker that put the result there, and the ranker with more clicks wins that
session. Δ = (wins of B + half of the ties) / sessions - 0.5 (Chapelle et al. 2012, TOIS 30:1). Two tests: an exact binomial one over the
sessions that somebody won, and, since the sessions of one query are alike, a randomisation test over the queries.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from retrieval_ko.errors import DataError
from retrieval_ko.evaluation.significance import paired_p_value
from retrieval_ko.files import read_jsonl, write_jsonl

Team = Literal["a", "b"]
TEAMS: tuple[Team, Team] = ("a", "b")

SHOWN = 10
"""Results on a page."""


@dataclass(frozen=True)
class Session:
    """One page that was shown, and what was clicked.

    Args:
        query: its id.
        shown: passage ids, best first.
        teams: which ranker put each there.
        clicks: places in `shown` that were clicked, from 0; each once.
    """

    query: str
    shown: tuple[str, ...]
    teams: tuple[Team, ...]
    clicks: tuple[int, ...] = ()

    def winner(self) -> Team | None:
        """Return the ranker whose results were clicked more, None where they were clicked equally often."""
        for_a = sum(self.teams[place] == "a" for place in self.clicks)
        for_b = len(self.clicks) - for_a
        return None if for_a == for_b else "a" if for_a > for_b else "b"

    def as_json(self) -> dict[str, Any]:
        """Return it as a line of a log."""
        return {"query_id": self.query, "shown": list(self.shown), "teams": list(self.teams), "clicks": list(self.clicks)}


@dataclass(frozen=True)
class Preference:
    """What the sessions say.

    Args:
        sessions: that were shown.
        clicked: of these with a click.
        wins_a: sessions that the first ranker won.
        wins_b: sessions that the second won.
        delta: Δ, -0.5 to 0.5: above 0 the second ranker is preferred.
        p_value: two-sided, that both win equally many sessions; believable where every session is another person's and another query's.
        queries: that were asked.
        p_queries: two-sided, that the queries prefer neither; the one to go by where a query was asked often.
    """

    sessions: int
    clicked: int
    wins_a: int
    wins_b: int
    delta: float
    p_value: float
    queries: int
    p_queries: float

    @property
    def ties(self) -> int:
        """Sessions that nobody won, those without a click among them."""
        return self.sessions - self.wins_a - self.wins_b


def team_draft(first: Sequence[str], second: Sequence[str], chance: np.random.Generator, size: int = SHOWN) -> tuple[list[str], list[Team]]:
    """Return the passages of a page and who put each there.

    Args:
        first: passage ids of ranker a, best first.
        second: of ranker b.
        chance: the coin.
        size: of the page; it is shorter where both rankings together are.
    """
    rankings = {"a": iter(first), "b": iter(second)}
    counts = {"a": 0, "b": 0}
    shown: list[str] = []
    teams: list[Team] = []
    seen: set[str] = set()
    open_teams = set(TEAMS)
    while len(shown) < size and open_teams:
        if counts["a"] == counts["b"]:
            turn: Team = "a" if chance.random() < 0.5 else "b"
        else:
            turn = "a" if counts["a"] < counts["b"] else "b"
        if turn not in open_teams:
            turn = "b" if turn == "a" else "a"
        passage = next((passage for passage in rankings[turn] if passage not in seen), None)
        if passage is None:
            open_teams.discard(turn)
            continue
        seen.add(passage)
        shown.append(passage)
        teams.append(turn)
        counts[turn] += 1
    return shown, teams


def preference(sessions: Iterable[Session]) -> Preference:
    """Return which ranker people prefer, by all sessions."""
    from scipy.stats import binomtest  # a second of importing that most commands do not need

    total = clicked = wins_a = wins_b = 0
    by_query: dict[str, list[int]] = {}
    for session in sessions:
        total += 1
        clicked += bool(session.clicks)
        winner = session.winner()
        wins_a += winner == "a"
        wins_b += winner == "b"
        by_query.setdefault(session.query, []).append((winner == "b") - (winner == "a"))
    decided = wins_a + wins_b
    ties = total - decided
    delta = (wins_b + ties / 2) / total - 0.5 if total else 0.0
    p_value = float(binomtest(wins_b, decided).pvalue) if decided else 1.0
    means = {query: sum(wins) / len(wins) for query, wins in by_query.items()}
    p_queries = paired_p_value(means, dict.fromkeys(means, 0.0)) if len(means) > 1 else 1.0
    return Preference(total, clicked, wins_a, wins_b, delta, p_value, len(means), p_queries)


def write_log(target: Path, sessions: Iterable[Session]) -> int:
    """Write sessions, one JSON object a line: {"query_id", "shown", "teams", "clicks"}; return how many."""
    return write_jsonl(target, (session.as_json() for session in sessions))


def read_log(source: Path) -> list[Session]:
    """Read logged sessions; `clicks` are places from 0, or the ids of the passages clicked.

    Raises:
        DataError: a line is damaged; names it.
    """
    return [_session(f"{source}, line {number}", row) for number, row in read_jsonl(source)]


def _session(where: str, row: dict[str, Any]) -> Session:
    try:
        query, shown, teams, clicks = (row[name] for name in ("query_id", "shown", "teams", "clicks"))
    except KeyError as failure:
        raise DataError(f"{where}: {failure} is missing; a session has query_id, shown, teams and clicks.") from failure
    if not all(isinstance(value, list) for value in (shown, teams, clicks)):
        raise DataError(f"{where}: shown, teams and clicks are lists.")
    if len(shown) != len(teams):
        raise DataError(f"{where}: {len(shown)} passages are shown, and {len(teams)} teams are named.")
    if set(teams) - set(TEAMS):
        raise DataError(f'{where}: a team is "a" or "b", not {sorted(set(map(str, teams)) - set(TEAMS))[0]!r}.')
    places = {passage: place for place, passage in enumerate(shown)}
    if len(places) != len(shown):
        raise DataError(f"{where}: a passage is shown twice.")
    clicked = set()
    for click in clicks:
        place = places.get(click) if isinstance(click, str) else click
        if not isinstance(place, int) or isinstance(place, bool) or not 0 <= place < len(shown):
            raise DataError(f"{where}: {click!r} was clicked and not shown.")
        clicked.add(place)
    return Session(str(query), tuple(shown), tuple(teams), tuple(sorted(clicked)))
