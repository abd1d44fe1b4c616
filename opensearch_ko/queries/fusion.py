"""Several rankings into one, by the formulas of neural-search 3.6, so that the client fuses as the node does.

What the tests compare with the node, and what its documentation leaves out:
min_max  (s − min) / (max − min); the last of a list gets 0.001, which may be more than the last but one has; equal scores get 1 each.
l2       s / √Σs².
z_score  (s − mean) / σ with σ over n − 1; at most 0 becomes 0.001. A score that equals the mean, as the only one of a list does,
         becomes the list's highest *raw* score: a lone BM25 hit then outweighs everything.
rrf      1 / (rank_constant + place).
Then Σ wᵢ·sᵢ, a passage that a list lacks counting 0 in it (arithmetic mean with weights that sum to 1; for rrf a sum).
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence

from opensearch_ko.queries.context import Ranking, Technique
from opensearch_ko.queries.search_pipelines import check_part_weights
from retrieval_ko.errors import UsageError

LEAST = 0.001
"""What neural-search gives in place of 0, so that a hit stays a hit."""


def normalize(ranking: Ranking, technique: Technique, rank_constant: int = 60) -> dict[str, float]:
    """Return what a ranking's passages count before they are weighed, by id.

    Args:
        ranking: the best first; `rrf` looks at the order alone.
        technique: see the module.
        rank_constant: of `rrf`.
    """
    if not ranking:
        return {}
    scores = [score for _, score in ranking]
    if technique == "rrf":
        return {passage: 1 / (rank_constant + place) for place, (passage, _) in enumerate(ranking, start=1)}
    if technique == "l2":
        norm = math.sqrt(sum(score * score for score in scores))
        return {passage: score / norm if norm else 0.0 for passage, score in ranking}
    low, high = min(scores), max(scores)
    if technique == "min_max":
        if low == high:
            return dict.fromkeys((passage for passage, _ in ranking), 1.0)
        return {passage: max((score - low) / (high - low), 0.0) or LEAST for passage, score in ranking}
    mean = math.fsum(scores) / len(scores)
    deviation = statistics.stdev(scores) if len(scores) > 1 else 0.0

    def standard(score: float) -> float:
        if math.isclose(score, mean, rel_tol=1e-7, abs_tol=0.0):  # the node compares floats of 32 bits
            return high
        return max((score - mean) / deviation, 0.0) or LEAST

    return {passage: standard(score) for passage, score in ranking}


def part_contributions(
    rankings: Sequence[Ranking], technique: Technique, weights: Sequence[float] | None = None, rank_constant: int = 60
) -> dict[str, list[float]]:
    """Return what each ranking adds to each passage's fused score, by passage id, in the rankings' order.

    Raises:
        UsageError: weights that don't fit the rankings or don't sum to 1.
    """
    shares = equal_weights(len(rankings)) if weights is None else tuple(weights)
    if len(shares) != len(rankings):
        raise UsageError(f"There are {len(rankings)} rankings and {len(shares)} weights.")
    check_part_weights(shares)
    found: dict[str, list[float]] = {}
    for place, (ranking, share) in enumerate(zip(rankings, shares, strict=True)):
        for passage, normalized in normalize(ranking, technique, rank_constant).items():
            found.setdefault(passage, [0.0] * len(rankings))[place] = share * normalized
    return found


def fuse(rankings: Sequence[Ranking], technique: Technique, weights: Sequence[float] | None = None, rank_constant: int = 60) -> Ranking:
    """Return one ranking of several, the best first, ties by id.

    Args:
        rankings: each the best first, of like depth.
        technique: see the module.
        weights: of the rankings, summing to 1; None: alike.
        rank_constant: of `rrf`.

    Raises:
        UsageError: weights that don't fit the rankings or don't sum to 1.
    """
    found = part_contributions(rankings, technique, weights, rank_constant)
    return sorted(((passage, math.fsum(parts)) for passage, parts in found.items()), key=lambda hit: (-hit[1], hit[0]))


def equal_weights(count: int) -> tuple[float, ...]:
    """Return weights that are alike and sum to 1."""
    return (1 / count,) * count
