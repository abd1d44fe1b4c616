"""How good an encoder is on dev, while it is trained: exact search, always over the same queries and passages."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import replace

from retrieval_ko.collection import Collection, parents_of
from retrieval_ko.evaluation.judging import DEPTH, judge, queries_of
from sparse_ko.model import SparseEncoder
from sparse_ko.retrieval import SparseIndex, active_dimensions
from sparse_ko.training.recording import DEV_METRIC


class DevMeasurement:
    """nDCG@10 and active dimensions on a part of a split that is drawn once, by a hash of the ids.

    Args:
        collection: with the split.
        split: whose queries are asked.
        queries: that are asked, at most.
        passages: that are searched, at most, but never fewer than the relevant ones; None: all.

    Raises:
        DataError: the collection has no such split.
    """

    def __init__(self, collection: Collection, split: str, queries: int, passages: int | None = None) -> None:
        asked = set(_drawn(collection.relevant(split), queries))
        judgements = {query: grades for query, grades in collection.judgements[split].items() if query in asked}
        searched = collection.passages
        if passages is not None and passages < len(searched):
            relevant = _relevant_passages(collection, judgements)
            others = _drawn((passage for passage in searched if passage not in relevant), max(passages - len(relevant), 0))
            kept = relevant.union(others)
            searched = {passage: record for passage, record in searched.items() if passage in kept}
        self.collection = replace(collection, passages=searched, judgements={split: judgements})
        self._split = split
        self._queries = queries_of(self.collection, split)

    def __call__(self, encoder: SparseEncoder) -> dict[str, float]:
        """Return dev_ndcg@10, dev_document_dims and dev_query_dims of an encoder."""
        index = SparseIndex(encoder, self.collection.passages.values())
        vectors = encoder.encode_query(list(self._queries.values()))
        rankings = zip(self._queries, index.rankings(vectors, DEPTH), strict=True)
        return {
            DEV_METRIC: judge("dev", rankings, self.collection, self._split).scores.mean["ndcg@10"],
            "dev_document_dims": active_dimensions(index.weights),
            "dev_query_dims": active_dimensions(vectors),
        }


def _relevant_passages(collection: Collection, judgements: Mapping[str, Mapping[str, int]]) -> set[str]:
    judged = {name for grades in judgements.values() for name, grade in grades.items() if grade > 0}
    if collection.judged == "passage":
        return judged
    return {passage for passage, parent in parents_of(collection.passages.values()).items() if parent in judged}


def _drawn(ids: Iterable[str], count: int) -> list[str]:
    """Return `count` of the ids, the same ones whatever else there is."""
    return sorted(ids, key=lambda name: (hashlib.blake2b(name.encode(), digest_size=8).digest(), name))[:count]
