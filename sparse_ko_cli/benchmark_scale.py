"""`sparse-ko benchmark scale`: what search and storage cost as a collection grows."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.markup import escape
from rich.table import Table

from retrieval_ko.collection import Collection, sample_folder
from retrieval_ko.errors import UsageError
from retrieval_ko.terminal import exit_on_error, notes, out, print_json, progress_bar
from sparse_ko_cli.cluster import ClusterOption, JsonOption
from sparse_ko_cli.query_readers import ModelOption, query_reader

if TYPE_CHECKING:
    from rich.progress import Progress

    from opensearch_ko.benchmark.growth import StoredPassage
    from opensearch_ko.cluster import Cluster
    from opensearch_ko.queries import Context

MODES = ("bm25", "sparse-tokens")
POSSIBLE = ("bm25", "bm25-cjk", "sparse", "sparse-tokens", "sparse-two-phase")


def scale(
    cluster: ClusterOption = None,
    index: Annotated[str | None, typer.Option(help="Index whose passages and weights are taken; it stays as it is.")] = None,
    collection: Annotated[
        Path | None,
        typer.Option(help="Whose queries to ask, and without --index whose passages to encode; by default the sample.", metavar="DIR"),
    ] = None,
    split: Annotated[str, typer.Option(help="Which queries.")] = "test",
    sizes: Annotated[str, typer.Option(help="Passages, ascending.")] = "10000,50000,200000",
    modes: Annotated[str, typer.Option(help=f"Some of {', '.join(POSSIBLE)}.")] = ",".join(MODES),
    model: ModelOption = None,
    queries: Annotated[int, typer.Option(min=1, help="At most so many queries are asked.")] = 100,
    rounds: Annotated[int, typer.Option(min=1, help="How often each query is timed at each size.")] = 3,
    size: Annotated[int, typer.Option(min=1, max=100, help="Hits that a request asks for.")] = 100,
    fields: Annotated[bool, typer.Option(help="Measure the bytes of single fields too; copies the index.")] = True,
    folder: Annotated[
        Path | None, typer.Option("--out", metavar="DIR", help="Also write scale.json, report.md, report.html and a figure here.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Fill a temporary index step by step, measure time, bytes, docs/s and postings at each size, and fit lines to them.

    Passages are those of --index with the weights it stores, or those of --collection, encoded here by --model; beyond their number they
    are synthetic (docs/benchmark.md). Queries of sparse-tokens are read by --model, else by the deployed model before the clock starts.

    Example: sparse-ko benchmark scale --cluster --index demo --sizes 10000,50000,200000 --out growth
    """
    with exit_on_error():
        from opensearch_ko.benchmark.scale import measure_growth
        from opensearch_ko.benchmark.scale_folder import check_scale_folder, write_scale
        from opensearch_ko.benchmark.schedule import shuffled
        from opensearch_ko.cluster import connect
        from opensearch_ko.queries import MODES as KNOWN
        from retrieval_ko.evaluation.judging import queries_of
        from retrieval_ko.files import write_json

        wanted = [mode.strip() for mode in modes.split(",") if mode.strip()]
        if unknown := [mode for mode in wanted if mode not in POSSIBLE] or not wanted:
            raise UsageError(f"--modes {modes}: {unknown} can't be grown.", f"Use some of: {','.join(POSSIBLE)}")
        steps = _sizes(sizes)
        if folder:
            check_scale_folder(folder)
        source = Collection.read(collection or sample_folder())
        texts = queries_of(source, split)
        texts = {query: texts[query] for query in shuffled(list(texts), "scale")[:queries]}
        target = connect(cluster)
        if index is None and {"sparse", "sparse-two-phase"} & set(wanted):
            raise UsageError("Without --index no model of the cluster reads queries.", "Use: --modes bm25,sparse-tokens")
        with progress_bar("") as bar:
            show = shown_phases(bar)
            if index:
                context, passages = _of_index(target, index, model, texts, wanted, size, steps[-1])
            else:
                context, passages = _of_collection(target, source, model, size, steps[-1], show)
            report = measure_growth(
                context,
                {name: KNOWN[name] for name in wanted},
                passages,
                texts,
                sizes=steps,
                rounds=rounds,
                fields=fields,
                on_progress=show,
                on_size=lambda so_far: write_json(folder / "scale.json", so_far) if folder else None,
            )
        if folder:
            write_scale(folder, report)
        if as_json:
            print_json(report)
        else:
            out.print(growth_table(report))
            _show_sizing(report)
        if folder:
            notes.print(f"Report: {escape(str(folder / 'report.html'))}", soft_wrap=True)


