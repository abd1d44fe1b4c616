"""How far apart a bi-encoder holds answers and other passages, and how evenly its vectors use the sphere.

Everything is measured on raw cosines, and said on (cos + 1) / 2 as well, since published figures and thresholds are on that scale: 0.5
there is a cosine of 0, a direction drawn by chance, and no sign of relevance.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from dense_ko.teacher.data import drawn_queries
from dense_ko.teacher.figures import write_histograms
from dense_ko.teacher.reranking import Relevance, bm25_rankings
from dense_ko.teacher.separation import described, separation
from retrieval_ko.collection import Collection
from retrieval_ko.evaluation.judging import judge, queries_of
from retrieval_ko.files import write_json
from retrieval_ko.terms import Tokenization

Vectors = NDArray[np.float32]
TARGET_MARGIN, TARGET_NEGATIVE = 0.7, 0.15
"""S2's targets: lead of the answers, mean of the negatives. Stretch targets on raw cosines, out of reach on (cos + 1) / 2."""
KINDS = ("positives", "negatives", "random_negatives")
_PAIRS_OF_TEXTS = 2000
"""Texts whose cosines with each other uniformity is computed from."""


class Encodes(Protocol):
    """What is asked of a student."""

    def encode_queries(self, texts: Sequence[str], batch_size: int = 64) -> Vectors:
        """Return float32 [texts, dimensions], of length 1."""
        ...

    def encode_passages(self, texts: Sequence[str], batch_size: int = 64) -> Vectors:
        """Return float32 [texts, dimensions], of length 1."""
        ...


@dataclass(frozen=True)
class StudentMargins:
    """A student's report and the cosines it was made of."""

    report: dict[str, Any]
    answers: NDArray[np.float64]
    hard: NDArray[np.float64]
    random: NDArray[np.float64]
    margins: list[float] = field(default_factory=list)

    def write(self, folder: Path) -> None:
        """Write evaluation.json and two figures."""
        write_json(folder / "evaluation.json", self.report)
        cosines = {"answers": self.answers, "hard negatives": self.hard, "other queries' answers": self.random}
        write_histograms(folder / "cosines.png", cosines, "raw cosine", {f"target {TARGET_NEGATIVE}": TARGET_NEGATIVE})
        lines = {f"target {TARGET_MARGIN}": TARGET_MARGIN, "0": 0.0}
        write_histograms(folder / "margins.png", {"queries": self.margins}, "margin of a query: mean answer - mean hard negative", lines)


