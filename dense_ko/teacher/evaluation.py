"""How good a teacher is: BM25's best passages before and after it, and how far apart it holds answers and others."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from dense_ko.teacher.asked import RanksByItself, Teacher
from dense_ko.teacher.figures import write_histograms
from dense_ko.teacher.reranking import Relevance, bm25_rankings, rerank, split_scores
from dense_ko.teacher.separation import separation
from retrieval_ko.collection import Collection
from retrieval_ko.evaluation.judging import judge, queries_of
from retrieval_ko.evaluation.significance import paired_p_value
from retrieval_ko.files import write_json
from retrieval_ko.terms import Tokenization

SHOWN = ("ndcg@1", "ndcg@3", "ndcg@5", "ndcg@10", "mrr@10", "recall@10")


@dataclass(frozen=True)
class TeacherEvaluation:
    """A teacher's report and the scores it was made of."""

    report: dict[str, Any]
    positives: NDArray[np.float64]
    negatives: NDArray[np.float64]
    margins: list[float] = field(default_factory=list)

    def write(self, folder: Path) -> None:
        """Write evaluation.json and two figures."""
        write_json(folder / "evaluation.json", self.report)
        write_histograms(folder / "scores.png", {"answers": self.positives, "others": self.negatives}, "teacher's logit")
        write_histograms(
            folder / "margins.png", {"queries": self.margins}, "margin of a query: mean answer - mean other, logits", {"0": 0.0}
        )


def evaluate_teacher(
    teacher: Teacher,
    collection: Collection,
    split: str,
    *,
    depth: int = 100,
    tokenization: Tokenization = Tokenization.BIGRAM,
    batch_size: int = 32,
    max_samples: int | None = None,
    workers: int = 1,
    on_progress: Callable[[int, int], None] | None = None,
) -> TeacherEvaluation:
    """Re-rank BM25's best passages of a split and judge both orders; an ensemble's own ranking of the whole collection besides.

    Args:
        teacher: is asked.
        collection: with the split.
        split: whose queries are asked.
        depth: passages a query; what BM25 does not find is not found after re-ranking either.
        tokenization: how BM25 cuts text.
        batch_size: pairs that go through the teacher at once.
        max_samples: queries at most, drawn by hash; None: all.
        workers: of BM25.
        on_progress: told (pairs done, pairs in all).

    Raises:
        DataError: the collection has no such split.
    """
    from training_ko.dev_part import dev_part

    part = dev_part(collection, split, max_samples) if max_samples else collection
    queries = queries_of(part, split)
    before = bm25_rankings(part, queries, depth, tokenization, workers)
    pairs = sum(map(len, before.values()))
    after = rerank(teacher, part, queries, before, batch_size, on_progress=lambda done: on_progress(done, pairs) if on_progress else None)
    name = f"bm25-{tokenization}"
    rows = [judge(name, before, part, split), judge(f"{name}+teacher", after, part, split)]
    if hasattr(teacher, "rank"):
        finder = cast(RanksByItself, teacher)
        found = {query: finder.rank(query, text, depth) for query, text in queries.items()}
        rows.append(judge("teacher alone", found, part, split))
    positives, negatives, margins = split_scores(after, Relevance(part, split))
    by_query = [row.scores.by_query["ndcg@10"] for row in rows]
    report = {
        "collection": collection.name,
        "split": split,
        "queries": len(queries),
        "pairs": pairs,
        "depth": depth,
        "systems": [{"system": row.system, **{metric: round(row.scores.mean[metric], 4) for metric in SHOWN}} for row in rows],
        "p_value": round(paired_p_value(by_query[1], by_query[0]), 5),
        "score": "logit",
        **separation(positives, negatives, margins),
        "out_of_memory": teacher.out_of_memory,
    }
    return TeacherEvaluation(report, positives, negatives, margins)
