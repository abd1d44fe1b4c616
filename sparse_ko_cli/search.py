"""`sparse-ko search` and `sparse-ko search tune`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, get_args

import typer
from rich.markup import escape
from rich.progress import Progress
from rich.table import Table

from retrieval_ko.errors import UsageError
from retrieval_ko.terminal import exit_on_error, notes, out, print_json, progress_bar
from sparse_ko_cli.cluster import ClusterCommand, ClusterOption, DefaultCommandGroup, JsonOption
from sparse_ko_cli.query_readers import (
    DenseModelOption,
    ModelOption,
    QueryPrefixOption,
    check_query_prefix,
    dense_query_reader,
    query_reader,
)
from sparse_ko_cli.search_options import SearchOptionsOption, search_options

if TYPE_CHECKING:
    from opensearch_ko.queries import SearchAnswer
    from opensearch_ko.queries.tuning import Tuning

SHOWN_TERMS = 12
SHOWN_CHARACTERS = 160


app = typer.Typer(
    cls=DefaultCommandGroup, help="Search an index: sparse-ko search QUERY --index NAME. Tune a hybrid: sparse-ko search tune."
)

FilterOption = Annotated[
    list[str] | None,
    typer.Option(
        "--filter",
        help="Only passages whose metadata say so; several must all hold, values of one field are alternatives.",
        metavar="FIELD=VALUE",
    ),
]


@app.command(cls=ClusterCommand)
def query(
    query: Annotated[str, typer.Argument(help="A question or keywords.")],
    index: Annotated[str, typer.Option(help="Index to search, or an alias.")],
    cluster: ClusterOption = None,
    mode: Annotated[
        str,
        typer.Option(
            help="bm25, sparse, sparse-tokens, seismic, dense, bm25+sparse-rrf, hybrid-bm25-sparse-rrf …; an unknown one lists them all."
        ),
    ] = "sparse",
    size: Annotated[int, typer.Option(min=1, max=10_000, help="How many hits.")] = 10,
    filters: FilterOption = None,
    explain: Annotated[bool, typer.Option("--explain", help="Show which tokens or parts added what to the score.")] = False,
    model: ModelOption = None,
    dense_model: DenseModelOption = None,
    query_prefix: QueryPrefixOption = None,
    weights: Annotated[
        str | None,
        typer.Option(help="Weights of a hybrid's parts, summing to 1; by default the tuned ones, else alike.", metavar="0.3,0.7"),
    ] = None,
    tell: SearchOptionsOption = None,
    as_json: JsonOption = False,
) -> None:
    """Search an index.

    Example: sparse-ko search "전세 보증금 반환" --index demo --mode hybrid-bm25-sparse-minmax --filter law=민법 --explain
    """
    with exit_on_error():
        from opensearch_ko.cluster import connect
        from opensearch_ko.queries import check_query, mode_named, parse_filters, search
        from retrieval_ko.text import content_terms

        check_query(query)
        check_query_prefix(dense_model, query_prefix)
        mode_named(mode)
        wanted = parse_filters(filters or [])
        options = search_options(tell)
        if weights:
            options = options.model_copy(update={"weights": {mode: _weights(weights, mode)}})
        target = connect(cluster)
        answer = search(
            target,
            index,
            query,
            mode,
            content_terms=content_terms,
            size=size,
            filter=wanted,
            terms=explain or as_json,
            reader=query_reader(model, "sparse-ko search --model DIR"),
            query_vector=dense_query_reader(dense_model, "sparse-ko search --dense-model DIR", target, index, query_prefix),
            options=options,
            on_step=lambda step: notes.print(f"  {escape(step)}"),
        )
        if as_json:
            print_json(answer.model_dump())
        else:
            _show_answer(answer, explain)


@app.command(cls=ClusterCommand)
def tune(
    index: Annotated[str, typer.Option(help="Index that holds the collection.")],
    collection: Annotated[Path, typer.Option(help="Collection folder.", metavar="DIR")],
    cluster: ClusterOption = None,
    split: Annotated[str, typer.Option(help="Whose queries choose the weights: never the split that is reported.")] = "dev",
    modes: Annotated[str, typer.Option(help="Parts of the hybrid: two or three of bm25, sparse, dense.")] = "bm25,sparse",
    model: ModelOption = None,
    dense_model: DenseModelOption = None,
    save: Annotated[
        bool, typer.Option("--save", help="Keep each technique's weights as the index's search pipelines; searches use them from then on.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Choose the weights of a hybrid by nDCG@10; writes nothing without --save.

    Example: sparse-ko search tune --index demo --collection data/demo --split dev --modes bm25,sparse
    """
    with exit_on_error():
        from opensearch_ko.cluster import connect
        from opensearch_ko.queries import open_context
        from opensearch_ko.queries.context import Technique
        from opensearch_ko.queries.search_pipelines import search_pipeline_name
        from opensearch_ko.queries.tuning import hybrid_mode, save_tuning, single_rankings, tune_weights
        from retrieval_ko.collection import Collection
        from retrieval_ko.evaluation.judging import queries_of
        from retrieval_ko.text import content_terms

        if split.endswith("test"):
            raise UsageError(
                f"--split {split}: weights that are chosen on the split that is reported are no result.",
                "Choose them on dev and report on test: --split dev",
            )
        techniques: tuple[Technique, ...] = get_args(Technique)
        parts = hybrid_mode([part.strip() for part in modes.split(",") if part.strip()], techniques[0]).parts
        judged = Collection.read(collection)
        queries = queries_of(judged, split)
        target = connect(cluster)
        context = open_context(
            target,
            index,
            content_terms=content_terms,
            reader=query_reader(model, "sparse-ko search tune --model DIR"),
            query_vector=dense_query_reader(dense_model, "sparse-ko search tune --dense-model DIR", target, index),
        )
        with progress_bar("searches") as bar:
            rankings = single_rankings(context, parts, queries, _counting(bar, "asking"))
        lists = [rankings[part] for part in parts]
        with progress_bar("weights") as bar:
            found = [tune_weights(lists, judged, split, technique, on_progress=_counting(bar, technique)) for technique in techniques]
        saved = {}
        if save:
            for tuning in found:
                mode = hybrid_mode(parts, tuning.technique)
                saved[search_pipeline_name(context.index, mode.name)] = save_tuning(context, mode, tuning)
        if as_json:
            rows = [_tuning_row(hybrid_mode(parts, tuning.technique).name, parts, tuning) for tuning in found]
            print_json(
                {"index": context.index, "collection": judged.name, "split": split, "queries": len(queries), "tuned": rows, "saved": saved}
            )
            return
        _show_tuning(parts, found, f"{judged.name}, {split}, {len(queries)} queries")
        for name, written in saved.items():
            out.print(f"{'saved' if written else 'unchanged'}: search pipeline {escape(name)}")


