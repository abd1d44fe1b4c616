"""What is asked of any teacher: scores of a query's candidates. A cross-encoder reads their texts, an ensemble knows them by their ids."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple, Protocol

from retrieval_ko.records import Passage


class Asked(NamedTuple):
    """A query and the passages that are to be scored for it.

    Args:
        query: its id; empty where it stands in no collection.
        text: of the query.
        passages: ids.
    """

    query: str
    text: str
    passages: Sequence[str]


class Teacher(Protocol):
    """Scores candidates; `sigmoid(score)` is how likely a candidate is to answer, as far as the teacher was trained to say so."""

    out_of_memory: int
    """How often it had to halve its batch."""

    def score_candidates(
        self,
        asked: Sequence[Asked],
        passages: Mapping[str, Passage],
        batch_size: int = 32,
        *,
        on_progress: Callable[[int], None] | None = None,
    ) -> list[list[float]]:
        """Return a logit for every passage of every query, in their order.

        Args:
            asked: queries with their candidates.
            passages: the collection, by id.
            batch_size: pairs that go through a network at once.
            on_progress: called with the number of pairs done.
        """
        ...


class RanksByItself(Teacher, Protocol):
    """A teacher that also finds candidates."""

    def rank(self, query: str, text: str, size: int) -> list[tuple[str, float]]:
        """Return the passages that it holds for the best, with their logits, best first, equal ones by id."""
        ...
