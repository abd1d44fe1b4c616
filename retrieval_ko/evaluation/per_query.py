"""Per-query values as TSV, so that a later run can be tested against an earlier one: query-id and a column a metric."""

from __future__ import annotations

import re
from pathlib import Path

from retrieval_ko.errors import DataError
from retrieval_ko.evaluation.judging import SystemResult
from retrieval_ko.files import read_lines, write_text


def file_name(system: str) -> str:
    """Return the name of a system's file: its own name, but for characters that a file name may not hold."""
    return re.sub(r"[^\w.+-]", "_", system) + ".tsv"


def write_values(target: Path, result: SystemResult) -> None:
    """Write the values of one system, queries by id."""
    metrics = list(result.scores.by_query)
    rows = ["\t".join(["query-id", *metrics])]
    for query in sorted(result.scores.by_query[metrics[0]]):
        rows.append("\t".join([query, *(f"{result.scores.by_query[metric][query]:.6f}" for metric in metrics)]))
    write_text(target, "\n".join(rows) + "\n")


def read_values(source: Path) -> dict[str, dict[str, float]]:
    """Read them: metric → query id → value.

    Raises:
        DataError: the file is missing or damaged; names the line.
    """
    metrics: list[str] = []
    values: dict[str, dict[str, float]] = {}
    for number, line in read_lines(source):
        cells = line.split("\t")
        if number == 1:
            if cells[0] != "query-id" or len(cells) < 2:
                raise DataError(f"{source}, line 1: expected the header query-id and metrics.")
            metrics = cells[1:]
            values = {metric: {} for metric in metrics}
            continue
        try:
            numbers = [float(cell) for cell in cells[1:]]
        except ValueError as failure:
            raise DataError(f"{source}, line {number}: {failure}.") from failure
        if len(numbers) != len(metrics):
            raise DataError(f"{source}, line {number}: expected {len(metrics) + 1} tab-separated fields, found {len(cells)}.")
        for metric, value in zip(metrics, numbers, strict=True):
            values[metric][cells[0]] = value
    if not values or not next(iter(values.values())):
        raise DataError(f"{source} is empty: it holds no query.")
    return values
