"""People who click, made up from judgements: which results of a page they look at, and which of these they click.

Probabilities of clicking and stopping are those of the three users of Hofmann, Whiteson and de Rijke (2011, CIKM), as they are used in
simulations of interleaving ever since; with grades above 1 as certain as grade 1.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np

from retrieval_ko.evaluation.interleaving import SHOWN, Session, team_draft

UserName = Literal["perfect", "navigational", "informational", "position"]
USERS: tuple[UserName, ...] = ("perfect", "navigational", "informational", "position")

_STREAM = 0x1D


class User(Protocol):
    """Clicks on a page."""

    def clicks(self, relevant: Sequence[bool], chance: np.random.Generator) -> tuple[int, ...]:
        """Return the places that are clicked, from 0, given which results are relevant."""


@dataclass(frozen=True)
class CascadeUser:
    """Reads from the top, clicks or not, and may have had enough after a click (dependent click model, Guo et al. 2009, WSDM).

    Args:
        click: probability of a click on a result that is (not, is) relevant.
        stop: probability of stopping after it.
    """

    click: tuple[float, float]
    stop: tuple[float, float]

    def clicks(self, relevant: Sequence[bool], chance: np.random.Generator) -> tuple[int, ...]:
        """Return the places that are clicked, from 0."""
        found = []
        for place, is_relevant in enumerate(relevant):
            if chance.random() < self.click[is_relevant]:
                found.append(place)
                if chance.random() < self.stop[is_relevant]:
                    break
        return tuple(found)


@dataclass(frozen=True)
class PositionUser:
    """Looks at place k (from 1) with probability k^-η, whatever stands above, and clicks there by relevance (Craswell et al. 2008, WSDM).

    Args:
        click: probability of a click on a result that is (not, is) relevant, once it is looked at.
        steepness: η; 1 as in the simulations of Joachims, Swaminathan and Schnabel (2017, WSDM).
    """

    click: tuple[float, float]
    steepness: float = 1.0

    def clicks(self, relevant: Sequence[bool], chance: np.random.Generator) -> tuple[int, ...]:
        """Return the places that are clicked, from 0."""
        looks = chance.random(len(relevant)) < np.arange(1, len(relevant) + 1) ** -self.steepness
        wants = chance.random(len(relevant)) < np.where(np.asarray(relevant, dtype=bool), self.click[1], self.click[0])
        return tuple(int(place) for place in np.flatnonzero(looks & wants))


def user_named(name: UserName) -> User:
    """Return a user by name.

    perfect clicks every relevant result and no other; navigational looks for one answer and stops; informational reads on and clicks much
    that is not relevant; position looks less and less far down.
    """
    match name:
        case "perfect":
            return CascadeUser(click=(0.0, 1.0), stop=(0.0, 0.0))
        case "navigational":
            return CascadeUser(click=(0.05, 0.95), stop=(0.2, 0.9))
        case "informational":
            return CascadeUser(click=(0.4, 0.9), stop=(0.1, 0.5))
        case "position":
            return PositionUser(click=(0.1, 0.9))


def simulate(
    first: Mapping[str, Sequence[str]],
    second: Mapping[str, Sequence[str]],
    relevant: Mapping[str, set[str]],
    user: User,
    *,
    sessions: int = 1,
    seed: int = 0,
    size: int = SHOWN,
) -> Iterator[Session]:
    """Yield sessions of a made-up user, query by query; a session is a function of seed, query and its number alone.

    Args:
        first: query id → passage ids of ranker a, best first.
        second: of ranker b; a query that one of them does not rank has an empty ranking there.
        relevant: query id → the relevant passages; these queries are asked.
        user: who clicks.
        sessions: a query.
        seed: of coin and user.
        size: of a page.
    """
    for number, query in enumerate(sorted(relevant)):
        for session in range(sessions):
            chance = np.random.default_rng([seed, _STREAM, number, session])
            shown, teams = team_draft(first.get(query, ()), second.get(query, ()), chance, size)
            clicks = user.clicks([passage in relevant[query] for passage in shown], chance)
            yield Session(query, tuple(shown), tuple(teams), clicks)
