"""Small units searched, large units found: 항 and 호 as passages, ranked by the 조 they are parts of.

A passage of a smaller unit bears its article's id before its own numbers (`LAW_000086_제3조_2` is 항 2 of `LAW_000086_제3조`;
`retrieval_ko.legal.passages`), so it needs no list to find its article by.
"""

from __future__ import annotations

import re
from collections.abc import Container, Iterable, Mapping
from dataclasses import replace
from enum import StrEnum
from typing import TYPE_CHECKING

from retrieval_ko.errors import DataError, UsageError

if TYPE_CHECKING:
    from retrieval_ko.bm25 import Ranking
    from retrieval_ko.collection import Collection
    from retrieval_ko.records import Passage

SUMMED = 3
"""Parts of a parent that a sum counts: were it all, a long article would win by its length alone."""

_ARTICLE = re.compile(r"(?P<article>.+?_제\d+조(?:의\d+)*)(?:_\d+(?:의\d+)?){0,2}")


class Aggregation(StrEnum):
    """How the scores of a parent's parts become its own."""

    MAX = "max"
    SUM = "sum"


def article_of(passage: str) -> str:
    """Return the id of the 조 that a passage is a part of, itself where it is one.

    Raises:
        DataError: it is no id of a 조, 항 or 호.
    """
    found = _ARTICLE.fullmatch(passage)
    if not found:
        raise DataError(
            f"{passage!r} names no article.", "Units are called LAW_000086_제3조, LAW_000086_제3조_2 (항), LAW_000086_제3조_2_1 (호)."
        )
    return found["article"]


def articles_of(passages: Iterable[str]) -> dict[str, str]:
    """Return passage id → article id.

    Raises:
        DataError: as `article_of`.
    """
    return {passage: article_of(passage) for passage in passages}


def aggregate(ranking: Ranking, parents: Mapping[str, str], how: Aggregation | str = Aggregation.MAX, *, summed: int = SUMMED) -> Ranking:
    """Return the ranking of parents, best first, equal scores by id.

    Args:
        ranking: of passages, in any order.
        parents: passage id → parent id.
        how: `max`: a parent scores what its best passage does. `sum`: what its best `summed` passages do together; a further
            passage below 0 adds nothing, since a part that matches badly must not lower its parent.
        summed: how many passages a sum counts.

    Raises:
        UsageError: `how` is unknown, or `summed` is below 1.
        DataError: a passage has no parent, or stands in the ranking twice.
    """
    return [(parent, score) for parent, _, score in _parents(ranking, parents, how, summed)]


def best_parts(
    ranking: Ranking,
    parents: Mapping[str, str],
    how: Aggregation | str = Aggregation.MAX,
    *,
    summed: int = SUMMED,
    excluded: Container[str] = (),
) -> Ranking:
    """Return one passage a parent, its best, with the parent's score: a ranking that `retrieval_ko.evaluation.judging.judge` reads.

    Args:
        ranking: as in `aggregate`.
        parents: as in `aggregate`.
        how: as in `aggregate`.
        summed: as in `aggregate`.
        excluded: passages and parents that do not count, such as a query's `metadata.excluded`.

    Raises:
        UsageError, DataError: as `aggregate`.
    """
    allowed = [(passage, score) for passage, score in ranking if passage not in excluded and parents.get(passage) not in excluded]
    return [(passage, score) for _, passage, score in _parents(allowed, parents, how, summed)]


def _parents(ranking: Ranking, parents: Mapping[str, str], how: Aggregation | str, summed: int) -> list[tuple[str, str, float]]:
    """Return (parent, its best passage, its score), best first."""
    if how not in list(Aggregation):
        raise UsageError(f"The aggregation {str(how)!r} is unknown.", f"Use one of: {', '.join(Aggregation)}")
    if summed < 1:
        raise UsageError(f"A sum of {summed} passages is none.", "Sum 1 passage or more.")
    counted = 1 if how == Aggregation.MAX else summed
    parts: dict[str, list[tuple[float, str]]] = {}
    seen: set[str] = set()
    for passage, score in ranking:
        if passage not in parents:
            raise DataError(f"The passage {passage!r} has no parent, so it cannot be aggregated.")
        if passage in seen:
            raise DataError(f"The passage {passage!r} stands in one ranking twice.")
        seen.add(passage)
        parts.setdefault(parents[passage], []).append((-score, passage))
    rows = []
    for parent, found in parts.items():
        found.sort()
        rows.append((parent, found[0][1], sum((max(-below, 0.0) for below, _ in found[1:counted]), start=-found[0][0])))
    return sorted(rows, key=lambda row: (-row[2], row[0]))


def in_units(collection: Collection, units: Iterable[Passage]) -> Collection:
    """Return a collection of 조 searched by smaller units: the same queries and judgements, which still name the 조.

    Args:
        collection: its passages are articles, and its judgements name them.
        units: 항 or 호 of laws; those of articles that the collection lacks are left out.

    Raises:
        DataError: the judgements name parents already, or an article of the collection has no unit.
    """
    if collection.judged != "passage":
        raise DataError(f"The collection {collection.name} is judged at parents already.", "Name one whose passages are articles.")
    passages: dict[str, Passage] = {}
    covered: set[str] = set()
    for unit in units:
        article = article_of(unit.id)
        if article in collection.passages:
            covered.add(article)
            passages[unit.id] = unit.model_copy(update={"metadata": {**unit.metadata, "parent_id": article}})
    missing = next((article for article in collection.passages if article not in covered), None)
    if missing is not None:
        raise DataError(
            f"The article {missing!r} of the collection {collection.name} has no unit, so it could never be found.",
            "Make the units of the same laws: lex-dpr preprocess-auto --unit paragraph",
        )
    return replace(collection, passages=passages, judged="parent")
