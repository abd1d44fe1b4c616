"""What an approximate mode loses: how much of its exact counterpart's answer it finds."""

from __future__ import annotations

from collections.abc import Mapping

from retrieval_ko.bm25 import Ranking

EXACT = {
    "seismic": "sparse",
    "seismic-tokens": "sparse-tokens",
    "sparse-two-phase": "sparse",
    "sparse-tokens-two-phase": "sparse-tokens",
    "dense": "dense-exact",
    "knn": "dense-exact",
}
"""Approximate mode → the mode that answers the same question exactly."""
PLACES = (10, 100)


def recall_of_exact(approximate: Mapping[str, Ranking], exact: Mapping[str, Ranking], places: int) -> float:
    """Return the mean share of the first `places` of the exact ranking that stand among the first `places` of the approximate one.

    Queries whose exact ranking is empty don't count; passages of equal score at the last place may differ without a loss, so a
    collection with many ties reaches a little less than 1.
    """
    shares = []
    for query, best in exact.items():
        wanted = {passage for passage, _ in best[:places]}
        if wanted:
            found = {passage for passage, _ in approximate.get(query, [])[:places]}
            shares.append(len(wanted & found) / len(wanted))
    return sum(shares) / len(shares) if shares else 0.0
