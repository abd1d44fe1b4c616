"""The bar that a doc-only encoder must clear: nearly as quick as BM25, and no worse."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from opensearch_ko.benchmark.comparison import BASELINE
from retrieval_ko.errors import UsageError

HIGHEST_RATIO = 1.5
"""Doc-only p50 over BM25's, of service times in the same run."""
WITHOUT_MODEL = ("doc-only", "lexical-floor")
"""Forms whose queries are read by a tokenizer and a table."""


def check_gate(form: str, modes: Sequence[str]) -> list[str]:
    """Return the modes that the gate is about: the exact ones of a doc-only encoder.

    Args:
        form: of the encoder.
        modes: that are measured.

    Raises:
        UsageError: there is no BM25 or no doc-only mode among them, so there is nothing to compare.
    """
    doc_only = [name for name in modes if name in ("sparse", "sparse-tokens")]
    if form not in WITHOUT_MODEL or BASELINE not in modes or not doc_only:
        raise UsageError(
            f"The gate compares a doc-only mode with bm25; this run has {', '.join(modes)} of a {form} encoder.",
            "Run it on the index of a doc-only encoder: --modes bm25,sparse,sparse-tokens --gate",
        )
    return doc_only


def gate(report: Mapping[str, Any], floor: float | None = None) -> dict[str, Any]:
    """Return {"passed", "checks": [{"mode", "what", "value", "limit", "passed"}]} of the exact doc-only modes of a benchmark.

    Args:
        report: of `run_benchmark`.
        floor: the lowest nDCG@10; None: BM25's in the same run.

    Raises:
        UsageError: as `check_gate`.
    """
    rows = {row["mode"]: row for row in report["modes"]}
    lowest = rows[BASELINE]["ndcg@10"] if floor is None and BASELINE in rows else floor
    checks = []
    for name in check_gate(report["conditions"]["form"], list(rows)):
        ratio, quality = rows[name]["p50_ratio"]["ratio"], rows[name]["ndcg@10"]
        checks += [
            {"mode": name, "what": "p50 of BM25's", "value": ratio, "limit": HIGHEST_RATIO, "passed": ratio <= HIGHEST_RATIO},
            {"mode": name, "what": "nDCG@10", "value": quality, "limit": lowest, "passed": quality >= lowest},
        ]
    return {"passed": all(check["passed"] for check in checks), "checks": checks}
