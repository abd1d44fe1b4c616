"""`sparse-ko benchmark`: every way to search an index, on the same node in the same run."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer
from rich.markup import escape
from rich.table import Table

from retrieval_ko.collection import Collection, sample_folder
from retrieval_ko.errors import RetrievalError, UsageError
from retrieval_ko.files import read_json
from retrieval_ko.terminal import exit_on_error, notes, out, print_json, progress_bar
from sparse_ko_cli.benchmark_scale import scale, shown_phases
from sparse_ko_cli.cluster import ClusterCommand, ClusterOption, DefaultCommandGroup, JsonOption
from sparse_ko_cli.query_readers import DenseModelOption, ModelOption, dense_query_reader, query_reader
from sparse_ko_cli.search_options import SearchOptionsOption, search_options

if TYPE_CHECKING:
    from opensearch_ko.benchmark.measure import Benchmark
    from opensearch_ko.benchmark.settings import BenchmarkSettings
    from opensearch_ko.cluster import Cluster
    from opensearch_ko.queries import QueryReader


_WIDE_COLUMNS = 100


app = typer.Typer(
    cls=DefaultCommandGroup, help="Measure the ways to search an index: sparse-ko benchmark --index NAME; its growth: … scale."
)


def benchmark_table(report: dict[str, Any]) -> Table:
    """Return a benchmark as a table for people."""
    conditions = report["conditions"]
    segments = f"{conditions['segments']} segment{'' if conditions['segments'] == 1 else 's'}"
    table = Table(
        box=None,
        caption=f"OpenSearch {conditions['opensearch']}, {conditions['passages']} passages, {_asked(conditions)} {conditions['split']} "
        f"queries; timed: {conditions['timed_queries']} × {conditions['rounds']} rounds, one client {conditions['client']}, {segments}. "
        "nDCG at 10; p: its difference from bm25, Holm; enc: reading the query on the client, p50; p50, p90: service; milliseconds; "
        "×: p50 over bm25's; bytes: of a passage in the mode's fields",
    )
    columns: dict[str, Callable[[dict[str, Any]], str]] = {
        "mode": lambda row: escape(row["mode"]),
        "nDCG": lambda row: f"{row['ndcg@10']:.3f}",
        "R@100": lambda row: f"{row['recall@100']:.3f}",
        "p": lambda row: f"{row['p_holm']:.3f}" if "p_holm" in row else "",
        "enc": lambda row: _ms(row["encode_ms"], "p50"),
        "p50": lambda row: _ms(row["service_ms"], "p50"),
        "p90": lambda row: _ms(row["service_ms"], "p90"),
        "×": lambda row: f"{row['p50_ratio']['ratio']:.2f}" if "p50_ratio" in row else "",
        "bytes": lambda row: f"{row['bytes_per_document']:.0f}" if "bytes_per_document" in row else "",
    }
    if out.width >= _WIDE_COLUMNS:
        columns |= {"MRR@10": lambda row: f"{row['mrr@10']:.3f}", "p99": lambda row: _ms(row["service_ms"], "p99")}
    for name in columns:
        table.add_column(name, justify="left" if name == "mode" else "right", no_wrap=True)
    for row in report["modes"]:
        table.add_row(*(shown(row) for shown in columns.values()))
    return table


def _asked(conditions: dict[str, Any]) -> str:
    drawn = f" of {conditions['queries_of_the_split']:,}" if "queries_of_the_split" in conditions else ""
    return f"{conditions['queries']:,}{drawn}"


def measure(
    cluster: Cluster,
    index: str,
    collection: Collection,
    split: str,
    settings: BenchmarkSettings,
    *,
    folder: Path | None = None,
    reader: QueryReader | None = None,
    query_vector: Callable[[str], list[float]] | None = None,
    ingest: dict[str, Any] | None = None,
) -> Benchmark:
    """Run a benchmark with a progress bar; what is measured is written to `folder` phase by phase."""
    from opensearch_ko.benchmark.folder import write_progress, write_reports
    from opensearch_ko.benchmark.measure import run_benchmark

    with progress_bar("") as bar:
        benchmark = run_benchmark(
            cluster,
            index,
            collection,
            split,
            settings,
            reader=reader,
            query_vector=query_vector,
            ingest=ingest,
            on_progress=shown_phases(bar),
            on_phase=lambda so_far: write_progress(folder, so_far) if folder else None,
        )
    if folder:
        write_reports(folder, benchmark, f"{collection.name}, {split}: search in OpenSearch {benchmark.report['conditions']['opensearch']}")
    return benchmark


@app.command(cls=ClusterCommand)
def run(
    index: Annotated[str, typer.Option(help="Index that holds the collection.")],
    cluster: ClusterOption = None,
    collection: Annotated[Path | None, typer.Option(help="Collection folder; by default the sample.", metavar="DIR")] = None,
    split: Annotated[str, typer.Option(help="Whose queries to ask.")] = "test",
    modes: Annotated[str, typer.Option(help="Modes, separated by commas; all: every one that can run on this index.")] = "bm25,sparse",
    folder: Annotated[
        Path | None, typer.Option("--out", metavar="DIR", help="Also write benchmark.json, report.md, report.html and figures here.")
    ] = None,
    model: ModelOption = None,
    dense_model: DenseModelOption = None,
    queries: Annotated[
        int | None, typer.Option(min=1, help="Ask at most so many queries, drawn by a hash of their ids; by default all of the split.")
    ] = None,
    rounds: Annotated[int, typer.Option(min=1, help="How often each timed query is asked by each mode.")] = 3,
    size: Annotated[int, typer.Option(min=1, max=100, help="Hits that a timed request asks for.")] = 100,
    timed_queries: Annotated[int, typer.Option(min=1, help="At most so many of them are timed; quality is that of all.")] = 300,
    clients: Annotated[str, typer.Option(help="Sweep: so many clients at once, e.g. 1,2,4,8; none: no sweep.")] = "none",
    sweep_seconds: Annotated[float, typer.Option(min=0.1, help="How long each step of the sweep lasts.")] = 5.0,
    sizes: Annotated[bool, typer.Option(help="Measure bytes; copies the index's fields one after the other.")] = True,
    incomplete: Annotated[bool, typer.Option("--incomplete", help="Measure though the index lacks passages of the collection.")] = False,
    fill: Annotated[
        Literal["cluster", "client"] | None,
        typer.Option(help="First fill the index with the collection, encoded in the cluster or here by --model, and say how fast."),
    ] = None,
    checked_queries: Annotated[
        int, typer.Option(min=0, help="Queries whose rankings are worked out again here; reads the whole index, 0 leaves it out.")
    ] = 50,
    tell: SearchOptionsOption = None,
    ingest_report: Annotated[
        Path | None, typer.Option(help="Take docs/s from what `sparse-ko index --json` printed.", metavar="FILE")
    ] = None,
    gate: Annotated[bool, typer.Option("--gate", help="Exit 1 unless doc-only p50 ≤ 1.5 × BM25's and nDCG@10 ≥ the floor.")] = False,
    floor: Annotated[float | None, typer.Option(help="Of --gate: the lowest nDCG@10; by default BM25's.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Measure quality, time, throughput and size of every way to search an index.

    What each number means: docs/benchmark.md. How cost grows with the collection: sparse-ko benchmark scale --help

    Example: sparse-ko benchmark --cluster --index demo --modes bm25,sparse --clients 1,2,4,8 --out report
    """
    with exit_on_error():
        from opensearch_ko.benchmark.folder import check_benchmark_folder
        from opensearch_ko.benchmark.gate import check_gate
        from opensearch_ko.benchmark.gate import gate as judge_gate
        from opensearch_ko.benchmark.measure import ALL
        from opensearch_ko.benchmark.settings import BenchmarkSettings
        from opensearch_ko.cluster import connect
        from opensearch_ko.indexes import read_meta
        from retrieval_ko.evaluation.identity import data_hashes

        settings = BenchmarkSettings(
            command=shlex.join(["sparse-ko", *sys.argv[1:]]),
            modes=tuple(mode.strip() for mode in modes.split(",") if mode.strip()),
            queries=queries,
            rounds=rounds,
            size=size,
            timed_queries=timed_queries,
            sizes=sizes,
            checked_queries=checked_queries,
            options=search_options(tell),
            incomplete=incomplete,
            clients=_clients(clients),
            sweep_seconds=sweep_seconds,
        )
        if fill and ingest_report:
            raise UsageError("--fill measures docs/s itself, so --ingest-report has nothing to add.")
        if folder:
            check_benchmark_folder(folder)
        place = collection or sample_folder()
        target, source = connect(cluster), Collection.read(place)
        source.relevant(split)
        settings = settings.model_copy(update={"data": data_hashes(place, source, split)})
        if gate and settings.modes != (ALL,) and (meta := read_meta(target, index)) is not None:
            check_gate(meta.form, settings.modes)
        ingest = _filled(target, index, source, fill, model, dense_model) if fill else _ingest(ingest_report)
        measured = measure(
            target,
            index,
            source,
            split,
            settings,
            folder=folder,
            reader=query_reader(model, "sparse-ko benchmark --model DIR"),
            query_vector=dense_query_reader(dense_model, "sparse-ko benchmark --dense-model DIR", target, index),
            ingest=ingest,
        )
        report = measured.report
        verdict = judge_gate(report, floor) if gate else None
        if as_json:
            print_json(report | ({"gate": verdict} if verdict else {}))
        else:
            _show(report)
            if verdict:
                _show_gate(verdict)
        if folder:
            notes.print(f"Report: {escape(str(folder / 'report.html'))}", soft_wrap=True)
        if verdict and not verdict["passed"]:
            raise SystemExit(1)


