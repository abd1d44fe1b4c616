"""One benchmark: every mode on the same node in the same run, the modes interleaved; quality, time, parity, size, throughput."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from opensearch_ko.benchmark.asking import against_the_clock, rank
from opensearch_ko.benchmark.comparison import BASELINE, comparisons, quality_json
from opensearch_ko.benchmark.conditions import (
    cache_hits,
    cache_hits_between,
    client_conditions,
    cluster_conditions,
    index_conditions,
    load_average,
)
from opensearch_ko.benchmark.doubts import doubts
from opensearch_ko.benchmark.inspection import check_engine, compare_with_exact, count_postings, measure_sizes
from opensearch_ko.benchmark.schedule import shuffled
from opensearch_ko.benchmark.settings import BenchmarkSettings
from opensearch_ko.benchmark.sizes import SEISMIC_PREFIX, merge
from opensearch_ko.benchmark.sweep import sweep
from opensearch_ko.benchmark.timing import Timing, median_ratio, timing_json
from opensearch_ko.cluster import Cluster
from opensearch_ko.indexes import seismic_name
from opensearch_ko.models import ensure_running
from opensearch_ko.queries.modes import MODES, Context, Mode, mode_named
from opensearch_ko.queries.search import QueryReader, open_context
from retrieval_ko.collection import Collection
from retrieval_ko.errors import UsageError
from retrieval_ko.evaluation.judging import DEPTH, SystemResult, judge, queries_of
from retrieval_ko.text import content_terms

ALL = "all"
"""In place of modes: every one that can run."""

WITHOUT_MODEL = {"bm25", "bm25-cjk", "bm25-nori", "sparse-tokens", "sparse-tokens-two-phase", "seismic-tokens", "knn", "dense-exact"}
"""Modes that no model of the cluster serves, so that one that sleeps need not be woken."""


@dataclass
class Benchmark:
    """What was measured, filled phase by phase.

    Args:
        report: what benchmark.json holds.
        results: each mode's scores, by query.
        timings: each mode's requests.
    """

    report: dict[str, Any]
    results: list[SystemResult] = field(default_factory=list)
    timings: dict[str, list[Timing]] = field(default_factory=dict)


def run_benchmark(
    cluster: Cluster,
    index: str,
    collection: Collection,
    split: str,
    settings: BenchmarkSettings | None = None,
    *,
    reader: QueryReader | None = None,
    query_vector: Callable[[str], list[float]] | None = None,
    ingest: Mapping[str, Any] | None = None,
    on_progress: Callable[[str, int, int], None] = lambda phase, done, total: None,
    on_phase: Callable[[Benchmark], None] = lambda so_far: None,
) -> Benchmark:
    """Measure the modes of one index.

    Phases, in this order: the index is merged into one segment a shard; every query by every mode (quality, and the warm-up); the timed
    rounds; rankings held against brute force and exact modes, postings counted; bytes; the sweep of clients.

    Args:
        cluster: where.
        index: made by `sparse-ko deploy` and filled with the collection.
        collection: whose queries and judgements.
        split: which of them.
        settings: how much is asked.
        reader: reads queries on this machine, for the modes that want it.
        query_vector: the same with the dense model.
        ingest: the report of how the index was filled, where this run did it.
        on_progress: told the phase, how much is done and of how much.
        on_phase: given what is measured so far after each phase, to be kept should a later one fail.

    Raises:
        ClusterError: there is no such index, or a mode failed.
        DataError: the collection has no such split.
        UsageError: a mode is unknown or can't run here; the index does not hold the collection.
    """
    settings = settings or BenchmarkSettings()
    of_split = queries_of(collection, split)
    queries = of_split if settings.queries is None else draw(of_split, settings.queries)
    if len(queries) < len(of_split):
        collection = _judging(collection, split, queries)
    context = open_context(
        cluster,
        index,
        content_terms=content_terms,
        size=settings.size,
        reader=reader,
        query_vector=query_vector,
        options=settings.options,
    )
    index = context.index
    modes, left_out = choose_modes(settings.modes, context)
    if modes.keys() - WITHOUT_MODEL:
        ensure_running(cluster, context.meta, lambda step: on_progress(step, 0, 1))
    indexes = [index, *([seismic_name(index)] if _uses_companion(modes) else [])]
    for name in indexes:
        merge(cluster, name)
    conditions = _conditions(context, collection, split, (len(queries), len(of_split)), settings)
    if conditions["documents"] != len(collection.passages) and not settings.incomplete:
        raise UsageError(
            f"{index} holds {conditions['documents']:,} documents, the collection {collection.name} {len(collection.passages):,} passages.",
            f"Fill it with this collection: sparse-ko index --index {index} --collection DIR    or measure it as it is: --incomplete",
        )
    benchmark = Benchmark({"state": "running", "conditions": conditions, "modes": [], "left_out": left_out})
    if ingest:
        benchmark.report["ingest"] = dict(ingest)
    hits = cache_hits(cluster, indexes)

    rankings = rank(modes, context, queries, DEPTH, lambda done, total: on_progress("quality, warm-up", done, total))
    benchmark.results = [judge(name, rankings[name], collection, split) for name in modes]
    rows = _quality_rows(modes, benchmark)
    on_phase(benchmark)

    timed = {query: queries[query] for query in shuffled(list(queries), "timed")[: settings.timed_queries]}
    benchmark.timings = against_the_clock(modes, context, timed, settings.rounds, lambda done, total: on_progress("time", done, total))
    _add_times(rows, benchmark.timings)
    conditions["cache_hits"] = cache_hits_between(hits, cache_hits(cluster, indexes))
    conditions["load_average_after"] = load_average()
    on_phase(benchmark)

    benchmark.report["approximation"] = compare_with_exact(rankings, context, queries, DEPTH)
    if settings.checked_queries:
        on_progress("parity, postings", 0, 2)
        checked = {query: queries[query] for query in shuffled(list(queries), "checked")[: settings.checked_queries]}
        benchmark.report["engine_check"] = check_engine(modes, context, checked, conditions)
        on_progress("parity, postings", 1, 2)
        benchmark.report["postings"] = count_postings(modes, context, checked)
        on_progress("parity, postings", 2, 2)
    on_phase(benchmark)
    if settings.sizes:
        sizes = measure_sizes(modes, context, lambda done, total: on_progress("bytes", done, total))
        benchmark.report["sizes"] = sizes
        for name, mode in modes.items():
            rows[name]["bytes_per_document"] = round(sum(sizes["fields"][field] for field in mode.fields), 1)
        on_phase(benchmark)
    if settings.clients:
        benchmark.report["sweep"] = sweep(
            modes,
            context,
            timed,
            clients=settings.clients,
            seconds=settings.sweep_seconds,
            on_progress=lambda done, total: on_progress("clients", done, total),
        )
    benchmark.report |= {"state": "finished", "doubts": doubts(benchmark.report)}
    on_phase(benchmark)
    return benchmark


def choose_modes(names: tuple[str, ...], context: Context) -> tuple[dict[str, Mode], dict[str, str]]:
    """Return the modes to measure, and those left out with the reason.

    Args:
        names: of modes, or only "all": every mode that can run.
        context: what they have at hand.

    Raises:
        UsageError: a mode was named that does not exist or can't run here.
    """
    if names == (ALL,):
        reasons = {name: mode.missing(context) for name, mode in MODES.items()}
        return {name: MODES[name] for name, why in reasons.items() if why is None}, {name: why for name, why in reasons.items() if why}
    chosen = {name: mode_named(name) for name in names}
    for name, mode in chosen.items():
        if why := mode.missing(context):
            raise UsageError(f"The mode {name} can't be measured here: {why}", "Leave it out of --modes, or: --modes all")
    if not chosen:
        raise UsageError("There is no mode to measure.", f"Name some: --modes {','.join(MODES)}")
    return chosen, {}


def draw(queries: Mapping[str, str], most: int) -> dict[str, str]:
    """Return at most so many queries, those whose ids' hashes are least: the same ones for every index and every run."""
    return {query: queries[query] for query in shuffled(list(queries), "drawn")[:most]}


