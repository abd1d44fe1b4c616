"""Two evaluations of different days: is the second better than the first? Only on identical data."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from retrieval_ko.errors import DataError, UsageError
from retrieval_ko.evaluation.baselines import is_baseline
from retrieval_ko.evaluation.per_query import read_values
from retrieval_ko.evaluation.significance import holm, paired_p_value
from retrieval_ko.files import read_json

COMPARED = ("ndcg@10", "recall@10")
"""An encoder is improved where both rise; the first is tested."""

_SAME = ("split", "depth")


def compare_evaluations(first: Path, second: Path) -> dict[str, Any]:
    """Return how the encoders of the second evaluation differ from those of the first.

    {"first", "second", "data", "comparisons": [{"first", "second", "ndcg@10": difference, "recall@10": difference, "relative"?, "p_value",
    "p_holm", "improved"}]}; differences are second - first. Where an evaluation has no encoder, its BM25 rows stand in.

    Args:
        first: an evaluation.json, or its folder; the runs/ beside it hold the per-query values.
        second: the same.

    Raises:
        UsageError: the two were measured on different data, splits or depths.
        DataError: a file is missing or damaged.
    """
    files = [path / "evaluation.json" if path.is_dir() else path for path in (first, second)]
    reports = [_read(file) for file in files]
    _refuse_different_data(files, reports)
    systems = [_systems(file, report) for file, report in zip(files, reports, strict=True)]
    rows, p_values = [], []
    for old_name, old in systems[0].items():
        for new_name, new in systems[1].items():
            if old["ndcg@10"].keys() != new["ndcg@10"].keys():
                raise DataError(f"The per-query values of {old_name} and {new_name} are those of different queries.", "Evaluate both anew.")
            row: dict[str, Any] = {"first": old_name, "second": new_name}
            means = {metric: (_mean(old[metric]), _mean(new[metric])) for metric in COMPARED}
            row |= {metric: round(after - before, 4) for metric, (before, after) in means.items()}
            if means["ndcg@10"][0]:
                row["relative"] = round(means["ndcg@10"][1] / means["ndcg@10"][0], 4)
            p_values.append(paired_p_value(new["ndcg@10"], old["ndcg@10"]))
            rows.append(row | {"improved": all(after > before for before, after in means.values())})
    for row, p_value, corrected in zip(rows, p_values, holm(p_values), strict=True):
        row |= {"p_value": round(p_value, 5), "p_holm": round(corrected, 5)}
    return {"first": str(files[0]), "second": str(files[1]), "data": reports[0]["data"]["sha256"], "comparisons": rows}


def _read(file: Path) -> dict[str, Any]:
    report = read_json(file)
    if not isinstance(report, dict) or "systems" not in report or "sha256" not in report.get("data", {}) or "runs" not in report:
        raise DataError(
            f"{file} is no evaluation that can be compared: it lacks systems, runs or the hash of its data.",
            "Write one with: sparse-ko evaluate --model DIR --collection DIR --out DIR",
        )
    return report


def _refuse_different_data(files: list[Path], reports: list[dict[str, Any]]) -> None:
    first, second = reports
    parts = [name for name in ("corpus", "queries", "judgements") if first["data"].get(name) != second["data"].get(name)]
    parts += [name for name in _SAME if first.get(name) != second.get(name)]
    if parts or first["data"]["sha256"] != second["data"]["sha256"]:
        raise UsageError(
            f"{files[0]} and {files[1]} can't be compared: they differ in {', '.join(parts) or 'how judgements are read'}.",
            "Two numbers say something about two models only on identical data; evaluate both on the same collection and split.",
        )


def _systems(file: Path, report: dict[str, Any]) -> dict[str, dict[str, dict[str, float]]]:
    names = [row["system"] for row in report["systems"]]
    chosen = [name for name in names if not is_baseline(name)] or names
    return {name: read_values(file.parent / report["runs"][name]) for name in chosen}


def _mean(values: dict[str, float]) -> float:
    return sum(values.values()) / len(values)
