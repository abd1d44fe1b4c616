"""Ranking metrics by ir_measures, with ties settled before it sees them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice

import ir_measures
import numpy as np
from ir_measures import AP, RR, P, R, nDCG

from retrieval_ko.bm25 import Ranking
from retrieval_ko.collection import Judgements

FAMILIES = {"ndcg": nDCG, "mrr": RR, "recall": R, "map": AP}

FIRST_PLACES = (1, 3, 5, 10)
"""Places at which nDCG, MRR, recall and MAP are all reported."""

MEASURES = {
    "ndcg@10": nDCG @ 10,
    "mrr@10": RR @ 10,
    "map@100": AP @ 100,
    "recall@10": R @ 10,
    "recall@100": R @ 100,
    "recall@1000": R @ 1000,
    "p@10": P @ 10,
    "mrr@1000": RR @ 1000,
    **{f"{name}@{places}": family @ places for places in FIRST_PLACES for name, family in FAMILIES.items()},
}
"""nDCG as trec_eval has it: a passage's gain is its grade, divided by log2(place + 1). The first one decides."""

_QUERIES_AT_ONCE = 256


@dataclass(frozen=True)
class Scores:
    """A system's metrics: the mean over all judged queries, and each query's own values for paired tests."""

    mean: dict[str, float]
    by_query: dict[str, dict[str, float]]
    """metric → query id → value."""


def cut_off(metric: str) -> int:
    """Return how many places of a ranking a metric reads: 10 of "ndcg@10"."""
    return int(metric.partition("@")[2])


def score(rankings: Mapping[str, Ranking] | Iterable[tuple[str, Ranking]], judgements: Judgements, depth: int = 100) -> Scores:
    """Score rankings against judgements.

    A judged query that has no ranking counts 0, so a system can't win by staying silent. The order of a ranking is the
    order that is scored: equal scores were settled by id before (`retrieval_ko.bm25.ranked`), since trec_eval and
    ir_measures settle them differently.

    Args:
        rankings: by query id, or pairs of a query id and its ranking, which are read once and forgotten.
        judgements: of the same queries.
        depth: how many passages the rankings may hold; metrics that read more places are left out.
    """
    relevant = {query: grades for query, grades in judgements.items() if any(grade > 0 for grade in grades.values())}
    measures = {name: measure for name, measure in MEASURES.items() if cut_off(name) <= depth}
    by_query = {name: dict.fromkeys(relevant, 0.0) for name in measures}
    names = {str(measure): name for name, measure in measures.items()}
    pairs = rankings.items() if isinstance(rankings, Mapping) else rankings
    for batch in _batches((query, ranking) for query, ranking in pairs if query in relevant and ranking):
        run = {query: {passage: float(len(ranking) - place) for place, (passage, _) in enumerate(ranking)} for query, ranking in batch}
        for metric in ir_measures.iter_calc(list(measures.values()), {query: relevant[query] for query in run}, run):
            by_query[names[str(metric.measure)]][metric.query_id] = float(metric.value)
    mean = {name: float(np.mean(list(values.values()))) if values else 0.0 for name, values in by_query.items()}
    return Scores(mean=mean, by_query=by_query)


def _batches(rankings: Iterator[tuple[str, Ranking]]) -> Iterator[list[tuple[str, Ranking]]]:
    while batch := list(islice(rankings, _QUERIES_AT_ONCE)):
        yield batch
