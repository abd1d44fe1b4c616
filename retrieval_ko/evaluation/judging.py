"""One system's rankings of a split, judged as the collection wants to be judged."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from retrieval_ko.bm25 import Ranking
from retrieval_ko.collection import Collection, parents_of
from retrieval_ko.evaluation.metrics import Scores, score
from retrieval_ko.records import Query

DEPTH = 100
"""Passages that every system may return for a query where nothing else is said."""

EVALUATION_DEPTH = 1000
"""The same in `sparse-ko evaluate`, for Recall@1000."""

KEPT_PLACES = 10
"""Places of each ranking that are kept for people to look at."""


@dataclass(frozen=True)
class SystemResult:
    """One system's rankings of a split and their scores."""

    system: str
    scores: Scores
    facts: dict[str, Any] = field(default_factory=dict)
    """What is known besides, as JSON values: doc_dims, query_dims, flops, k1, b."""
    top: dict[str, Ranking] = field(default_factory=dict)
    """query id → the first places of its ranking of passages, without those that the query excludes."""


def queries_of(collection: Collection, split: str) -> dict[str, str]:
    """Return the text of each query of a split that has a relevant passage.

    Raises:
        DataError: the collection has no such split.
    """
    return {query: collection.queries[query].text for query in collection.relevant(split)}


def judge(
    system: str,
    rankings: Mapping[str, Ranking] | Iterable[tuple[str, Ranking]],
    collection: Collection,
    split: str,
    *,
    depth: int = DEPTH,
    **facts: Any,  # noqa: ANN401  any JSON value
) -> SystemResult:
    """Score a system's rankings of passages on a split, as the collection wants to be judged.

    Passages that a query names in `metadata.excluded` (the case that it was taken from) do not count, nor do parents named there.
    Where judgements name parents, a parent stands where its best passage stands, and equal parents stand by id.

    Args:
        system: its name.
        rankings: by query id, or pairs of a query id and its ranking, which are read once; so a million places need not be held at once.
        collection: what was searched.
        split: whose judgements count.
        depth: how many passages a ranking may hold; metrics that read more places are left out.
        facts: what is known of the system besides.
    """
    parents = parents_of(collection.passages.values()) if collection.judged == "parent" else {}
    top: dict[str, Ranking] = {}

    def judged() -> Iterator[tuple[str, Ranking]]:
        for query, ranking in rankings.items() if isinstance(rankings, Mapping) else rankings:
            allowed = _allowed(ranking, collection.queries[query], parents)
            top[query] = allowed[:KEPT_PLACES]
            yield query, _of_parents(allowed, parents) if parents else allowed

    return SystemResult(system, score(judged(), collection.judgements[split], depth), facts, top)


def _allowed(ranking: Ranking, query: Query, parents: Mapping[str, str]) -> Ranking:
    excluded = set(query.metadata.get("excluded", ()))
    if not excluded:
        return ranking
    return [(passage, score) for passage, score in ranking if passage not in excluded and parents.get(passage) not in excluded]


def _of_parents(ranking: Ranking, parents: Mapping[str, str]) -> Ranking:
    best: dict[str, float] = {}
    for passage, passage_score in ranking:
        best.setdefault(parents[passage], passage_score)
    return sorted(best.items(), key=lambda hit: (-hit[1], hit[0]))
