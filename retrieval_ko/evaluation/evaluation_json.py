"""evaluation.json: one split of one collection, all systems, everything that another program or a later comparison needs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import Any

from retrieval_ko.collection import Collection
from retrieval_ko.evaluation.baselines import is_baseline
from retrieval_ko.evaluation.comparison import as_json
from retrieval_ko.evaluation.groups import Groups, group_means
from retrieval_ko.evaluation.judging import SystemResult
from retrieval_ko.evaluation.significance import bootstrap_interval, holm, paired_p_value

HEADLINE = "ndcg@10"


def best_baseline(results: Sequence[SystemResult]) -> SystemResult | None:
    """Return the BM25 with the highest nDCG@10; None where there is no BM25."""
    rows = [result for result in results if is_baseline(result.system)]
    return max(rows, key=lambda result: result.scores.mean[HEADLINE], default=None)


def comparisons(results: Sequence[SystemResult]) -> list[dict[str, Any]]:
    """Return the family of tests: every encoder against the best BM25, and every pair of encoders, corrected by Holm.

    Each is {"first", "second", "difference", "relative"?, "p_value", "p_holm"}; the difference is first - second in nDCG@10. The best
    BM25 is chosen on the same queries, which favours BM25.
    """
    encoders = [result for result in results if not is_baseline(result.system)]
    best = best_baseline(results)
    pairs = [(encoder, best) for encoder in encoders if best] + list(combinations(encoders, 2))
    p_values = [paired_p_value(first.scores.by_query[HEADLINE], second.scores.by_query[HEADLINE]) for first, second in pairs]
    rows = []
    for (first, second), p_value, corrected in zip(pairs, p_values, holm(p_values), strict=True):
        reached, known = first.scores.mean[HEADLINE], second.scores.mean[HEADLINE]
        row = {"first": first.system, "second": second.system, "difference": round(reached - known, 4)}
        if known:
            row["relative"] = round(reached / known, 4)
        rows.append(row | {"p_value": round(p_value, 5), "p_holm": round(corrected, 5)})
    return rows


def evaluation_json(
    collection: Collection,
    split: str,
    results: Sequence[SystemResult],
    *,
    depth: int,
    data: Mapping[str, str],
    conditions: Mapping[str, Any],
    groups: Groups,
) -> dict[str, Any]:
    """Return what `sparse-ko evaluate --json` prints; `comparison.as_json`'s keys, and more.

    Args:
        collection: what was searched.
        split: whose queries were asked.
        results: one a row.
        depth: places of a ranking.
        data: `identity.data_hashes`.
        conditions: `identity.conditions` and what else the numbers depend on.
        groups: `groups.query_groups`.
    """
    report = as_json(collection, split, list(results))
    for row, result in zip(report["systems"], results, strict=True):
        low, high = bootstrap_interval(result.scores.by_query[HEADLINE])
        row[f"{HEADLINE}_interval"] = [round(low, 4), round(high, 4)]
        row["groups"] = {
            name: {group: round(mean, 4) for group, mean in means.items()}
            for name, means in group_means(groups, result.scores.by_query[HEADLINE]).items()
        }
    best = best_baseline(results)
    return report | {
        "judged": collection.judged,
        "depth": depth,
        "data": dict(data),
        "best_bm25": best.system if best else None,
        "comparisons": comparisons(results),
        "groups": {name: {group: len(queries) for group, queries in members.items()} for name, members in groups.items()},
        "conditions": dict(conditions),
    }
