"""`lex-dpr train`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

import dense_ko
from dense_ko.settings import DenseTrainSettings, read_settings
from retrieval_ko.collection import Collection, sample_folder
from retrieval_ko.files import folder_sha256
from retrieval_ko.terminal import exit_on_error
from sparse_ko_cli.requirement import need_torch
from sparse_ko_cli.training import (
    ChangesOption,
    DryRunOption,
    JsonOption,
    ResumeOption,
    RunFolderOption,
    TakeOverOption,
    check_take_over,
    config_file,
    config_names,
    show_plan,
    show_trained,
    speaks,
    step_bar,
)

if TYPE_CHECKING:
    from dense_ko.training import TrainedModel

PACKAGED_CONFIGS = Path(dense_ko.__file__).parent / "configs"


def run_training(settings: DenseTrainSettings, folder: Path, *, resume: bool = False) -> TrainedModel:
    """Train with a progress bar that shows loss, positives that come first, and dev; see `dense_ko.training.train`."""
    from dense_ko.training import train as train_encoder

    source = settings.collection or sample_folder()
    collection = Collection.read(source)
    with step_bar() as show:
        return train_encoder(settings, collection, folder, data_hash=folder_sha256(source), resume=resume, on_progress=show)


def describe_run(settings: DenseTrainSettings) -> dict[str, Any]:
    """Read the data, build the encoder, and return what a run would do; see `dense_ko.training.run.as_json`."""
    from dense_ko.building import build_bi_encoder
    from dense_ko.training.run import as_json, plan
    from training_ko.libraries import quiet_libraries

    collection = Collection.read(settings.collection or sample_folder())
    planned = plan(settings, collection)
    with quiet_libraries():
        return as_json(planned, build_bi_encoder(settings, collection, workers=1))


def train(
    config: Annotated[str, typer.Argument(help=f"A YAML file, or a packaged config: {', '.join(config_names(PACKAGED_CONFIGS))}.")],
    changes: ChangesOption = None,
    model: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Start from this encoder instead: a folder, a name on the hub, or an alias such as ko-simcse."),
    ] = None,
    folder: RunFolderOption = None,
    resume: ResumeOption = False,
    take_over: TakeOverOption = False,
    dry_run: DryRunOption = False,
    as_json: JsonOption = False,
) -> None:
    """Train a bi-encoder.

    On several GPUs: accelerate launch --num_processes 8 -m sparse_ko_cli.lexdpr train CONFIG. Every setting: docs/dense.md.

    Example: lex-dpr train mini --set training.epochs=2 --out runs/dense
    """
    with exit_on_error():
        need_torch("lex-dpr train")
        main = speaks()
        file = config_file(config, PACKAGED_CONFIGS, config_names(PACKAGED_CONFIGS))
        settings = read_settings(file, [*(changes or []), *([f"model.base={model}"] if model else [])])
        if dry_run:
            if main:
                show_plan(describe_run(settings), as_json=as_json)
            return
        target = folder or Path("runs") / settings.name
        check_take_over(target, resume=resume, take_over=take_over, main=main)
        trained = run_training(settings, target, resume=resume)
        if main:
            show_trained(trained, "lex-dpr evaluate", as_json=as_json)
