"""How far apart scores hold answers and other passages, and where a threshold between them stands."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

Values = NDArray[np.float64]


def described(values: Values) -> dict[str, float]:
    """Return number, mean, deviation and quartiles of scores; the number alone where there are none."""
    if not len(values):
        return {"count": 0}
    low, middle, high = np.percentile(values, (25, 50, 75))
    found = {"mean": values.mean(), "std": values.std(), "p25": low, "median": middle, "p75": high}
    return {"count": len(values)} | {name: round(float(value), 4) for name, value in found.items()}


def chance_of_order(positives: Values, negatives: Values) -> float | None:
    """Return how often a positive drawn by chance scores above a negative drawn by chance (area under the ROC curve); ties count half."""
    if not len(positives) or not len(negatives):
        return None
    from scipy.stats import rankdata

    ranks = rankdata(np.concatenate([positives, negatives]))
    above = ranks[: len(positives)].sum() - len(positives) * (len(positives) + 1) / 2
    return float(above / (len(positives) * len(negatives)))


def best_threshold(positives: Values, negatives: Values) -> dict[str, float] | None:
    """Return the score from which on a passage is best taken for an answer: the one with the highest F1, and its precision and recall."""
    if not len(positives) or not len(negatives):
        return None
    scores = np.concatenate([positives, negatives])
    order = np.argsort(-scores, kind="stable")
    right = np.cumsum(order < len(positives))
    taken = np.arange(1, len(scores) + 1)
    last_of_equals = np.append(scores[order][1:] != scores[order][:-1], True)
    f1 = np.where(last_of_equals, 2 * right / (taken + len(positives)), -1.0)
    best = int(f1.argmax())
    found = {"score": scores[order][best], "f1": f1[best], "precision": right[best] / taken[best], "recall": right[best] / len(positives)}
    return {name: round(float(value), 4) for name, value in found.items()}


def separation(positives: Values, negatives: Values, margins: Sequence[float]) -> dict[str, Any]:
    """Return what a report says of the scores of answers and of others, and of each query's margin between their means."""
    order = chance_of_order(positives, negatives)
    return {
        "positives": described(positives),
        "negatives": described(negatives),
        "margins": described(np.array(margins, dtype=np.float64)),
        "auc": None if order is None else round(order, 4),
        "threshold": best_threshold(positives, negatives),
    }
