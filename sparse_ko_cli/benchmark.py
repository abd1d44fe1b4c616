"""`sparse-ko benchmark`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table

from retrieval_ko.collection import Collection, sample_folder
from retrieval_ko.errors import UsageError
from retrieval_ko.evaluation.significance import paired_p_value
from retrieval_ko.files import write_json
from retrieval_ko.terminal import exit_on_error, out, print_json, progress_bar
from sparse_ko_cli.cluster import ClusterOption, JsonOption


def benchmark_table(report: dict[str, Any]) -> Table:
    """Return a benchmark as a table for people."""
    conditions = report["conditions"]
    table = Table(
        box=None,
        caption=f"OpenSearch {conditions['opensearch']}, {conditions['passages']} passages, {conditions['queries']} {conditions['split']} "
        f"queries × {conditions['rounds']} rounds, 1 client on the same machine, {conditions['segments']} segment",
    )
    for column in ("mode", "nDCG@10", "MRR@10", "R@100", "p50 ms", "p90 ms", "encode ms", "bytes/doc"):
        table.add_column(column, justify="left" if column == "mode" else "right")
    for row in report["modes"]:
        quality = [f"{row[name]:.3f}" for name in ("ndcg@10", "mrr@10", "recall@100")]
        times = [f"{row['service_ms'][share]:.1f}" for share in ("p50", "p90")]
        table.add_row(row["mode"], *quality, *times, f"{row['encode_ms']:.1f}", f"{row['bytes_per_document']:.0f}")
    return table


def run(
    cluster: str | None, index: str, collection: Collection, split: str, modes: list[str]
) -> tuple[dict[str, Any], dict[str, list[float]]]:
    """Run a benchmark with a progress bar; return the report and each mode's service times in milliseconds."""
    from opensearch_ko.benchmark.measure import run_benchmark
    from opensearch_ko.cluster import connect

    with progress_bar("requests") as bar:
        task = bar.add_task("measuring", total=None)
        conditions, results = run_benchmark(
            connect(cluster), index, collection, split, modes, lambda done, total: bar.update(task, completed=done, total=total)
        )
    rows = [result.as_json() for result in results]
    by_mode = {result.quality.system: result.quality.scores.by_query["ndcg@10"] for result in results}
    for row in rows:
        if row["mode"] != "bm25" and "bm25" in by_mode:
            row["p_value"] = round(paired_p_value(by_mode[row["mode"]], by_mode["bm25"]), 5)
    times = {result.quality.system: [timing.service_ms for timing in result.timings] for result in results}
    return {"conditions": conditions, "modes": rows}, times


def benchmark(
    index: Annotated[str, typer.Option(help="Index that holds the collection.")],
    cluster: ClusterOption = None,
    collection: Annotated[Path | None, typer.Option(help="Collection folder; by default the sample.", metavar="DIR")] = None,
    split: Annotated[str, typer.Option(help="Whose queries to ask.")] = "test",
    modes: Annotated[str, typer.Option(help="Modes, separated by commas.")] = "bm25,sparse",
    folder: Annotated[Path | None, typer.Option("--out", metavar="DIR", help="Also write benchmark.json here.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Measure quality, latency and size of the retrieval modes of an index.

    Example: sparse-ko benchmark --cluster --index demo --modes bm25,sparse --out report
    """
    with exit_on_error():
        from opensearch_ko.benchmark.measure import MODES

        wanted = [mode.strip() for mode in modes.split(",") if mode.strip()]
        if unknown := [mode for mode in wanted if mode not in MODES] or not wanted:
            raise UsageError(f"--modes {modes}: {unknown} is unknown.", f"Use some of: {','.join(MODES)}")
        report, _ = run(cluster, index, Collection.read(collection or sample_folder()), split, wanted)
        if folder:
            write_json(folder / "benchmark.json", report)
        if as_json:
            print_json(report)
        else:
            out.print(benchmark_table(report))
