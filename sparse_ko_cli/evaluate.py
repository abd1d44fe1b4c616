"""`sparse-ko evaluate`: encoders beside BM25 on a collection, in process and exact."""

from __future__ import annotations

import shlex
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.markup import escape
from rich.table import Table

from retrieval_ko.collection import Collection, read_synonyms, sample_folder
from retrieval_ko.errors import UsageError
from retrieval_ko.evaluation.baselines import is_baseline, parse_baselines
from retrieval_ko.evaluation.earlier_runs import compare_evaluations
from retrieval_ko.evaluation.evaluation_folder import check_evaluation_folder, write_evaluation
from retrieval_ko.evaluation.judging import EVALUATION_DEPTH
from retrieval_ko.term_cache import TermCache
from retrieval_ko.terminal import exit_on_error, notes, out, print_json, progress_bar
from retrieval_ko.terms import available_cores
from sparse_ko.packaged import PACKAGED, has_packaged_model, packaged_model
from sparse_ko_cli.requirement import need_torch

METRICS = {"ndcg@10": "nDCG@10", "mrr@10": "MRR@10", "recall@100": "R@100"}
MORE_METRICS = {"map@100": "MAP@100", "recall@1000": "R@1000"}
"""Where the terminal is wide enough."""
_WIDE_COLUMNS = 100
CacheOption = Annotated[
    Path | None,
    typer.Option(
        "--cache", help="Keep a sparse encoder's weights of the passages here; a second run with the same model is quick.", metavar="DIR"
    ),
]


def system_name(model: Path, kind: str = "sparse") -> str:
    """Return what a model folder is called in a table: its run's name, else the folder's, after its kind; the packaged one `default`."""
    if model.name == PACKAGED.name:
        return f"{kind}-default"
    return f"{kind}-{model.resolve().parent.name if model.name == 'model' else model.name}"


def comparison_table(report: dict[str, Any], asked_for: dict[str, str] | None = None) -> Table:
    """Return the comparison as a table for people; `asked_for` is metric → heading, else those that fit the terminal."""
    asked = f"{report['collection']}, {report['split']}: {report['queries']} queries, {report['passages']} passages"
    table = Table(caption=f"{asked}; p: nDCG@10 against BM25, p syn: against BM25 with the synonym pairs", box=None)
    shown = asked_for or METRICS | (MORE_METRICS if out.width >= _WIDE_COLUMNS else {})
    metrics = [name for name in shown if all(name in row for row in report["systems"])]
    dims = {"doc_dims": "d dims", "query_dims": "q dims"} if any("doc_dims" in row for row in report["systems"]) else {}
    for column in ("system", *(shown[name] for name in metrics), *dims.values(), "p", "p syn"):
        table.add_column(column, justify="left" if column == "system" else "right", no_wrap=True)
    for row in report["systems"]:
        sparsity = [f"{row[name]:.0f}" if name in row else "" for name in dims]
        tests = [f"{row[name]:.3f}" if name in row else "" for name in ("p_value", "p_value_synonyms")]
        table.add_row(escape(row["system"]), *(f"{row[name]:.3f}" for name in metrics), *sparsity, *tests)
    return table


