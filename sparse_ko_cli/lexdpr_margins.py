"""`lex-dpr margins`: how far apart a bi-encoder holds answers and others."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from retrieval_ko.collection import Collection
from retrieval_ko.terminal import exit_on_error, out, print_json
from retrieval_ko.terms import Tokenization, available_cores
from sparse_ko_cli.lexdpr_teacher import CollectionOption, JsonOption, SamplesOption, TokenizationOption, show_separation, steps_bar
from sparse_ko_cli.requirement import need_torch


def margins(
    model: Annotated[str, typer.Option(help="The student: a model folder.", metavar="DIR")],
    collection: CollectionOption,
    split: Annotated[str, typer.Option(help="Whose queries are asked.")] = "dev",
    depth: Annotated[int, typer.Option(min=2, max=1000, help="BM25's best passages, whose non-answers are the hard negatives.")] = 10,
    tokenization: TokenizationOption = Tokenization.BIGRAM,
    batch_size: Annotated[int, typer.Option("--batch-size", "--batch_size", min=1, help="Texts at once.")] = 64,
    max_samples: SamplesOption = None,
    folder: Annotated[Path | None, typer.Option("--out", metavar="DIR", help="Also write evaluation.json and figures here.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Measure how far apart a bi-encoder holds answers and others: margins, uniformity, distributions, a threshold.

    Example: lex-dpr margins --model runs/student/model --collection my-collection --out evaluations/margins
    """
    with exit_on_error():
        need_torch("lex-dpr margins")
        found = run_margins(model, collection, split, folder, depth, tokenization, batch_size, max_samples)
        if as_json:
            print_json(found)
            return
        show_separation(found, "cosine")
        for scale in ("raw", "normalised"):
            reached = found["targets"].get(scale)
            if reached:
                margin, negative = (_reached(reached[name]) for name in ("margin_met", "negative_met"))
                out.print(
                    f"{scale:<10} margin {reached['mean_margin']:.3f} (target {found['targets']['margin']}: {margin}), negatives "
                    f"{reached['hard_negative_mean']:.3f} (target {found['targets']['negative_mean']}: {negative})",
                    soft_wrap=True,
                )
        out.print(f"uniformity: queries {found['uniformity']['queries']}, passages {found['uniformity']['passages']}")


def run_margins(
    model: str,
    collection: Path,
    split: str,
    folder: Path | None,
    depth: int = 10,
    tokenization: Tokenization = Tokenization.BIGRAM,
    batch_size: int = 64,
    max_samples: int | None = None,
) -> dict[str, Any]:
    """Measure a student, write its report and figures where a folder is named, and return what `--json` prints."""
    from dense_ko.distillation.margins import measure_margins
    from dense_ko.encoder import BiEncoder

    data = Collection.read(collection)
    with steps_bar("texts", "encoding") as show:
        found = measure_margins(
            BiEncoder(model),
            data,
            split,
            depth=depth,
            tokenization=tokenization,
            batch_size=batch_size,
            max_samples=max_samples,
            workers=available_cores(),
            on_progress=lambda done, total: show(done, total, "encoding"),
        )
    if folder:
        found.write(folder)
    return found.report


def _reached(yes: bool) -> str:
    return "reached" if yes else "not reached"
