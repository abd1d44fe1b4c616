"""`sparse-ko export`: a model folder as the zip that ML Commons registers, and `export check` for zips of anybody."""

from __future__ import annotations

from dataclasses import asdict
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer
from rich.markup import escape
from rich.table import Table

from retrieval_ko.errors import UsageError
from retrieval_ko.terminal import exit_on_error, notes, out, print_json
from sparse_ko_cli.requirement import need_torch

if TYPE_CHECKING:
    from opensearch_ko.export import ModelArchive
    from sparse_ko.vocabulary.findings import Finding

app = typer.Typer(invoke_without_command=True, no_args_is_help=True)


class Field(StrEnum):
    """A type of field that weights go into; Typer takes no list of literals."""

    RANK_FEATURES = "rank_features"
    SPARSE_VECTOR = "sparse_vector"


JsonOption = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]


@app.callback()
def export(
    context: typer.Context,
    model: Annotated[
        Path | None, typer.Option(help="A model folder: ours, or a sparse or dense one of sentence-transformers.", metavar="DIR")
    ] = None,
    folder: Annotated[Path | None, typer.Option("--out", metavar="DIR", help="Folder for the zip.")] = None,
    model_format: Annotated[Literal["torchscript", "onnx"], typer.Option("--format", help="How the graph is written.")] = "torchscript",
    precision: Annotated[Literal["fp32", "int8"], typer.Option(help="Of the weights; int8 needs --format onnx.")] = "fp32",
    prune: Annotated[
        str, typer.Option(help="What the graph drops of a text's weights, such as max_ratio:0.1 or top_k:120.", metavar="TYPE:RATIO")
    ] = "none",
    field: Annotated[
        list[Field] | None, typer.Option(help="Type of field that the weights must fit; may be repeated. By default rank_features.")
    ] = None,
    name: Annotated[str | None, typer.Option(help="Name on the cluster; by default the run's.")] = None,
    collection: Annotated[
        Path | None, typer.Option(help="Measure int8's nDCG@10 on the dev split of this collection, beside that of fp32.", metavar="DIR")
    ] = None,
    query_prefix: Annotated[
        str | None,
        typer.Option(
            help="Dense models: what the node puts before queries. By default the folder's template, by training, prompts or name."
        ),
    ] = None,
    passage_prefix: Annotated[str | None, typer.Option(help="Dense models: the same before passages.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Write a model as the zip that ML Commons registers, after checking that it answers as the model does.

    A doc-only or lexical-floor model gets a second zip for its queries. A dense folder is recognised and becomes a TEXT_EMBEDDING zip.

    Example: sparse-ko export --model runs/demo/model --format onnx --precision int8 --out exported
    """
    if context.invoked_subcommand is not None:
        return
    with exit_on_error():
        if model is None or folder is None:
            raise UsageError(f"Missing: {'--model DIR' if model is None else '--out DIR'}.", "sparse-ko export --model DIR --out DIR")
        need_torch("sparse-ko export")
        from opensearch_ko.export.dense import is_dense

        how = {"model_format": model_format, "precision": precision, "name": name, "on_step": lambda step: notes.print(f"  {step} …")}
        if is_dense(model):
            if prune != "none" or field or collection:
                raise UsageError(f"{model} is a dense model: --prune, --field and --collection are for sparse ones.", "Leave them out.")
            _export_dense(model, folder, how, (query_prefix, passage_prefix), as_json)
        else:
            if query_prefix is not None or passage_prefix is not None:
                raise UsageError("ML Commons puts prefixes before texts of dense models only.", "Leave the prefixes out.")
            _export_sparse(model, folder, how, prune, tuple(field or [Field.RANK_FEATURES]), collection, as_json)


def _export_sparse(
    model: Path, folder: Path, how: dict[str, Any], prune: str, fields: tuple[str, ...], collection: Path | None, as_json: bool
) -> None:
    from opensearch_ko.export import export_model
    from opensearch_ko.pruning import Pruning
    from retrieval_ko.collection import Collection

    measured = Collection.read(collection) if collection else None
    done = export_model(model, folder, pruning=Pruning.parse(prune), fields=fields, collection=measured, **how)
    if as_json:
        query = _facts(done.query) if done.query else None
        print_json(_facts(done.encoder) | {"query": query, "latency_ms": done.latency_ms})
        return
    _show(done.encoder)
    out.print(f"one short text: {', '.join(f'{name} {value:.1f} ms' for name, value in done.latency_ms.items())}")
    if done.query:
        _show(done.query)
    notes.print(f"Next: sparse-ko deploy --model {escape(str(done.encoder.path))} --cluster", soft_wrap=True)


def _export_dense(model: Path, folder: Path, how: dict[str, Any], prefixes: tuple[str | None, str | None], as_json: bool) -> None:
    from opensearch_ko.export import export_dense

    archive = export_dense(model, folder, query_prefix=prefixes[0], passage_prefix=prefixes[1], **how)
    if as_json:
        print_json(_facts(archive))
        return
    _show(archive)


def _facts(archive: ModelArchive) -> dict[str, Any]:
    return {"path": str(archive.path), "sha256": archive.sha256, "size_bytes": archive.size_bytes, **archive.card.model_dump()}


def _show(archive: ModelArchive) -> None:
    card = archive.card
    out.print(f"{escape(str(archive.path))}  {archive.size_bytes / 1e6:.1f} MB  sha256 {archive.sha256[:12]}…", soft_wrap=True)
    served = f"; serves {', '.join(card.serves)}" if card.role != "query-tokenizer" else ""
    out.print(f"parity on {card.parity['texts']} texts: largest difference {card.parity['largest_difference']:.1e}{served}")
    if card.quality:
        out.print(f"int8 beside fp32: {', '.join(f'{name} {value:g}' for name, value in card.quality.items())}")


@app.command()
def check(
    archive: Annotated[Path, typer.Argument(metavar="ZIP", help="A model's zip, whoever made it.")],
    as_json: JsonOption = False,
) -> None:
    """Look at a zip as ML Commons would: files, tokenizer, graph, weights. Exit code 1 where it can't be deployed.

    Example: sparse-ko export check model.zip
    """
    with exit_on_error():
        need_torch("sparse-ko export check")
        from opensearch_ko.export import check_archive
        from opensearch_ko.export.checking import is_deployable

        findings = check_archive(archive)
        deployable = is_deployable(findings)
        if as_json:
            print_json({"path": str(archive), "deployable": deployable, "findings": [asdict(finding) for finding in findings]})
        else:
            out.print(_table(findings))
            notes.print("It can be deployed." if deployable else "[bold red]It can't be deployed.[/]")
        if not deployable:
            raise SystemExit(1)


def _table(findings: list[Finding]) -> Table:
    marks = {"forbids": "[bold red]forbids[/]", "warning": "[yellow]warning[/]", "note": "[cyan]note[/]", "fine": "[green]fine[/]"}
    table = Table(box=None, pad_edge=False)
    for column in ("", "what", "found", "what it means"):
        table.add_column(column, overflow="fold")
    for finding in findings:
        only = f" Forbids {', '.join(finding.forbids)}." if finding.forbids else ""
        said = " ".join(part for part in (finding.meaning, only.strip(), finding.remedy) if part)
        table.add_row(marks[finding.level], finding.name, escape(finding.found), escape(said))
    return table
