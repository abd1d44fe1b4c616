"""`lex-dpr evaluate`: bi-encoders beside BM25, a sparse encoder and their hybrids on a collection, in process and exact."""

from __future__ import annotations

import shlex
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.measure import Measurement
from rich.table import Table

from retrieval_ko.collection import Collection, sample_folder
from retrieval_ko.errors import UsageError
from retrieval_ko.evaluation.baselines import is_baseline, parse_baselines
from retrieval_ko.evaluation.evaluation_folder import check_evaluation_folder, write_evaluation
from retrieval_ko.evaluation.judging import EVALUATION_DEPTH
from retrieval_ko.evaluation.metrics import FIRST_PLACES
from retrieval_ko.term_cache import TermCache
from retrieval_ko.terminal import exit_on_error, notes, out, print_json, progress_bar
from retrieval_ko.terms import available_cores
from sparse_ko_cli.evaluate import CacheOption, comparison_table, named_rows, show_comparisons
from sparse_ko_cli.requirement import need_torch

DEPTHS = "1,3,5,10"
MAIN = ("ndcg@10", "mrr@10", "recall@100", "recall@10", "map@10", "ndcg@5")
"""What is shown first where not all of it fits the terminal."""
_ANY_WIDTH = 10_000
HEADINGS = {"ndcg": "nDCG", "mrr": "MRR", "recall": "R", "map": "MAP"}


def parse_places(text: str) -> list[int]:
    """Return the depths of "1,3,5,10".

    Raises:
        UsageError: a depth that is not measured.
    """
    known = ", ".join(map(str, FIRST_PLACES))
    asked = [part.strip() for part in text.split(",") if part.strip()]
    wrong = [part for part in asked if not part.isdecimal() or int(part) not in FIRST_PLACES]
    if wrong or not asked:
        raise UsageError(f"--k {text}: {wrong[0] if wrong else 'nothing'} is no depth that is measured; known: {known}.")
    return [int(part) for part in dict.fromkeys(asked)]