def evaluate(
    model: Annotated[
        list[Path] | None,
        typer.Option(help="A model folder; several are several rows. By default the model that comes with the package.", metavar="DIR"),
    ] = None,
    no_model: Annotated[bool, typer.Option("--no-model", help="BM25 alone, where a packaged model would be measured too.")] = False,
    collection: Annotated[Path | None, typer.Option(help="Collection folder; by default the sample in the package.", metavar="DIR")] = None,
    split: Annotated[str, typer.Option(help="Which judgements to use.")] = "dev",
    folder: Annotated[
        Path | None, typer.Option("--out", metavar="DIR", help="Also write evaluation.json, report.md, figures and per-query values here.")
    ] = None,
    bm25: Annotated[str, typer.Option(help="BM25's rows: kiwi, bigram, whitespace, joined by commas; or none.")] = "kiwi,bigram,whitespace",
    hybrid: Annotated[bool, typer.Option("--hybrid", help="Also each encoder fused with BM25, by reciprocal rank.")] = False,
    synonyms: Annotated[
        Path | None, typer.Option(help="Test list of Korean–English terms: synonyms-test.jsonl of `data synonyms build`.", metavar="FILE")
    ] = None,
    group: Annotated[list[str] | None, typer.Option(help="Also nDCG@10 by this key of the queries' metadata.", metavar="KEY")] = None,
    cache: CacheOption = None,
    term_cache: Annotated[bool, typer.Option(help="Keep Kiwi's analyses on disk and use those that are there.")] = True,
    workers: Annotated[int | None, typer.Option(min=1, help="Processes for Kiwi, threads for search; by default all cores.")] = None,
    compare: Annotated[
        tuple[Path, Path] | None,
        typer.Option(help="Instead: is the second evaluation better than the first? Names two evaluation.json.", metavar="OLD NEW"),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Compare models with each other and with BM25 on a collection, in process, by exact search.

    Without --model the packaged model is measured beside BM25; an installation without one measures BM25 alone.
    What each number means: docs/evaluation.md

    Example: sparse-ko evaluate --model runs/demo/model --split test --out evaluations/demo
    """
    with exit_on_error(), ExitStack() as stack:
        if compare:
            _compare(compare, as_json=as_json)
            return
        models = named_rows(_asked_models(model or [], no_model=no_model))
        if models:
            need_torch("sparse-ko evaluate")
        from sparse_ko.evaluation.evaluating import EvaluationSettings, evaluate_models

        baselines = parse_baselines(bm25)
        if not models and not baselines:
            raise UsageError("There is nothing to measure: no --model, and --bm25 none.")
        if folder:
            check_evaluation_folder(folder)
        source = collection or sample_folder()
        data = Collection.read(source)
        data.relevant(split)
        settings = EvaluationSettings(
            split=split,
            baselines=baselines,
            marks=group or [],
            synonyms=read_synonyms(synonyms) if synonyms else [],
            workers=workers or available_cores(),
            kept_folder=cache,
            command=shlex.join(["sparse-ko", *sys.argv[1:]]),
        )
        kiwi = hybrid or any(b.tokenization.needs_kiwi for b in baselines)
        store = stack.enter_context(TermCache()) if term_cache and kiwi else None
        mixing = None
        if hybrid and models:
            from sparse_ko_cli.hybrid_rows import HybridRows

            mixing = HybridRows(data, split, None, depth=EVALUATION_DEPTH, workers=settings.workers, cache=store)
        with progress_bar("passages") as bar:
            tasks: dict[str, Any] = {}

            def show(what: str, done: int, total: int) -> None:
                if what not in tasks:
                    tasks[what] = bar.add_task(escape(what), total=total)
                bar.update(tasks[what], completed=done)

            found = evaluate_models(
                models, source, data, settings, terms=store, on_progress=show, further_rows=mixing.of if mixing else None
            )
        if folder:
            write_evaluation(folder, found.report, found.results, found.dimensions, found.synonym_lines)
        if as_json:
            print_json(found.report)
        else:
            out.print(comparison_table(found.report))
            show_comparisons(found.report)
            _show_encoders(found.report)
        if folder:
            notes.print(f"Report: {escape(str(folder / 'report.md'))}", soft_wrap=True)


def _asked_models(named: list[Path], *, no_model: bool) -> list[Path]:
    if named and no_model:
        raise UsageError("--no-model measures BM25 alone, and --model names one.", "Choose one of them.")
    if named or no_model:
        return named
    if has_packaged_model():
        return [packaged_model()]
    notes.print("This installation comes without a model, and --model names none: BM25 alone is measured.")
    return []


def named_rows(models: list[Path], kind: str = "sparse") -> dict[str, Path]:
    """Return the folders by the name of their row; a name that is used before gets a number."""
    named: dict[str, Path] = {}
    for model in models:
        name = base = system_name(model, kind)
        number = 1
        while name in named:
            number += 1
            name = f"{base}-{number}"
        named[name] = model
    return named


def show_comparisons(report: dict[str, Any]) -> None:
    """Print the tests of an evaluation, a line each."""
    for row in report["comparisons"]:
        ratio = f", {row['relative']:.2f} ×" if "relative" in row else ""
        out.print(
            f"{escape(row['first'])} against {escape(row['second'])}: nDCG@10 {row['difference']:+.3f}{ratio}, p {row['p_holm']:.4f} (Holm)"
        )


def _show_encoders(report: dict[str, Any]) -> None:
    for row in report["systems"]:
        if is_baseline(row["system"]) or "latency" not in row:
            continue
        times, shares = row["latency"], row["function_share"]
        low, high = row["ndcg@10_interval"]
        out.print(
            f"{escape(row['system'])}: nDCG@10 95 % {low:.3f}–{high:.3f}; FLOPS {row['flops']:.2f}; "
            f"{shares['passages']['share']:.1%} of the passages' weight on particles and endings; a query is read in "
            f"{times['encode_ms']['p50']:.1f} ms and searched in {times['search_ms']['p50']:.1f} ms (medians)"
        )
    for system, facts in report.get("synonyms", {}).items():
        out.print(
            f"{escape(system)}, {facts['pairs']} term pairs: cosine {facts['cosine']:.3f} (control {facts['control_cosine']:.3f}), "
            f"Korean → English MRR {facts['korean_to_english']['mrr']:.3f}, back {facts['english_to_korean']['mrr']:.3f}"
        )


def _compare(files: tuple[Path, Path], *, as_json: bool) -> None:
    report = compare_evaluations(*files)
    if as_json:
        print_json(report)
        return
    table = Table("from", "to", "nDCG@10", "R@10", "ratio", "p", "p Holm", "improved", box=None)
    for row in report["comparisons"]:
        cells = [f"{row[metric]:+.4f}" for metric in ("ndcg@10", "recall@10")]
        ratio = f"{row['relative']:.3f} ×" if "relative" in row else ""
        tests = [f"{row[name]:.4f}" for name in ("p_value", "p_holm")]
        table.add_row(escape(row["first"]), escape(row["second"]), *cells, ratio, *tests, "yes" if row["improved"] else "no")
    out.print(table)
