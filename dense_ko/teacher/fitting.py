"""The weights of an ensemble: in-list softmax over the candidates of some queries, then a bias that makes sigmoid(logit) a probability."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dense_ko.teacher.asked import Asked
from dense_ko.teacher.data import drawn_queries
from dense_ko.teacher.ensemble import EnsembleTeacher
from dense_ko.teacher.reranking import Relevance
from dense_ko.teacher.signals import Signal
from retrieval_ko.collection import Collection
from retrieval_ko.errors import DataError
from retrieval_ko.evaluation.judging import queries_of
from retrieval_ko.pairs.mining import unmarked_answers
from retrieval_ko.records import TrainingPair

PENALTY = 1e-3
"""Of a squared weight, so that a signal that says nothing gets none."""
_QUERIES_AT_ONCE = 32


@dataclass(frozen=True, slots=True)
class FitQuery:
    """A query whose answers are known.

    Args:
        query: its id.
        text: of the query.
        answers: ids of passages.
        neither: passages that are no answers here and no negatives.
    """

    query: str
    text: str
    answers: frozenset[str]
    neither: frozenset[str] = frozenset()


@dataclass(frozen=True)
class FittedEnsemble:
    """An ensemble, and what its fit saw."""

    teacher: EnsembleTeacher
    facts: dict[str, Any] = field(default_factory=dict)


def fit_ensemble(
    signals: Sequence[Signal], queries: Sequence[FitQuery], depth: int = 100, *, on_progress: Callable[[int, int], None] | None = None
) -> FittedEnsemble:
    """Fit the weights on the candidates that the signals themselves bring up.

    A query none of whose answers is brought up says nothing and is counted; so is one of which nothing else is.

    Args:
        signals: what speaks.
        queries: whose answers are known; their own pairs are left out by the signals.
        depth: passages that each signal proposes.
        on_progress: told (queries done, queries in all).

    Raises:
        DataError: no query has an answer among its candidates.
    """
    names = [name for signal in signals for name in signal.names]
    teacher = EnsembleTeacher(signals, dict.fromkeys(names, 0.0), 0.0, depth)
    lists: list[tuple[NDArray[np.float64], NDArray[np.bool_]]] = []
    for start in range(0, len(queries), _QUERIES_AT_ONCE):
        part = queries[start : start + _QUERIES_AT_ONCE]
        found = [[passage for passage in teacher.proposed(one.query, one.text) if passage not in one.neither] for one in part]
        asked = [Asked(one.query, one.text, passages) for one, passages in zip(part, found, strict=True)]
        for one, passages, values in zip(part, found, teacher.values(asked), strict=True):
            right = np.array([passage in one.answers for passage in passages], dtype=bool)
            if right.any() and not right.all():
                lists.append((values, right))
        if on_progress:
            on_progress(start + len(part), len(queries))
    if not lists:
        raise DataError(
            f"Of {len(queries):,} queries none has an answer among the passages that BM25 and earlier citations bring up.",
            "Fit on queries whose answers can be found, or bring up more: --depth 1000",
        )
    weights = _weights(lists)
    bias = _bias(lists, weights)
    fitted = EnsembleTeacher(signals, dict(zip(names, (round(float(value), 6) for value in weights), strict=True)), round(bias, 6), depth)
    first = [bool(right[(values @ weights).argmax()]) for values, right in lists]
    facts = {
        "queries": len(queries),
        "used": len(lists),
        "candidates": sum(len(right) for _, right in lists),
        "first_is_answer": float(np.mean(first)),
    }
    return FittedEnsemble(fitted, facts)


def _weights(lists: Sequence[tuple[NDArray[np.float64], NDArray[np.bool_]]]) -> NDArray[np.float64]:
    """Return the weights of least mean -log Σ_answers softmax(values · w), plus the penalty."""
    from scipy.optimize import minimize
    from scipy.special import logsumexp

    def loss(weights: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        total, gradient = 0.0, np.zeros_like(weights)
        for values, right in lists:
            logits = values @ weights
            whole, own = logsumexp(logits), logsumexp(logits[right])
            total += float(whole - own)
            gradient += np.exp(logits - whole) @ values - np.exp(logits[right] - own) @ values[right]
        return total / len(lists) + PENALTY * float(weights @ weights), gradient / len(lists) + 2 * PENALTY * weights

    found = minimize(loss, np.zeros(lists[0][0].shape[1]), jac=True, method="L-BFGS-B")
    weights: NDArray[np.float64] = found.x
    return weights


def _bias(lists: Sequence[tuple[NDArray[np.float64], NDArray[np.bool_]]], weights: NDArray[np.float64]) -> float:
    """Return the bias with which the mean of sigmoid(logit) over all candidates is the share of answers among them."""
    from scipy.optimize import brentq
    from scipy.special import expit

    logits = np.concatenate([values @ weights for values, _ in lists])
    share = np.concatenate([right for _, right in lists]).mean()
    edge = float(np.abs(logits).max()) + 30
    return float(brentq(lambda bias: expit(logits + bias).mean() - share, -edge, edge))


def weights_in_words(weights: Mapping[str, float]) -> str:
    """Return the weights as a line for people, heaviest first."""
    return ", ".join(f"{name} {weight:+.2f}" for name, weight in sorted(weights.items(), key=lambda pair: -abs(pair[1])))


def queries_of_pairs(collection: Collection, pairs: Sequence[TrainingPair], count: int) -> list[FitQuery]:
    """Return at most `count` queries of a pair file, drawn by a hash of their texts, with what all their pairs call an answer."""
    drawn = drawn_queries({pair.query_text for pair in pairs}, count)
    kept = {pair.query_id or pair.query_text: pair for pair in pairs if pair.query_text in drawn}
    answers: dict[str, set[str]] = {key: set() for key in kept}
    for pair in pairs:
        if (key := pair.query_id or pair.query_text) in answers:
            answers[key].update(pair.positive_passages)
    elsewhere = unmarked_answers(collection)
    return [
        FitQuery(pair.query_id, pair.query_text, frozenset(answers[key]), frozenset(elsewhere(pair)) - answers[key])
        for key, pair in kept.items()
    ]


def queries_of_split(collection: Collection, split: str, count: int) -> list[FitQuery]:
    """Return at most `count` queries of a split, drawn by a hash of their texts.

    Raises:
        DataError: the collection has no such split.
    """
    texts = queries_of(collection, split)
    drawn = drawn_queries(texts.values(), count)
    relevance = Relevance(collection, split)
    return [
        FitQuery(query, text, frozenset(relevance.of(query)), frozenset(relevance.neither(query)))
        for query, text in texts.items()
        if text in drawn
    ]