def normalised(cosines: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return (cos + 1) / 2."""
    scaled: NDArray[np.float64] = (cosines + 1) / 2
    return scaled


def uniformity(vectors: Vectors, temperature: float = 2.0) -> float:
    """Return ln of the mean of exp(-t·|x - y|²) over pairs of different rows: lower is more even on the sphere.

    (Wang and Isola 2020, arXiv 2005.10242, eq. 5.) Vectors that are all equal have 0; with t = 2 two opposite points have -8, and evenly
    spread ones in many dimensions come near -4.

    Args:
        vectors: of length 1, float32 [n, dimensions], n ≥ 2.
        temperature: t.
    """
    cosines = np.asarray(vectors, dtype=np.float64) @ np.asarray(vectors, dtype=np.float64).T
    squared = 2 - 2 * cosines[np.triu_indices(len(cosines), k=1)]
    return float(np.log(np.exp(-temperature * squared).mean()))


def alignment(queries: Vectors, answers: Vectors) -> float:
    """Return the mean squared distance of queries and their answers, row by row: lower is closer (Wang and Isola 2020, eq. 4)."""
    return float(np.square(np.asarray(queries, dtype=np.float64) - answers).sum(axis=1).mean())


def measure_margins(
    student: Encodes,
    collection: Collection,
    split: str,
    *,
    depth: int = 10,
    tokenization: Tokenization = Tokenization.BIGRAM,
    max_samples: int | None = None,
    batch_size: int = 64,
    workers: int = 1,
    on_progress: Callable[[int, int], None] | None = None,
) -> StudentMargins:
    """Measure a student on a split: cosines of answers, of BM25's best that are none, and of other queries' answers.

    Args:
        student: encodes.
        collection: with the split.
        split: whose queries are asked.
        depth: passages of BM25 a query, whose non-answers are the hard negatives.
        tokenization: how BM25 cuts text.
        max_samples: queries at most, drawn by hash; None: all.
        batch_size: texts that go through the student at once.
        workers: of BM25.
        on_progress: told (texts encoded, texts in all) after the queries and after the passages.

    Raises:
        DataError: the collection has no such split.
    """
    queries = queries_of(collection, split)
    if max_samples is not None:
        kept = drawn_queries(queries, max_samples)
        queries = {query: text for query, text in queries.items() if query in kept}
    relevance = Relevance(collection, split)
    found = bm25_rankings(collection, queries, depth, tokenization, workers)
    answers = {query: sorted(relevance.of(query) & collection.passages.keys()) for query in queries}
    neither = {query: relevance.neither(query) for query in queries}
    hard = {
        query: [passage for passage, _ in ranking if passage not in answers[query] and passage not in neither[query]]
        for query, ranking in found.items()
    }
    searched = {query: [passage for passage, _ in ranking] for query, ranking in found.items()}
    needed = sorted({passage for lists in (answers, searched) for passages in lists.values() for passage in passages})
    row = {passage: place for place, passage in enumerate(needed)}
    total = len(queries) + len(needed)
    asked = np.asarray(student.encode_queries(list(queries.values()), batch_size))
    if on_progress:
        on_progress(len(queries), total)
    read = np.asarray(student.encode_passages([collection.passages[passage].passage_text for passage in needed], batch_size))
    if on_progress:
        on_progress(total, total)

    cosines = asked.astype(np.float64) @ read.astype(np.float64).T
    everyone = sorted({row[passage] for passages in answers.values() for passage in passages})
    own, others, random, margins = [], [], [], []
    aligned: list[tuple[int, int]] = []
    for place, query in enumerate(queries):
        right, wrong = [row[passage] for passage in answers[query]], [row[passage] for passage in hard[query]]
        own.append(cosines[place, right])
        others.append(cosines[place, wrong])
        no_negatives = {*right, *(row[passage] for passage in neither[query] if passage in row)}
        random.append(cosines[place, [column for column in everyone if column not in no_negatives]])
        aligned += [(place, column) for column in right]
        if right and wrong:
            margins.append(float(own[-1].mean() - others[-1].mean()))
    parts = [np.concatenate(part) if part else np.empty(0) for part in (own, others, random)]
    report = {
        "collection": collection.name,
        "split": split,
        "queries": len(queries),
        "passages": len(needed),
        "score": "raw cosine",
        **separation(parts[0], parts[1], margins),
        "random_negatives": described(parts[2]),
        "normalised": {name: described(normalised(part)) for name, part in zip(KINDS, parts, strict=True)},
        "targets": _targets(parts, margins),
        "uniformity": {"queries": _rounded(asked), "passages": _rounded(read)},
        "alignment": round(alignment(asked[[i for i, _ in aligned]], read[[j for _, j in aligned]]), 4) if aligned else None,
        "rerank": _reranked(cosines, list(queries), row, found, collection, split),
    }
    return StudentMargins(report, parts[0], parts[1], parts[2], margins)


def _rounded(vectors: Vectors) -> float | None:
    if len(vectors) < 2:
        return None
    evenly = np.linspace(0, len(vectors) - 1, min(len(vectors), _PAIRS_OF_TEXTS)).astype(np.int64)
    return round(uniformity(vectors[evenly]), 4)


def _targets(parts: Sequence[NDArray[np.float64]], margins: Sequence[float]) -> dict[str, Any]:
    """Return what is reached of S2's targets, on raw cosines and on (cos + 1) / 2; a lead on the latter is half as large."""
    own, hard, random = parts
    if not len(own) or not len(hard):
        return {}
    lead = np.array(margins)
    return {
        "margin": TARGET_MARGIN,
        "negative_mean": TARGET_NEGATIVE,
        "raw": _reached(lead, hard, random),
        "normalised": _reached(lead / 2, normalised(hard), normalised(random)),
    }


def _reached(lead: NDArray[np.float64], hard: NDArray[np.float64], random: NDArray[np.float64]) -> dict[str, Any]:
    means = {"hard_negative_mean": float(hard.mean()), "random_negative_mean": float(random.mean()) if len(random) else None}
    return {
        "mean_margin": round(float(lead.mean()), 4) if len(lead) else None,
        **{name: None if value is None else round(value, 4) for name, value in means.items()},
        "margin_met": bool(len(lead) and lead.mean() >= TARGET_MARGIN),
        "negative_met": bool(hard.mean() <= TARGET_NEGATIVE),
        "share_of_queries_with_margin": round(float((lead >= TARGET_MARGIN).mean()), 4) if len(lead) else None,
        "share_of_negatives_below": round(float((hard <= TARGET_NEGATIVE).mean()), 4),
    }


def _reranked(
    cosines: NDArray[np.float64],
    queries: Sequence[str],
    row: dict[str, int],
    found: dict[str, list[tuple[str, float]]],
    collection: Collection,
    split: str,
) -> dict[str, Any]:
    """Return nDCG@10 over these queries of BM25's best passages, and of the same in the student's order."""
    asked = replace(collection, judgements={split: {query: collection.judgements[split][query] for query in queries}})
    after = {}
    for place, query in enumerate(queries):
        scored = [(passage, float(cosines[place, row[passage]])) for passage, _ in found[query] if passage in row]
        after[query] = sorted(scored, key=lambda hit: (-hit[1], hit[0]))
    before_mean = judge("bm25", found, asked, split).scores.mean["ndcg@10"]
    after_mean = judge("student", after, asked, split).scores.mean["ndcg@10"]
    depth = max(map(len, found.values()), default=0)
    return {"depth": depth, "bm25_ndcg@10": round(before_mean, 4), "student_ndcg@10": round(after_mean, 4)}