app.command(cls=ClusterCommand)(scale)


def _clients(text: str) -> tuple[int, ...]:
    if text == "none":
        return ()
    try:
        numbers = tuple(int(part) for part in text.split(","))
    except ValueError as failure:
        raise UsageError(f"--clients {text}: not numbers separated by commas.", "For example: --clients 1,2,4,8") from failure
    if any(number < 1 for number in numbers) or list(numbers) != sorted(set(numbers)):
        raise UsageError(f"--clients {text}: numbers of clients ascend from 1.", "For example: --clients 1,2,4,8")
    return numbers


def _filled(
    cluster: Cluster, index: str, collection: Collection, encode: Literal["cluster", "client"], model: Path | None, dense: Path | None
) -> dict[str, Any]:
    from opensearch_ko.encoding import load_encoder
    from opensearch_ko.indexes import read_meta
    from opensearch_ko.ingest import index_collection
    from retrieval_ko.terms import available_cores

    if encode == "client" and model is None:
        raise UsageError("--fill client needs the model that encodes here.", "Name it: --model DIR")
    encoder = load_encoder(model, dense, meta=read_meta(cluster, index)) if encode == "client" and model else None
    passages = collection.passages
    with progress_bar("passages") as bar:
        task = bar.add_task("filling", total=len(passages))
        report = index_collection(
            cluster,
            index,
            passages.values(),
            workers=available_cores(),
            encode=encode,
            encoder=encoder,
            on_progress=lambda done: bar.update(task, completed=done),
        )
    if report.failed:
        raise RetrievalError(f"{report.failed} passages were refused; why: {report.failures}", "Mend them, or fill the index first.")
    figures = {name: value for name, value in asdict(report).items() if isinstance(value, int | float)}
    return figures | {"encoded": "in the cluster" if encode == "cluster" else "on the client"}


