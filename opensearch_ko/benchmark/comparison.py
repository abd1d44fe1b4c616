"""Are the modes' differences from BM25 more than luck?"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from retrieval_ko.evaluation.judging import SystemResult
from retrieval_ko.evaluation.significance import bootstrap_interval, holm, paired_p_value

BASELINE = "bm25"
METRICS = ("ndcg@10", "mrr@10", "recall@100")


def comparisons(results: Sequence[SystemResult]) -> list[dict[str, Any]]:
    """Return a test of every mode against BM25 (Kiwi) for each metric: {"mode", "metric", "difference", "relative"?, "p_value", "p_holm"}.

    Paired randomisation tests on the queries' own values; Holm's correction is over the modes of one metric. Empty without BM25.
    """
    baseline = next((result for result in results if result.system == BASELINE), None)
    others = [result for result in results if result is not baseline]
    if baseline is None:
        return []
    rows: list[dict[str, Any]] = []
    for metric in METRICS:
        if metric not in baseline.scores.mean:
            continue
        known = baseline.scores.mean[metric]
        p_values = [paired_p_value(other.scores.by_query[metric], baseline.scores.by_query[metric]) for other in others]
        for other, p_value, corrected in zip(others, p_values, holm(p_values), strict=True):
            reached = other.scores.mean[metric]
            row: dict[str, Any] = {"mode": other.system, "metric": metric, "difference": round(reached - known, 4)}
            if known:
                row["relative"] = round(reached / known, 4)
            rows.append(row | {"p_value": round(p_value, 5), "p_holm": round(corrected, 5)})
    return rows


def quality_json(result: SystemResult) -> dict[str, Any]:
    """Return a mode's metrics and the 95 % bootstrap interval of its nDCG@10."""
    means = {name: round(value, 4) for name, value in result.scores.mean.items()}
    return {**means, "ndcg@10_interval": [round(end, 4) for end in bootstrap_interval(result.scores.by_query["ndcg@10"])]}
