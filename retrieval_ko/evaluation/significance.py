"""Is the difference between two systems more than luck? A paired randomisation test over queries, Holm's correction, an interval."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

_RESAMPLES_AT_ONCE = 500
"""Times the number of queries is what is in memory."""


def _mean_difference(differences: np.ndarray, axis: int = -1) -> np.ndarray:
    return np.asarray(np.mean(differences, axis=axis))


def paired_p_value(first: Mapping[str, float], second: Mapping[str, float], seed: int = 0) -> float:
    """Return the two-sided p-value that two systems are equally good, from their values on the same queries.

    The sign of each query's difference is flipped at random 10,000 times (Smucker et al. 2007, CIKM).

    Raises:
        ValueError: the two systems were not measured on the same queries.
    """
    from scipy.stats import permutation_test  # a second of importing that most commands do not need

    if first.keys() != second.keys():
        raise ValueError("a paired test needs both systems measured on the same queries")
    differences = np.array([first[query] - second[query] for query in sorted(first)])
    if len(differences) < 2 or not np.any(differences):  # of one query either sign is as far from 0
        return 1.0
    result = permutation_test(
        (differences,),
        _mean_difference,
        permutation_type="samples",
        n_resamples=10_000,
        rng=np.random.default_rng(seed),
        vectorized=True,
        batch=_RESAMPLES_AT_ONCE,
    )
    return float(result.pvalue)


def holm(p_values: Sequence[float]) -> list[float]:
    """Return p-values corrected for their number (Holm 1979), in the same order: the chance that any of the family is luck stays below.

    The smallest is multiplied by how many there are, the next by one less, and none is smaller than one before it.
    """
    corrected = [0.0] * len(p_values)
    largest = 0.0
    for place, number in enumerate(sorted(range(len(p_values)), key=lambda number: p_values[number])):
        largest = max(largest, min(1.0, p_values[number] * (len(p_values) - place)))
        corrected[number] = largest
    return corrected


def bootstrap_interval(values: Mapping[str, float], seed: int = 0, resamples: int = 10_000) -> tuple[float, float]:
    """Return the 95 % interval of the mean over queries: 2.5th and 97.5th percentile of means of queries drawn with replacement."""
    held = np.array([values[query] for query in sorted(values)])
    if not held.size:
        return 0.0, 0.0
    rng = np.random.default_rng(seed)
    sizes = [min(_RESAMPLES_AT_ONCE, resamples - start) for start in range(0, resamples, _RESAMPLES_AT_ONCE)]
    means = np.concatenate([held[rng.integers(held.size, size=(size, held.size))].mean(axis=1) for size in sizes])
    low, high = np.percentile(means, (2.5, 97.5))
    return float(low), float(high)