def _judging(collection: Collection, split: str, queries: Mapping[str, str]) -> Collection:
    """Return the collection with the judgements of these queries alone, so that one which was not asked does not count as failed."""
    return replace(collection, judgements={split: {query: collection.judgements[split][query] for query in queries}})


def _conditions(
    context: Context, collection: Collection, split: str, queries: tuple[int, int], settings: BenchmarkSettings
) -> dict[str, Any]:
    asked, of_split = queries
    return {
        **cluster_conditions(context.cluster),
        **client_conditions(context.cluster),
        **index_conditions(context.cluster, context.index, context.meta),
        **({"command": settings.command} if settings.command else {}),
        **({"data": settings.data} if settings.data else {}),
        "collection": collection.name,
        "split": split,
        "passages": len(collection.passages),
        "queries": asked,
        **({"queries_of_the_split": of_split, "drawn": "by a hash of their ids"} if asked < of_split else {}),
        "timed_queries": min(settings.timed_queries, asked),
        "rounds": settings.rounds,
        "warm_up": "every query once by every mode (the round for quality)",
        "order": "modes interleaved, query by query, in an order of their own for each query",
        "size": settings.size,
        "depth_of_quality": DEPTH,
        "clients": 1,
        "target_throughput": "none: the next query is sent when the answer is there",
        "options": context.options.model_dump(),
        "load_average_before": load_average(),
    }


def _uses_companion(modes: Mapping[str, Mode]) -> bool:
    return any(name.startswith(SEISMIC_PREFIX) for mode in modes.values() for name in mode.fields)


def _quality_rows(modes: Mapping[str, Mode], benchmark: Benchmark) -> dict[str, dict[str, Any]]:
    """Write each mode's row into the report; return the rows by mode, to be added to."""
    rows = {
        result.system: {"mode": result.system, "label": modes[result.system].label, **quality_json(result)} for result in benchmark.results
    }
    tests = comparisons(benchmark.results)
    for test in tests:
        if test["metric"] == "ndcg@10":
            rows[test["mode"]] |= {"p_value": test["p_value"], "p_holm": test["p_holm"]}
    benchmark.report |= {"modes": list(rows.values()), "comparisons": tests}
    return rows


def _add_times(rows: Mapping[str, dict[str, Any]], timings: Mapping[str, list[Timing]]) -> None:
    for name, own in timings.items():
        rows[name] |= timing_json(own)
        if BASELINE in timings and name != BASELINE:
            rows[name]["p50_ratio"] = median_ratio(own, timings[BASELINE])
            rows[name]["total_p50_ratio"] = median_ratio(own, timings[BASELINE], "total_ms")