def evaluate(
    model: Annotated[
        list[str] | None,
        typer.Option(help="A model folder, a name on the hub, or an alias; several are several rows. By default the packaged model."),
    ] = None,
    collection: Annotated[Path | None, typer.Option(help="Collection folder; by default the sample in the package.", metavar="DIR")] = None,
    split: Annotated[str, typer.Option(help="Which judgements to use.")] = "dev",
    places: Annotated[str, typer.Option("--k", help="Depths of nDCG, MRR, recall and MAP that are shown.")] = DEPTHS,
    no_template: Annotated[
        bool, typer.Option("--no-template", help="Read texts as they are, whatever the model was trained with.")
    ] = False,
    ablate_template: Annotated[
        bool, typer.Option("--ablate-template", help="Also measure each model without its template, and test the difference.")
    ] = False,
    by_type: Annotated[bool, typer.Option("--by-type", help="Also nDCG@10 by the type of the document that answers.")] = False,
    group: Annotated[list[str] | None, typer.Option(help="Also nDCG@10 by this key of the queries' metadata.", metavar="KEY")] = None,
    sparse: Annotated[
        Path | None, typer.Option(help="A sparse encoder's folder: its row, and hybrids with it and with BM25.", metavar="DIR")
    ] = None,
    cache: CacheOption = None,
    hybrid: Annotated[bool, typer.Option("--hybrid", help="Hybrids with BM25, by reciprocal rank; --sparse includes them.")] = False,
    bm25: Annotated[str, typer.Option(help="BM25's rows: kiwi, bigram, whitespace, joined by commas; or none.")] = "kiwi,bigram,whitespace",
    folder: Annotated[
        Path | None, typer.Option("--out", metavar="DIR", help="Also write evaluation.json, report.md, figures and per-query values here.")
    ] = None,
    term_cache: Annotated[bool, typer.Option(help="Keep Kiwi's analyses on disk and use those that are there.")] = True,
    workers: Annotated[int | None, typer.Option(min=1, help="Processes for Kiwi, threads for search; by default all cores.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Compare bi-encoders with each other and with BM25 on a collection, in process, by exact search.

    Example: lex-dpr evaluate --model runs/dense/model --collection my-collection --split dev --by-type
    """
    with exit_on_error(), ExitStack() as stack:
        depths = parse_places(places)
        if no_template and ablate_template:
            raise UsageError(
                "--no-template leaves the template out, --ablate-template compares with and without it.", "Choose one of them."
            )
        if cache and sparse is None:
            raise UsageError("--cache keeps a sparse encoder's weights.", "Name the encoder: --sparse DIR")
        baselines = parse_baselines(bm25)
        need_torch("lex-dpr evaluate")
        from dense_ko.evaluation.evaluating import EvaluationSettings, evaluate_models
        from dense_ko.packaged import packaged_model
        from sparse_ko_cli.hybrid_rows import HybridRows

        if folder:
            check_evaluation_folder(folder)
        source = collection or sample_folder()
        data = Collection.read(source)
        data.relevant(split)
        cores = workers or available_cores()
        settings = EvaluationSettings(
            split=split,
            baselines=baselines,
            marks=group or [],
            by_type=by_type,
            without_template=no_template,
            ablate_template=ablate_template,
            workers=cores,
            command=shlex.join(["lex-dpr", *sys.argv[1:]]),
        )
        fused = hybrid or sparse is not None
        kiwi = fused or any(baseline.tokenization.needs_kiwi for baseline in baselines)
        store = stack.enter_context(TermCache()) if term_cache and kiwi else None
        mixing = HybridRows(data, split, sparse, depth=EVALUATION_DEPTH, workers=cores, cache=store, kept_folder=cache) if fused else None
        models = {name: str(path) for name, path in named_rows([Path(name) for name in model or [str(packaged_model())]], "dense").items()}
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
            write_evaluation(folder, found.report, found.results, {}, {})
        if as_json:
            print_json(found.report)
        else:
            _show(found.report, depths, deep=places == DEPTHS)
        if folder:
            notes.print(f"Report: {escape(str(folder / 'report.md'))}", soft_wrap=True)


def fitting(report: dict[str, Any], metrics: dict[str, str], console: Console) -> dict[str, str]:
    """Return the metrics that a terminal has room for, in their order, at least one: the main ones first.

    Args:
        report: what is shown.
        metrics: metric → heading.
        console: whose width counts.
    """
    by_weight = sorted(metrics, key=lambda name: MAIN.index(name) if name in MAIN else len(MAIN))
    for count in range(len(by_weight), 1, -1):
        shown = {name: metrics[name] for name in metrics if name in by_weight[:count]}
        if Measurement.get(console, console.options.update(max_width=_ANY_WIDTH), comparison_table(report, shown)).maximum <= console.width:
            return shown
    return {by_weight[0]: metrics[by_weight[0]]}


def _show(report: dict[str, Any], depths: list[int], *, deep: bool) -> None:
    metrics = {f"{name}@{depth}": f"{words}@{depth}" for name, words in HEADINGS.items() for depth in depths}
    metrics |= {"recall@100": "R@100"} if deep else {}
    shown = fitting(report, metrics, out)
    out.print(comparison_table(report, shown))
    if rest := [heading for name, heading in metrics.items() if name not in shown]:
        notes.print(f"Not shown for want of room: {', '.join(rest)}. All of it: --json, or evaluation.json of --out; fewer depths: --k 10")
    show_comparisons(report)
    if sizes := report["groups"].get("type"):
        table = Table("nDCG@10 by type", *(f"{escape(name)} ({size})" for name, size in sizes.items()), box=None)
        for row in report["systems"]:
            table.add_row(escape(row["system"]), *(f"{row['groups']['type'][name]:.3f}" for name in sizes))
        out.print(table)
    for row in report.get("template_ablation", []):
        out.print(
            f"{escape(row['system'])}: nDCG@10 {row['with']:.3f} with the template {row['template']}, {row['without']:.3f} without "
            f"({row['difference']:+.3f}, p {row['p_value']:.4f})"
        )
    for row in report["systems"]:
        if is_baseline(row["system"]) or "cut" not in row:
            continue
        times, cut = row["latency"], row["cut"]
        out.print(
            f"{escape(row['system'])}: {row['dimensions']} dimensions, template {row['template']}; cut {cut['passages']:.1%} of the "
            f"passages and {cut['queries']:.1%} of the queries; a query is read in {times['encode_ms']['p50']:.1f} ms and searched in "
            f"{times['search_ms']['p50']:.1f} ms (medians)"
        )
