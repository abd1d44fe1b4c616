"""What `sparse-ko evaluate --out` writes: evaluation.json, report.md, figures, and per-query values to compare with later."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from retrieval_ko.collection_statistics.distribution import Distribution
from retrieval_ko.evaluation.baselines import is_baseline
from retrieval_ko.evaluation.judging import SystemResult
from retrieval_ko.evaluation.markdown_report import markdown_report
from retrieval_ko.evaluation.per_query import file_name, write_values
from retrieval_ko.files import check_replaceable, new_folder, write_json, write_text

OWN_FILES = frozenset({"evaluation.json", "report.md", "quality.png", "dimensions.png", "queries.png", "runs", "synonyms"})


def check_evaluation_folder(folder: Path) -> None:
    """Make sure that nothing but an earlier evaluation would be replaced.

    Raises:
        UsageError: `folder` is a file or holds something else.
    """
    check_replaceable(folder, OWN_FILES, "evaluation.json")


def write_evaluation(
    folder: Path,
    report: Mapping[str, Any],
    results: Sequence[SystemResult],
    dimensions: Mapping[str, Mapping[str, Distribution]],
    synonym_lines: Mapping[str, Sequence[str]],
) -> None:
    """Write the folder, whole or not at all.

    Args:
        folder: where; an earlier evaluation there is replaced.
        report: `evaluation_json.evaluation_json`, and more.
        results: the systems of the report.
        dimensions: encoder → "passages" and "queries" → active dimensions of each.
        synonym_lines: encoder → lines of its table of synonyms, tab-separated, the header first.

    Raises:
        UsageError: `folder` holds other files.
        RetrievalError: it cannot be written.
    """
    from retrieval_ko.collection_statistics.plots import write_histograms  # matplotlib loads for a second
    from retrieval_ko.evaluation.figures import write_quality, write_scatter

    check_evaluation_folder(folder)
    encoders = [result for result in results if not is_baseline(result.system)]
    figures = [("quality.png", "nDCG@10 with 95 % bootstrap intervals")]
    with new_folder(folder) as target:
        write_quality(
            target / "quality.png",
            [row["system"] for row in report["systems"]],
            [row["ndcg@10"] for row in report["systems"]],
            [tuple(row["ndcg@10_interval"]) for row in report["systems"]],
            "nDCG@10",
        )
        if dimensions:
            panels = {f"{name}, {side}": values for name, sides in dimensions.items() for side, values in sides.items() if values.size}
            write_histograms(target / "dimensions.png", panels, "active dimensions", "texts")
            figures.append(("dimensions.png", "Active dimensions"))
        best = next((result for result in results if result.system == report["best_bm25"]), None)
        if encoders and best:
            leader = max(encoders, key=lambda result: result.scores.mean["ndcg@10"])
            first, second = ((result.system, result.scores.by_query["ndcg@10"]) for result in (leader, best))
            write_scatter(target / "queries.png", first, second, "nDCG@10")
            figures.append(("queries.png", "nDCG@10 of each query"))
        for result in results:
            write_values(target / "runs" / file_name(result.system), result)
        for name, lines in synonym_lines.items():
            write_text(target / "synonyms" / file_name(name), "\n".join(lines) + "\n")
        files = {result.system: f"runs/{file_name(result.system)}" for result in results}
        write_json(target / "evaluation.json", {**report, "runs": files})
        write_text(target / "report.md", markdown_report(report, figures))
