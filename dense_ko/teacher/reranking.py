"""BM25's best passages of each query, put in a teacher's order; and how good it is at that on dev, while it is trained."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from dense_ko.teacher.asked import Asked, Teacher
from retrieval_ko.bm25 import Bm25Index, Ranking
from retrieval_ko.collection import Collection, parents_of
from retrieval_ko.evaluation.judging import judge, queries_of
from retrieval_ko.pairs.mining import unmarked_answers
from retrieval_ko.records import TrainingPair
from retrieval_ko.terms import Tokenization
from training_ko.dev_figures import DevFigures
from training_ko.dev_part import dev_part
from training_ko.recording import DEV_METRIC

if TYPE_CHECKING:
    from numpy.typing import NDArray

BM25 = "bm25"


def bm25_rankings(
    collection: Collection, queries: Mapping[str, str], depth: int, tokenization: Tokenization, workers: int = 1
) -> dict[str, Ranking]:
    """Return BM25's best passages of each query, by query id."""
    index = Bm25Index(collection.passages.values(), tokenization=tokenization, workers=workers)
    return dict(zip(queries, index.rank_many(queries.values(), depth), strict=True))


def rerank(
    teacher: Teacher,
    collection: Collection,
    queries: Mapping[str, str],
    rankings: Mapping[str, Ranking],
    batch_size: int = 32,
    *,
    on_progress: Callable[[int], None] | None = None,
) -> dict[str, Ranking]:
    """Return the same passages in the teacher's order, with its logits; equal ones by id.

    Args:
        teacher: reads every query with every passage of its ranking.
        collection: the passages' texts.
        queries: text of each query id.
        rankings: by query id.
        batch_size: pairs that go through the teacher at once.
        on_progress: called with the number of pairs done.
    """
    asked = [Asked(query, queries[query], [passage for passage, _ in ranking]) for query, ranking in rankings.items()]
    logits = teacher.score_candidates(asked, collection.passages, batch_size, on_progress=on_progress)
    return {
        one.query: sorted(zip(one.passages, scores, strict=True), key=lambda hit: (-hit[1], hit[0]))
        for one, scores in zip(asked, logits, strict=True)
    }


class Relevance:
    """Which passages answer a query of a split, whatever its judgements name (passages or parents), and which count as neither."""

    def __init__(self, collection: Collection, split: str) -> None:
        parts: dict[str, list[str]] = {}
        if collection.judged == "parent":
            for passage, parent in parents_of(collection.passages.values()).items():
                parts.setdefault(parent, []).append(passage)
        self._answers = {
            query: {passage for judged in relevant for passage in parts.get(judged, (judged,))}
            for query, relevant in collection.relevant(split).items()
        }
        self._excluded = {query: set(collection.queries[query].metadata.get("excluded", ())) for query in self._answers}
        self._held_back = unmarked_answers(collection)

    def of(self, query: str) -> set[str]:
        """Return the passages that the split calls relevant, without those that the query excludes."""
        return self._answers[query] - self._excluded[query]

    def neither(self, query: str) -> set[str]:
        """Return the passages that are no answers here and no negatives: excluded ones, and answers by another split."""
        some = TrainingPair(query_id=query, query_text=query, positive_passages=sorted(self._answers[query]))
        return set(self._held_back(some)) - self.of(query)


def split_scores(
    rankings: Mapping[str, Sequence[tuple[str, float]]], relevance: Relevance
) -> tuple[NDArray[np.float64], NDArray[np.float64], list[float]]:
    """Return the scores of relevant passages, those of the others, and each query's margin: mean relevant minus mean other.

    A query whose ranking holds only one of the two kinds has no margin.
    """
    positives: list[float] = []
    negatives: list[float] = []
    margins: list[float] = []
    for query, ranking in rankings.items():
        answers = relevance.of(query)
        neither = relevance.neither(query)
        own = [score for passage, score in ranking if passage in answers]
        others = [score for passage, score in ranking if passage not in answers and passage not in neither]
        positives += own
        negatives += others
        if own and others:
            margins.append(float(np.mean(own) - np.mean(others)))
    return np.array(positives), np.array(negatives), margins


class RerankingMeasurement:
    """nDCG@10 of BM25's best passages in a teacher's order, on a part of a split that is drawn once by a hash of the ids.

    Args:
        collection: with the split.
        split: whose queries are asked.
        queries: that are asked, at most.
        passages: that BM25 searches, at most, but never fewer than the relevant ones; None: all.
        depth: passages a query that are re-ranked.
        tokenization: how BM25 cuts text.
        batch_size: pairs that go through the teacher at once.

    Attributes:
        before: nDCG@10 of BM25's own order.

    Raises:
        DataError: the collection has no such split.
    """

    def __init__(
        self,
        collection: Collection,
        split: str,
        queries: int,
        passages: int | None,
        depth: int,
        tokenization: Tokenization,
        batch_size: int = 32,
    ) -> None:
        self.collection = dev_part(collection, split, queries, passages)
        self._split = split
        self._batch_size = batch_size
        self._queries = queries_of(self.collection, split)
        self._relevance = Relevance(self.collection, split)
        self._rankings = bm25_rankings(self.collection, self._queries, depth, tokenization)
        self.before = judge(BM25, self._rankings, self.collection, split).scores.mean["ndcg@10"]

    def __call__(self, teacher: Teacher) -> dict[str, float]:
        """Return dev_ndcg@10 and dev_recall@10 after re-ranking, and dev_margin: the mean lead of relevant passages, in logits."""
        found = rerank(teacher, self.collection, self._queries, self._rankings, self._batch_size)
        _, _, margins = split_scores(found, self._relevance)
        result = judge("teacher", found, self.collection, self._split)
        figures = {DEV_METRIC: result.scores.mean["ndcg@10"], "dev_recall@10": result.scores.mean["recall@10"]}
        return DevFigures(figures | {"dev_margin": float(np.mean(margins)) if margins else 0.0}, result, self.collection, self._split)
