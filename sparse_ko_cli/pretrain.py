"""`sparse-ko pretrain`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

from retrieval_ko.terminal import exit_on_error, notes, out, print_json, progress_bar
from sparse_ko_cli.requirement import need_torch
from sparse_ko_cli.train import find_config
from sparse_ko_cli.training import TakeOverOption, check_take_over


def pretrain(
    config: Annotated[str, typer.Argument(help="A YAML file, or a packaged config: pretrain-mini.")],
    changes: Annotated[list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Change a value: training.max_steps=500.")] = None,
    folder: Annotated[Path | None, typer.Option("--out", metavar="DIR", help="The run's folder; by default runs/NAME.")] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with the run in --out from its newest checkpoint.")] = False,
    take_over: TakeOverOption = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Train a masked language model on passages, for an encoder to start from.

    Example: sparse-ko pretrain configs/pretrain-mini.yaml --set sources=[collections/wiki-ko] --out runs/mini
    """
    with exit_on_error():
        need_torch("sparse-ko pretrain")
        from sparse_ko.pretraining import PretrainSettings, pretrain
        from training_ko.settings import read_settings

        settings = read_settings(find_config(config), changes, PretrainSettings)
        target = folder or Path("runs") / settings.name
        check_take_over(target, resume=resume, take_over=take_over)
        with progress_bar("steps") as bar:
            task = bar.add_task("packing", total=None)
            trained = pretrain(
                settings,
                target,
                resume=resume,
                on_progress=lambda done, total, words: bar.update(task, completed=done, total=total, description=words or "training"),
            )
        found, unigram = trained.held_out, trained.unigram
        if as_json:
            figures = {
                "dev_loss": found.loss,
                "dev_accuracy": found.accuracy,
                "unigram_loss": unigram.loss,
                "unigram_accuracy": unigram.accuracy,
            }
            print_json({"run": str(trained.run.folder), "model": str(trained.model_folder), **figures})
            return
        out.print(
            f"The model is in {escape(str(trained.model_folder))}; held-out loss {found.loss:.3f}, accuracy {found.accuracy:.1%} "
            f"(without context {unigram.loss:.3f}, {unigram.accuracy:.1%})."
        )
        notes.print(f"Next: sparse-ko train CONFIG --set model.base={escape(str(trained.model_folder))}")
