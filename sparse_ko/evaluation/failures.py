"""The queries on which an encoder loses most against another system, and wins most, with the terms that decided."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from retrieval_ko.bm25 import Ranking
from retrieval_ko.collection import Collection, parents_of
from retrieval_ko.evaluation.judging import SystemResult
from sparse_ko.evaluation.measuring import MeasuredEncoder

CASES = 5
SHOWN_PLACES = 5
SHOWN_TERMS = 8
SHOWN_CHARACTERS = 100


def losses_and_wins(
    measured: MeasuredEncoder, baseline: SystemResult, collection: Collection, split: str, size: int = CASES
) -> dict[str, list[dict[str, Any]]]:
    """Return {"losses": […], "wins": […]}, at most `size` queries each, those with the largest difference of nDCG@10 first.

    Each is {"query_id", "query", "ndcg@10": {system: value}, "top": {system: [{"id", "score", "title", "relevant"}]},
    "terms": [{"id", "role", "score", "terms": [[token, query weight, passage weight]]}]}. The terms are those of the relevant passage that
    the encoder scores best, and of the rival: the passage that is not relevant and that it ranks best.
    """
    own, other = measured.result.scores.by_query["ndcg@10"], baseline.scores.by_query["ndcg@10"]
    differences = sorted((own[query] - other[query], query) for query in own)
    lost = [query for difference, query in differences if difference < 0][:size]
    won = [query for difference, query in reversed(differences) if difference > 0][:size]
    cases = _Cases(measured, baseline, collection, split)
    return {"losses": [cases.of(query) for query in lost], "wins": [cases.of(query) for query in won]}


class _Cases:
    def __init__(self, measured: MeasuredEncoder, baseline: SystemResult, collection: Collection, split: str) -> None:
        self._measured, self._baseline, self._collection = measured, baseline, collection
        self._relevant = {query: set(passages) for query, passages in collection.relevant(split).items()}
        self._parents = parents_of(collection.passages.values()) if collection.judged == "parent" else {}
        self._places = {query: place for place, query in enumerate(measured.queries)}
        self._tokens = measured.encoder.tokenizer.convert_ids_to_tokens(list(range(measured.index.weights.shape[1])))

    def of(self, query: str) -> dict[str, Any]:
        systems = (self._measured.result, self._baseline)
        return {
            "query_id": query,
            "query": self._measured.queries[query],
            "ndcg@10": {system.system: round(system.scores.by_query["ndcg@10"][query], 4) for system in systems},
            "top": {system.system: self._shown(query, system.top.get(query, [])[:SHOWN_PLACES]) for system in systems},
            "terms": self._deciding(query),
        }

    def _is_relevant(self, query: str, passage: str) -> bool:
        return self._parents.get(passage, passage) in self._relevant[query]

    def _shown(self, query: str, ranking: Ranking) -> list[dict[str, Any]]:
        return [
            {"id": passage, "score": round(score, 3), "title": self._title(passage), "relevant": self._is_relevant(query, passage)}
            for passage, score in ranking
        ]

    def _title(self, passage: str) -> str:
        found = self._collection.passages[passage]
        return (found.title or " ".join(found.text.split()))[:SHOWN_CHARACTERS]

    def _deciding(self, query: str) -> list[dict[str, Any]]:
        wanted = [passage for passage in self._measured.index.ids if self._is_relevant(query, passage)]
        scores = self._scores(query, wanted)
        best = min(zip((-scores).tolist(), wanted, strict=True))[1]
        rivals = [passage for passage, _ in self._measured.result.top.get(query, []) if not self._is_relevant(query, passage)]
        roles = [("relevant", best), *(("rival", rival) for rival in rivals[:1])]
        return [{"role": role, "id": passage, "title": self._title(passage), **self._terms(query, passage)} for role, passage in roles]

    def _scores(self, query: str, passages: Sequence[str]) -> np.ndarray:
        rows = [self._measured.index.rows[passage] for passage in passages]
        return np.asarray((self._measured.index.weights[rows] @ self._measured.vectors[self._places[query]].T).toarray()).ravel()

    def _terms(self, query: str, passage: str) -> dict[str, Any]:
        asked = self._measured.vectors[self._places[query]]
        offered = self._measured.index.weights[self._measured.index.rows[passage]]
        weights = dict(zip(offered.indices.tolist(), offered.data.tolist(), strict=True))
        asked_weights = zip(asked.indices.tolist(), asked.data.tolist(), strict=True)
        shared = [(term, weight, weights[term]) for term, weight in asked_weights if term in weights]
        shared.sort(key=lambda match: (-match[1] * match[2], match[0]))
        return {
            "score": round(sum(query_weight * passage_weight for _, query_weight, passage_weight in shared), 3),
            "terms": [[self._tokens[term], *(round(weight, 3) for weight in both)] for term, *both in shared[:SHOWN_TERMS]],
        }