def _ingest(file: Path | None) -> dict[str, Any] | None:
    if file is None:
        return None
    report = read_json(file)
    if not isinstance(report, dict) or "docs_per_second" not in report:
        raise UsageError(f"{file} is no report of an ingest.", "Write one with: sparse-ko index … --json > FILE")
    return report


def _show(report: dict[str, Any]) -> None:
    from opensearch_ko.benchmark.doubts import by_reason

    out.print(benchmark_table(report))
    for mode, check in report.get("engine_check", {}).items():
        if "skipped" in check:
            out.print(f"engine check, {mode}: not done, {check['skipped']}")
        else:
            out.print(
                f"engine check, {mode}: {check['equal']} of {check['queries']} queries equal, "
                f"largest difference {check['largest_difference']:.1e}"
            )
    for row in report.get("approximation", ()):
        out.print(f"{row['mode']} finds {row['recall@10']:.1%} of {row['exact']}'s first 10, {row['recall@100']:.1%} of its first 100")
    for mode, counted in report.get("postings", {}).items():
        out.print(f"{mode}: {counted['mean']:,.0f} postings a query, {counted['terms']:.1f} terms")
    for mode, steps in report.get("sweep", {}).items():
        reached = "  ".join(f"{step['clients']}: {step['qps']:.0f}" for step in steps)
        failed = f"  ({steps[-1]['error_rate']:.2%} failed)" if steps[-1]["errors"] else ""
        out.print(f"{mode}, queries/s by clients  {reached}{failed}")
    for why, modes in by_reason(report.get("left_out", {})):
        out.print(f"[dim]not measured: {', '.join(modes)}: {escape(why)}[/]", soft_wrap=True)
    for doubt in report.get("doubts", ()):
        out.print(f"[yellow]{escape(doubt)}[/]", soft_wrap=True)


def _ms(values: dict[str, float], share: str) -> str:
    return f"{values[share]:.1f}" if share in values else ""


def _show_gate(verdict: dict[str, Any]) -> None:
    for check in verdict["checks"]:
        mark = "[green]pass[/]" if check["passed"] else "[bold red]fail[/]"
        out.print(f"{mark}  {check['mode']}: {check['what']} {check['value']:.3f}, limit {check['limit']:.3f}")
