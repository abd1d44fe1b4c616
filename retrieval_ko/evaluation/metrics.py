"""Ranking metrics by ir_measures, with ties settled before it sees them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import ir_measures
import numpy as np
from ir_measures import AP, RR, R, nDCG

from retrieval_ko.bm25 import Ranking
from retrieval_ko.collection import Judgements

MEASURES = {"ndcg@10": nDCG @ 10, "mrr@10": RR @ 10, "recall@10": R @ 10, "recall@100": R @ 100, "map@100": AP @ 100}


@dataclass(frozen=True)
class Scores:
    """A system's metrics: the mean over all judged queries, and each query's own values for paired tests."""

    mean: dict[str, float]
    by_query: dict[str, dict[str, float]]
    """metric → query id → value."""


def score(rankings: Mapping[str, Ranking], judgements: Judgements) -> Scores:
    """Score rankings against judgements.

    A judged query that has no ranking counts 0, so a system can't win by staying silent. The order of a ranking is the
    order that is scored: equal scores were settled by id before (`retrieval_ko.bm25.ranked`), since trec_eval and
    ir_measures settle them differently.
    """
    relevant = {query: grades for query, grades in judgements.items() if any(grade > 0 for grade in grades.values())}
    run = {
        query: {passage: float(len(ranking) - place) for place, (passage, _) in enumerate(ranking)}
        for query, ranking in rankings.items()
        if query in relevant and ranking
    }
    by_query = {name: dict.fromkeys(relevant, 0.0) for name in MEASURES}
    names = {str(measure): name for name, measure in MEASURES.items()}
    if run:
        for metric in ir_measures.iter_calc(list(MEASURES.values()), relevant, run):
            by_query[names[str(metric.measure)]][metric.query_id] = float(metric.value)
    mean = {name: float(np.mean(list(values.values()))) if values else 0.0 for name, values in by_query.items()}
    return Scores(mean=mean, by_query=by_query)
