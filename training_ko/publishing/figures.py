"""The figures of a card: what `sparse-ko evaluate --out` and `lex-dpr evaluate --out` wrote, BM25 beside the model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from retrieval_ko.errors import DataError, UsageError
from retrieval_ko.evaluation.markdown_report import comparison_table, quality_table
from retrieval_ko.files import read_json

SHOWN = ("ndcg@10", "mrr@10", "recall@100")
_NEEDED = ("collection", "split", "queries", "passages", "systems", "comparisons", "data", "conditions")


def read_evaluation(folder: Path) -> dict[str, Any]:
    """Return what evaluation.json of a folder holds.

    Raises:
        DataError: it is missing, damaged, or another kind of file.
    """
    path = folder / "evaluation.json" if folder.is_dir() else folder
    report = read_json(path)
    if not isinstance(report, dict) or any(name not in report for name in _NEEDED):
        raise DataError(f"{path} is no evaluation.", "Write one: sparse-ko evaluate --model DIR --collection DIR --out FOLDER")
    return report


def figures_section(evaluations: Sequence[Mapping[str, Any]], system: str) -> str:
    """Return the tables of quality and of tests, a collection at a time, and what a reader must know to trust them.

    Args:
        evaluations: of `read_evaluation`.
        system: the model's name in their tables.

    Raises:
        UsageError: an evaluation has no such system.
    """
    if not evaluations:
        return "No evaluation was given to who published this: measure it on your own data first."
    parts = []
    for report in evaluations:
        names = [row["system"] for row in report["systems"]]
        if system not in names:
            raise UsageError(
                f"The evaluation of {report['collection']} ({report['split']}) does not measure {system}.",
                f"It measures {', '.join(names)}; name the model's with --system.",
            )
        tests = [row for row in report["comparisons"] if system in (row["first"], row["second"])]
        parts += [
            f"### {report['collection']}, {report['split']}\n",
            f"{report['queries']:,} queries, {report['passages']:,} passages, exact search. This model is `{system}`; 95 % are bootstrap "
            "intervals of nDCG@10.\n",
            quality_table(report, SHOWN),
        ]
        if tests:
            parts += [comparison_table({"comparisons": tests}), "Paired randomisation tests, corrected by Holm.\n"]
        known = [f"data `{str(report['data'].get('sha256', ''))[:12]}`"]
        if commit := report["conditions"].get("git_commit"):
            known.append(f"commit `{commit[:12]}`")
        parts.append(f"Measured on {', '.join(known)}.\n")
    return "\n".join(parts)
