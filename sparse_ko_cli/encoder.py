"""`sparse-ko evaluate`, `encode`, `explain` and `export`: what one does with a model folder."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Literal

import typer
from rich.markup import escape
from rich.table import Table

from retrieval_ko.collection import Collection, sample_folder
from retrieval_ko.errors import DataError
from retrieval_ko.evaluation.comparison import as_json as comparison_json
from retrieval_ko.evaluation.comparison import bm25_baselines
from retrieval_ko.files import read_jsonl, write_json, write_jsonl
from retrieval_ko.records import Passage, Query
from retrieval_ko.terminal import exit_on_error, notes, out, print_json, progress_bar
from sparse_ko_cli.requirement import need_torch

ModelOption = Annotated[Path, typer.Option(help="A model folder.", metavar="DIR")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]
TEXTS_AT_ONCE = 1024


def system_name(model: Path) -> str:
    """Return what a model folder is called in a table: its run's name, else the folder's."""
    return f"sparse-{model.resolve().parent.name if model.name == 'model' else model.name}"


def comparison_table(report: dict[str, Any]) -> Table:
    """Return the comparison as a table for people."""
    asked = f"{report['collection']}, {report['split']}: {report['queries']} queries, {report['passages']} passages"
    table = Table(caption=f"{asked}; p: nDCG@10 against BM25, p syn: against BM25 with the synonym pairs", box=None)
    for column in ("system", "nDCG@10", "MRR@10", "R@100", "d dims", "q dims", "p", "p syn"):
        table.add_column(column, justify="left" if column == "system" else "right", no_wrap=True)
    for row in report["systems"]:
        quality = [f"{row[name]:.3f}" for name in ("ndcg@10", "mrr@10", "recall@100")]
        sparsity = [f"{row[name]:.0f}" if name in row else "" for name in ("doc_dims", "query_dims")]
        table.add_row(
            row["system"], *quality, *sparsity, *(f"{row[name]:.3f}" if name in row else "" for name in ("p_value", "p_value_synonyms"))
        )
    return table


def evaluate(
    model: ModelOption,
    collection: Annotated[Path | None, typer.Option(help="Collection folder; by default the sample in the package.", metavar="DIR")] = None,
    split: Annotated[str, typer.Option(help="Which judgements to use.")] = "dev",
    folder: Annotated[Path | None, typer.Option("--out", metavar="DIR", help="Also write evaluation.json here.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Compare a model with BM25 on a collection, in process.

    Example: sparse-ko evaluate --model runs/demo/model --split test
    """
    with exit_on_error():
        need_torch("sparse-ko evaluate")
        from sparse_ko.evaluation import evaluate_encoder
        from sparse_ko.model import SparseEncoder

        data = Collection.read(collection or sample_folder())
        data.relevant(split)
        encoder = SparseEncoder.load(model)
        results = [*bm25_baselines(data, split), evaluate_encoder(encoder, system_name(model), data, split)]
        report = comparison_json(data, split, results)
        if folder:
            write_json(folder / "evaluation.json", report)
        if as_json:
            print_json(report)
        else:
            out.print(comparison_table(report))


def encode(
    model: ModelOption,
    source: Annotated[Path, typer.Option("--input", metavar="FILE", help='JSON lines: {"_id", "text", "title"?}.')],
    target: Annotated[Path, typer.Option("--output", metavar="FILE", help='JSON lines: {"_id", "weights": {token: weight}}.')],
    kind: Annotated[Literal["query", "document"], typer.Option("--type", help="What the texts are.")] = "document",
    top: Annotated[int | None, typer.Option(min=1, help="Keep only the heaviest tokens of a text.")] = None,
) -> None:
    """Turn texts into weights over the vocabulary.

    Example: sparse-ko encode --model runs/demo/model --input corpus.jsonl --output weights.jsonl
    """
    with exit_on_error():
        need_torch("sparse-ko encode")
        from sparse_ko.model import SparseEncoder

        texts = list(_texts(source, kind))
        encoder = SparseEncoder.load(model)
        encode_texts = encoder.encode_query if kind == "query" else encoder.encode_document

        def rows() -> Iterator[dict[str, Any]]:
            with progress_bar("texts") as bar:
                task = bar.add_task("encoding", total=len(texts))
                for start in range(0, len(texts), TEXTS_AT_ONCE):
                    part = texts[start : start + TEXTS_AT_ONCE]
                    for (record, _), weights in zip(part, encoder.to_tokens(encode_texts([text for _, text in part]), top), strict=True):
                        yield {"_id": record, "weights": {token: round(weight, 4) for token, weight in weights.items()}}
                    bar.update(task, advance=len(part))

        count = write_jsonl(target, rows())
        notes.print(f"{count:,} texts in {escape(str(target))}")


