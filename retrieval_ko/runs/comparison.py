"""Is the second run better than the first? Only on identical dev data, query by query."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from retrieval_ko.errors import DataError, UsageError
from retrieval_ko.evaluation.earlier_runs import COMPARED
from retrieval_ko.evaluation.per_query import read_values
from retrieval_ko.evaluation.significance import holm, paired_p_value
from retrieval_ko.runs.folder import Run

DEV_QUERIES = Path("report") / "dev-queries.tsv"
"""In a run's folder: each dev query's values by the model that was kept."""


def compare_runs(first: Run, others: Sequence[Run]) -> dict[str, Any]:
    """Return how the kept models of other runs differ on dev from that of the first.

    {"first", "dev": what they were measured on, "comparisons": [{"run", "state", "ndcg@10", "recall@10" (differences to the first),
    "first_ndcg@10", "p_value", "p_holm", "improved", "settings": {key: [first's, its]}, "same_training_data"}]}. A run is improved where
    nDCG@10 and Recall@10 both rise; `p_holm` is corrected for the number of runs compared.

    Args:
        first: what the others are held against.
        others: at least one.

    Raises:
        UsageError: two runs were measured on different data.
        DataError: a run was never measured on dev, or its values are damaged.
    """
    metadata = first.look()
    before = _values(first)
    on = _measured_on(first, metadata)
    rows, p_values = [], []
    for other in others:
        facts = other.look()
        _refuse_other_data(first, on, other, _measured_on(other, facts))
        after = _values(other)
        if before[COMPARED[0]].keys() != after[COMPARED[0]].keys():
            raise DataError(f"{first.folder / DEV_QUERIES} and {other.folder / DEV_QUERIES} hold different queries.", "Train one anew.")
        means = {metric: (_mean(before[metric]), _mean(after[metric])) for metric in COMPARED}
        p_values.append(paired_p_value(after[COMPARED[0]], before[COMPARED[0]]))
        rows.append(
            {
                "run": str(other.folder),
                "state": facts["state"],
                **{metric: round(new - old, 4) for metric, (old, new) in means.items()},
                **{f"first_{metric}": round(old, 4) for metric, (old, _) in means.items()},
                "improved": all(new > old for old, new in means.values()),
                "settings": changed_settings(first, other),
                "same_training_data": metadata.get("data") == facts.get("data"),
            }
        )
    for row, p_value, corrected in zip(rows, p_values, holm(p_values), strict=True):
        row |= {"p_value": round(p_value, 5), "p_holm": round(corrected, 5)}
    return {"first": str(first.folder), "state": metadata["state"], "dev": on, "comparisons": rows}


def changed_settings(first: Run, second: Run) -> dict[str, list[Any]]:
    """Return the settings in which two runs differ: key with its path → [value of the first, of the second], None where there is none."""
    one, two = (_flat(yaml.safe_load((run.folder / "config.yaml").read_text(encoding="utf-8"))) for run in (first, second))
    return {key: [one.get(key), two.get(key)] for key in dict.fromkeys([*one, *two]) if one.get(key) != two.get(key)}


def _flat(settings: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in settings.items():
        found |= _flat(value, f"{prefix}{name}.") if isinstance(value, dict) else {f"{prefix}{name}": value}
    return found


def _measured_on(run: Run, metadata: Mapping[str, Any]) -> dict[str, Any]:
    on = metadata.get("dev")
    if not isinstance(on, dict) or "sha256" not in on:
        raise DataError(
            f"{run.folder} does not say on what its dev figures were measured, so it can't be compared.",
            "Measure both models instead: sparse-ko evaluate --model DIR --out DIR, then sparse-ko evaluate --compare OLD NEW",
        )
    return on


def _refuse_other_data(first: Run, on: Mapping[str, Any], other: Run, other_on: Mapping[str, Any]) -> None:
    if on["sha256"] == other_on["sha256"]:
        return
    parts = [f"{name} {on.get(name)} and {other_on.get(name)}" for name in on if name != "sha256" and on.get(name) != other_on.get(name)]
    differences = ", ".join(parts) or "texts or judgements"
    raise UsageError(
        f"{first.folder} and {other.folder} can't be compared: they were measured on different dev data ({differences}).",
        "Two numbers say something about two models only on identical data: measure both models on one collection with "
        "sparse-ko evaluate --out, then sparse-ko evaluate --compare OLD NEW.",
    )


def _values(run: Run) -> dict[str, dict[str, float]]:
    source = run.folder / DEV_QUERIES
    if not source.exists():
        raise DataError(f"{run.folder} was never measured on dev: {source.name} is missing.", "A run that was killed early can be resumed.")
    values = read_values(source)
    if missing := [metric for metric in COMPARED if metric not in values]:
        raise DataError(f"{source} lacks {', '.join(missing)}.")
    return values


def _mean(values: Mapping[str, float]) -> float:
    return sum(values.values()) / len(values)
