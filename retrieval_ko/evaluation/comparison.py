"""Several systems on one split as one table, with p-values against BM25."""

from __future__ import annotations

from typing import Any

from retrieval_ko.collection import Collection
from retrieval_ko.evaluation.baselines import BASELINE, INFORMED_BASELINE, bm25_baselines, english_to_korean, translations
from retrieval_ko.evaluation.judging import DEPTH, SystemResult, judge, queries_of
from retrieval_ko.evaluation.significance import paired_p_value

__all__ = [
    "BASELINE",
    "DEPTH",
    "INFORMED_BASELINE",
    "SystemResult",
    "as_json",
    "bm25_baselines",
    "english_to_korean",
    "judge",
    "queries_of",
    "translations",
]


def as_json(collection: Collection, split: str, results: list[SystemResult]) -> dict[str, Any]:
    """Return the table that other programs read: {"collection", "split", "systems": [{"system", "ndcg@10", …, "p_value"?}]}.

    `p_value` is that of the nDCG@10 difference to BM25, `p_value_synonyms` to the BM25 that reads the synonym pairs (paired
    randomisation tests).
    """
    by_query = {result.system: result.scores.by_query["ndcg@10"] for result in results}
    systems = []
    for result in results:
        row: dict[str, Any] = {"system": result.system, **{name: round(value, 4) for name, value in result.scores.mean.items()}}
        row |= {name: round(value, 2) if isinstance(value, float) else value for name, value in result.facts.items()}
        for name, baseline in (("p_value", BASELINE), ("p_value_synonyms", INFORMED_BASELINE)):
            if baseline in by_query and result.system not in (BASELINE, baseline):
                row[name] = round(paired_p_value(by_query[result.system], by_query[baseline]), 5)
        systems.append(row)
    queries = len(next(iter(results)).scores.by_query["ndcg@10"]) if results else 0
    return {"collection": collection.name, "split": split, "queries": queries, "passages": len(collection.passages), "systems": systems}
