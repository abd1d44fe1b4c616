"""What speaks against the numbers of a run: said in the report before anybody else says it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

FEW_QUERIES = 50
FURTHEST = 100
"""Times the largest size that was measured."""
LARGEST_RESIDUAL = 0.15
"""Of a p50, beside its line."""
MOST_SYNTHETIC = 0.5


def doubts(report: Mapping[str, Any]) -> list[str]:
    """Return sentences about what makes a benchmark's numbers worth less; none where all is well."""
    conditions, found = report["conditions"], []
    load, cores = conditions.get("load_average_before", 0), conditions["client_cores"]
    if load > cores / 2:
        found.append(f"The machine was busy before the run began (load average {load} on {cores} cores): times say little.")
    if conditions["queries"] < FEW_QUERIES:
        found.append(f"{conditions['queries']} queries are few: differences in quality are mostly luck.")
    if conditions["segments"] > conditions["shards"]:
        found.append(f"The index lies in {conditions['segments']} segments; another run may meet another number.")
    if conditions["shards"] > 1:
        found.append(f"{conditions['shards']} shards: BM25's statistics and a hybrid's candidates are those of each shard.")
    if conditions["documents"] != conditions["passages"]:
        found.append(f"The index holds {conditions['documents']:,} documents, the collection {conditions['passages']:,} passages.")
    hits = {name: count for name, count in conditions.get("cache_hits", {}).items() if count}
    if hits:
        found.append(f"The node's caches answered {', '.join(f'{count} times ({name})' for name, count in hits.items())}.")
    for mode, check in report.get("engine_check", {}).items():
        if "skipped" not in check and check["equal"] < check["queries"]:
            found.append(f"{mode}: {check['queries'] - check['equal']} of {check['queries']} rankings are not those of brute force.")
    seismic = conditions.get("seismic")
    if seismic and conditions["documents"] < seismic["approximate_threshold"]:
        found.append(
            f"SEISMIC searched exactly: {conditions['documents']:,} documents are fewer than its approximate_threshold "
            f"({seismic['approximate_threshold']:,})."
        )
    return found


def growth_doubts(report: Mapping[str, Any]) -> list[str]:
    """Return the same of a measurement of growth."""
    conditions, found = report["conditions"], []
    if conditions["load_average_before"] > conditions["client_cores"] / 2:
        load = f"load average {conditions['load_average_before']} on {conditions['client_cores']} cores"
        found.append(f"The machine was busy before the run began ({load}): times and docs/s say little.")
    largest = report["sizes"][-1]["passages"]
    if "sizing" in report and report["sizing"]["documents_per_shard"] > FURTHEST * largest:
        planned = report["sizing"]["documents_per_shard"]
        found.append(f"{planned:,} passages a shard are calculated from at most {largest:,}: measure larger sizes.")
    synthetic = report["sizes"][-1]["synthetic"] / largest
    if synthetic > MOST_SYNTHETIC:
        found.append(f"{synthetic:.0%} of the largest size is synthetic.")
    for mode, line in report.get("fits", {}).get("service_p50_ms", {}).items():
        if line["per_million"] <= 0:
            found.append(f"{mode}: p50 did not grow over these sizes, so nothing can be calculated from it.")
        elif line["largest_residual"] is None:
            found.append(f"{mode}: two sizes; whether p50 grows in a straight line was not tested.")
        elif line["largest_residual"] > LARGEST_RESIDUAL:
            found.append(f"{mode}: p50 lies up to {line['largest_residual']:.0%} off a straight line.")
    return found


def by_reason(left_out: Mapping[str, str]) -> list[tuple[str, list[str]]]:
    """Return (why, modes) of the modes that could not run, each reason once."""
    grouped: dict[str, list[str]] = {}
    for mode, why in left_out.items():
        grouped.setdefault(why, []).append(mode)
    return list(grouped.items())
