"""Is the difference between two systems more than luck? A paired randomisation test over queries."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np


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
    if not np.any(differences):
        return 1.0
    result = permutation_test(
        (differences,), _mean_difference, permutation_type="samples", n_resamples=10_000, rng=np.random.default_rng(seed), vectorized=True
    )
    return float(result.pvalue)