def _texts(source: Path, kind: str) -> Iterator[tuple[str, str]]:
    from pydantic import ValidationError

    from retrieval_ko.collection import first_complaint

    seen: dict[str, int] = {}
    for number, row in read_jsonl(source):
        try:
            record = Query.model_validate(row) if kind == "query" else Passage.model_validate(row)
        except ValidationError as failure:
            raise DataError(f"{source}, line {number}: {first_complaint(failure)}.") from failure
        if record.id in seen:
            raise DataError(f"{source}, line {number}: the _id {record.id!r} was used before, in line {seen[record.id]}.")
        seen[record.id] = number
        yield record.id, record.passage_text if isinstance(record, Passage) else record.text
    if not seen:
        raise DataError(f"{source} is empty: it holds no text.")


def explain(
    query: Annotated[str, typer.Argument(help="A question or keywords.")],
    passage: Annotated[str | None, typer.Argument(help="A passage; without it the query's own weights are shown.")] = None,
    *,
    model: ModelOption,
    top: Annotated[int, typer.Option(min=1, help="How many tokens to show.")] = 20,
    as_json: JsonOption = False,
) -> None:
    """Show what a query asks for, and which tokens it shares with a passage.

    Example: sparse-ko explain --model runs/demo/model "월세 밀리면" "차임을 연체하면 임대인은 계약을 해지할 수 있다"
    """
    with exit_on_error():
        need_torch("sparse-ko explain")
        from sparse_ko.model import SparseEncoder

        encoder = SparseEncoder.load(model)
        if passage is None:
            [weights] = encoder.to_tokens(encoder.encode_query([query]), top)
            if as_json:
                print_json({"query": query, "weights": weights})
                return
            table = Table("token", "weight", box=None)
            for token, weight in weights.items():
                table.add_row(escape(token), f"{weight:.3f}")
            out.print(table)
            return
        matches = encoder.explain(query, passage)
        total = sum(match.contribution for match in matches)
        if as_json:
            print_json({"query": query, "passage": passage, "score": total, "terms": [match._asdict() for match in matches[:top]]})
            return
        table = Table("token", "query", "passage", "adds", box=None, caption=f"score {total:.3f}, {len(matches)} shared tokens")
        for match in matches[:top]:
            table.add_row(escape(match.token), f"{match.query_weight:.3f}", f"{match.passage_weight:.3f}", f"{match.contribution:.3f}")
        out.print(table)


def export(
    model: ModelOption,
    folder: Annotated[Path, typer.Option("--out", metavar="DIR", help="Folder for the zip.")],
    model_format: Annotated[Literal["torchscript"], typer.Option("--format", help="How the graph is written.")] = "torchscript",
    name: Annotated[str | None, typer.Option(help="Name on the cluster; by default the run's.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Write a model as the zip that ML Commons registers, after checking that it answers as the model does.

    Example: sparse-ko export --model runs/demo/model --format torchscript --out exported
    """
    with exit_on_error():
        need_torch("sparse-ko export")
        from opensearch_ko.export import export_model

        archive = export_model(model, folder, model_format=model_format, name=name, on_step=lambda step: notes.print(f"  {step} …"))
        card = archive.card
        if as_json:
            print_json({"path": str(archive.path), "sha256": archive.sha256, "size_bytes": archive.size_bytes, **card.model_dump()})
            return
        out.print(f"{escape(str(archive.path))}  {archive.size_bytes / 1e6:.1f} MB  sha256 {archive.sha256[:12]}…")
        out.print(f"parity on {card.parity['texts']} texts: largest difference {card.parity['largest_difference']:.1e}")
        notes.print(f"Next: sparse-ko deploy --model {escape(str(archive.path))} --cluster")