def _counting(bar: Progress, title: str) -> Callable[[int, int], None]:
    task = bar.add_task(title, total=None)
    return lambda done, total: bar.update(task, completed=done, total=total)


def _tuning_row(mode: str, parts: tuple[str, ...], tuning: Tuning) -> dict[str, Any]:
    weights = dict(zip(parts, tuning.weights, strict=True))
    return {"mode": mode, "technique": tuning.technique, "weights": weights, "ndcg@10": tuning.ndcg, "ndcg@10_equal": tuning.ndcg_equal}


def _show_tuning(parts: tuple[str, ...], found: list[Tuning], caption: str) -> None:
    table = Table(caption=caption, box=None, pad_edge=False)
    for column in ("technique", *parts, "nDCG@10", "equal weights"):
        table.add_column(column, justify="left" if column == "technique" else "right")
    best = max(found, key=lambda tuning: tuning.ndcg)
    for tuning in found:
        name = f"[bold]{tuning.technique}[/]" if tuning is best else tuning.technique
        table.add_row(name, *(f"{weight:.1f}" for weight in tuning.weights), f"{tuning.ndcg:.4f}", f"{tuning.ndcg_equal:.4f}")
    out.print(table)


def _weights(text: str, mode: str) -> tuple[float, ...]:
    if not mode.startswith("hybrid-") and "+" not in mode:
        raise UsageError(
            f"--weights {text}: the mode {mode} has no parts.",
            "Weights are for modes of several parts: hybrid-…, and those with a + in their name.",
        )
    try:
        return tuple(float(weight) for weight in text.split(","))
    except ValueError as failure:
        raise UsageError(f"--weights {text}: not numbers separated by commas.", "For example: --weights 0.3,0.7") from failure


def _show_answer(answer: SearchAnswer, explain: bool) -> None:
    if not answer.hits:
        out.print("No hit.")
        return
    table = Table(caption=f"{answer.mode}, {answer.took_ms} ms on the server", box=None, pad_edge=False)
    table.add_column("score", justify="right")
    table.add_column("id", overflow="fold")
    table.add_column("passage", overflow="fold")
    for hit in answer.hits:
        text = " ".join(hit.text.split())
        shown = [f"[bold]{escape(hit.title)}[/]"] if hit.title else []
        shown.append(escape(text if len(text) <= SHOWN_CHARACTERS else f"{text[:SHOWN_CHARACTERS]}…"))
        if explain:
            why = "  ".join(f"{term} {added:.3g}" for term, added in list(hit.terms.items())[:SHOWN_TERMS])
            shown.append(f"[cyan]{escape(why or 'a distance of two vectors: no token added to it')}[/]")
        table.add_row(f"{hit.score:.3f}", escape(hit.id), "\n".join(shown))
    out.print(table)