def growth_table(report: dict[str, Any]) -> Table:
    """Return the sizes that were measured, and the lines through them, as a table for people."""
    names = list(report["sizes"][0]["modes"])
    table = Table(box=None, caption=f"{report['conditions']['real_passages']:,} real passages; base and slope: fitted")
    table.add_column("passages", no_wrap=True)
    for column in ("docs/s", "bytes", *(f"{name}\np50 ms" for name in names), *(f"{name}\npostings" for name in names)):
        table.add_column(column, justify="right", no_wrap=True)
    for row in report["sizes"]:
        times = [f"{row['modes'][name]['service_ms']['p50']:.1f}" for name in names]
        postings = [f"{row['postings'][name]:,.0f}" if name in row["postings"] else "" for name in names]
        table.add_row(f"{row['passages']:,}", f"{row['docs_per_second']:,.0f}", f"{row['bytes_per_document']:,.0f}", *times, *postings)
    if "fits" in report:
        lines = [report["fits"]["service_p50_ms"][name] for name in names]
        table.add_row("fit: base", "", "", *(f"{line['base']:.2f}" for line in lines), *("" for _ in names))
        table.add_row("+ a million", "", "", *(f"{line['per_million']:.2f}" for line in lines), *("" for _ in names))
    return table


def _show_sizing(report: dict[str, Any]) -> None:
    if "sizing" in report:
        plan = report["sizing"]
        known = {mode: milliseconds for mode, milliseconds in plan["service_p50_ms"].items() if milliseconds is not None}
        times = ", ".join(f"{mode} {milliseconds:,.0f} ms" for mode, milliseconds in known.items()) or "not known"
        out.print(
            f"Calculated for {plan['documents']:,} passages: {plan['index_bytes'] / 1e9:,.0f} GB in {plan['shards']} shards, p50 {times} "
            f"with a processor for each shard, {plan['ingest_hours']:,.1f} h of one node to index them (docs/sizing.md)"
        )
    for doubt in report["doubts"]:
        out.print(f"[yellow]{escape(doubt)}[/]", soft_wrap=True)


def _of_index(
    target: Cluster, index: str, model: Path | None, texts: dict[str, str], wanted: list[str], size: int, most: int
) -> tuple[Context, list[StoredPassage]]:
    from opensearch_ko.benchmark.growth import passages_of_index
    from opensearch_ko.benchmark.inspection import query_weights
    from opensearch_ko.queries import open_context
    from retrieval_ko.text import content_terms

    reader = query_reader(model, "sparse-ko benchmark scale --model DIR")
    context = open_context(target, index, content_terms=content_terms, size=size, reader=reader)
    if "sparse-tokens" in wanted and reader is None:  # the deployed model reads them now, so that the clock measures the search alone
        read = query_weights("sparse", context, texts)
        context = replace(context, query_weights={texts[query]: weights for query, weights in read.items()}.__getitem__)
    return context, passages_of_index(target, context.index, most)


def _of_collection(
    target: Cluster, source: Collection, model: Path | None, size: int, most: int, show: Callable[[str, int, int], None]
) -> tuple[Context, list[StoredPassage]]:
    from itertools import islice

    from opensearch_ko.benchmark.growth import passages_of_collection
    from opensearch_ko.encoding import load_encoder
    from opensearch_ko.index_meta import IndexMeta, ModelReference
    from opensearch_ko.queries import Context
    from retrieval_ko.text import content_terms

    reader = query_reader(model, "sparse-ko benchmark scale --model DIR")
    if model is None or reader is None or not model.is_dir():
        raise UsageError("Without --index, --model DIR encodes the collection.", "Name an index that is filled, or a model folder.")
    total = min(most, len(source.passages))
    chosen = islice(source.passages.values(), total)
    passages = passages_of_collection(chosen, load_encoder(model), content_terms, lambda done: show("encode", done, total))
    meta = IndexMeta(encoder=ModelReference(model_id="", name=model.name, version="", fingerprint=""))
    context = Context(cluster=target, index="", meta=meta, content_terms=content_terms, size=size, query_weights=reader.weights)
    return context, passages


def _sizes(text: str) -> list[int]:
    try:
        numbers = [int(part) for part in text.split(",")]
    except ValueError as failure:
        raise UsageError(f"--sizes {text}: not numbers separated by commas.", "For example: --sizes 10000,50000") from failure
    if numbers[0] < 1 or numbers != sorted(set(numbers)):
        raise UsageError(f"--sizes {text}: numbers of passages ascend from 1.", "For example: --sizes 10000,50000")
    return numbers


def shown_phases(bar: Progress) -> Callable[[str, int, int], None]:
    """Return what shows each phase of a measurement as a line of the bar."""
    tasks: dict[str, Any] = {}

    def show(phase: str, done: int, total: int) -> None:
        if phase not in tasks:
            tasks[phase] = bar.add_task(phase, total=total)
        bar.update(tasks[phase], completed=done, total=total)

    return show
