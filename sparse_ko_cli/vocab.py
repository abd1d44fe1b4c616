"""`sparse-ko vocab`: vocabularies learnt, judged, pruned, and the vectors of their pieces."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape
from rich.table import Table

from retrieval_ko.terminal import exit_on_error, notes, out, print_json, progress_bar
from retrieval_ko.terms import available_cores
from sparse_ko_cli.requirement import need_torch

if TYPE_CHECKING:
    from sparse_ko.vocabulary import VocabularyAudit

app = typer.Typer(help="Vocabularies: learn one, judge any, prune one, give its pieces vectors.", no_args_is_help=True)

JsonOption = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]
InputOption = Annotated[
    list[Path],
    typer.Option(
        "--input", help="Text, JSON lines (.zst, .gz) or a collection; may be repeated. No query of dev or test is read.", metavar="PATH"
    ),
]
ShareOption = Annotated[float, typer.Option(help="Share of the texts to read, drawn by hash.", min=0.0, max=1.0)]
MOST_PROCESSES = 8
_COLOURS = {"forbids": "red", "warning": "yellow", "note": "cyan", "fine": "green"}


@app.command()
def train(
    sources: InputOption,
    folder: Annotated[Path, typer.Option("--out", help="The tokenizer's folder.", metavar="DIR")],
    size: Annotated[int, typer.Option(min=8_000, max=50_000, help="Pieces at most.")] = 16_000,
    share: ShareOption = 1.0,
    workers: Annotated[int | None, typer.Option(min=1, help="Processes for Kiwi, 700 MB each; by default one per core, up to 8.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Learn a WordPiece vocabulary from Kiwi-segmented text: nouns whole, particles and endings as ## pieces.

    Example: sparse-ko vocab train --input collections/wiki-ko --input notes.txt --size 16000 --out vocabularies/wiki-16k
    """
    with exit_on_error():
        need_torch("sparse-ko vocab train")
        from sparse_ko.vocabulary.writing import train_vocabulary

        with progress_bar("lines") as bar:
            task = bar.add_task("reading", total=None)
            card = train_vocabulary(
                sources,
                size,
                folder,
                share=share,
                workers=workers or min(available_cores(), MOST_PROCESSES),
                on_progress=lambda done, total: bar.update(task, completed=done, total=total),
            )
        if as_json:
            print_json({"path": str(folder), **card.model_dump()})
            return
        out.print(f"{card.size:,} pieces in {escape(str(folder))}, from {card.texts:,} texts of {card.characters:,} characters:")
        out.print(
            f"{card.words:,} words, {card.continuations:,} ## pieces, {card.single_characters:,} single characters; "
            f"{card.covered:.1%} of the text's pieces are whole"
        )
        notes.print(f"Next: sparse-ko vocab audit {escape(str(folder))}")


@app.command()
def audit(
    tokenizer: Annotated[Path, typer.Argument(help="A tokenizer.json, or the folder of a tokenizer or a model.")],
    sample: Annotated[
        Path | None, typer.Option(help="File or collection to measure on; by default the package's sample.", metavar="PATH")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Say what a tokenizer does to Korean, and which OpenSearch fields it can serve; exit code 1 where it can serve none.

    Example: sparse-ko vocab audit models/klue-bert-base --sample collections/wiki-ko
    """
    with exit_on_error():
        from sparse_ko.vocabulary import audit_tokenizer

        found = audit_tokenizer(tokenizer, sample)
        if as_json:
            print_json(found.as_json())
        else:
            _show(found)
        if not found.field_types:
            raise SystemExit(1)


@app.command()
def embed(
    tokenizer: Annotated[Path, typer.Option(help="A tokenizer.json or its folder.", metavar="DIR")],
    sources: InputOption,
    target: Annotated[Path, typer.Option("--out", help="The file of the vectors.", metavar="FILE.safetensors")],
    dimensions: Annotated[int, typer.Option(min=2, max=1024, help="Of a vector; model.dimensions of the encoder to come.")] = 256,
    window: Annotated[int, typer.Option(min=1, max=50, help="Pieces to each side that count as company.")] = 5,
    share: ShareOption = 1.0,
    as_json: JsonOption = False,
) -> None:
    """Give the pieces vectors by their company in a corpus (PPMI and SVD), for an encoder built from scratch.

    Example: sparse-ko vocab embed --tokenizer vocabularies/wiki-16k --input collections/wiki-ko --dimensions 256 --out wiki-16k.safetensors
    """
    with exit_on_error():
        need_torch("sparse-ko vocab embed")
        from sparse_ko.vocabulary.embeddings import embed_pieces

        with progress_bar("lines") as bar:
            task = bar.add_task("counting", total=None)

            def show(done: int, total: int) -> None:
                bar.update(task, completed=done, total=total, description="counting" if done < total else "decomposing")

            facts = embed_pieces(tokenizer, sources, dimensions, target, window=window, share=share, on_progress=show)
        if as_json:
            print_json({"path": str(target), **facts})
            return
        out.print(
            f"{facts['with_vector']:,} of {facts['pieces']:,} pieces have a vector of {dimensions} dimensions in {escape(str(target))}, "
            f"from {facts['pairs']:,} different pairs"
        )
        notes.print(f"Use it with: sparse-ko train CONFIG --set model.embeddings={escape(str(target))}")


@app.command()
def prune(
    model: Annotated[str, typer.Option(help="A masked language model with a WordPiece tokenizer: a folder, or a name on the hub.")],
    sample: Annotated[
        list[Path], typer.Option(help="Text, JSON lines or a collection whose pieces are kept; may be repeated.", metavar="PATH")
    ],
    folder: Annotated[Path, typer.Option("--out", help="The new model's folder.", metavar="DIR")],
    minimum: Annotated[int, typer.Option(min=1, help="How often a piece must occur to be kept.")] = 1,
    share: ShareOption = 1.0,
    as_json: JsonOption = False,
) -> None:
    """Leave out the pieces of a masked language model that a corpus never uses; what stays answers as before.

    Example: sparse-ko vocab prune --model models/klue-bert-base --sample collections/legal-cite --out models/klue-legal
    """
    with exit_on_error():
        need_torch("sparse-ko vocab prune")
        from sparse_ko.vocabulary.pruning import prune_model

        with progress_bar("lines") as bar:
            task = bar.add_task("reading", total=None)
            facts = prune_model(
                model,
                sample,
                folder,
                minimum=minimum,
                share=share,
                on_progress=lambda done, total: bar.update(task, completed=done, total=total),
            )
        if as_json:
            print_json({"path": str(folder), **facts})
            return
        out.print(
            f"{facts['kept']:,} of {facts['pieces']:,} pieces kept; {facts['parameters'] / 1e6:.1f} of "
            f"{facts['parameters_before'] / 1e6:.1f} million parameters in {escape(str(folder))}"
        )
        notes.print(f"Next: sparse-ko vocab audit {escape(str(folder))}")


def _show(found: VocabularyAudit) -> None:
    table = Table("check", "found", "what it means, and what to do", box=None, title=f"{found.tokenizer}: {found.kind}, {found.ids:,} ids")
    for finding in found.findings:
        colour = _COLOURS[finding.level]
        table.add_row(finding.name, f"[{colour}]{escape(finding.found)}[/]", escape(f"{finding.meaning} {finding.remedy}".strip()))
    out.print(table)
    for field, answer in found.as_json()["field_types"].items():
        reasons = f"no, for: {', '.join(answer['forbidden_by'])}"
        out.print(f"{field}: {'[green]yes[/]' if answer['served'] else f'[red]{escape(reasons)}[/]'}")
