"""`sparse-ko train`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

import sparse_ko
from retrieval_ko.collection import sample_folder
from retrieval_ko.files import folder_sha256
from retrieval_ko.terminal import exit_on_error
from sparse_ko.settings import TrainSettings, read_settings
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
    from sparse_ko.training import TrainedModel

PACKAGED_CONFIGS = Path(sparse_ko.__file__).parent / "configs"


def find_config(name: str) -> Path:
    """Return the path of a config: a file, or the name of a packaged one.

    Raises:
        UsageError: neither; names the packaged ones.
    """
    return config_file(name, PACKAGED_CONFIGS, packaged_configs())


def packaged_configs() -> list[str]:
    """Return the names of the configs that come with the package, those of `sparse-ko pretrain` left out.

    `sweep preset` writes configs/sweep.yaml, which in a checkout lies among them.
    """
    return [name for name in config_names(PACKAGED_CONFIGS) if not name.startswith(("pretrain", "sweep"))]


def run_training(settings: TrainSettings, folder: Path, *, resume: bool = False) -> TrainedModel:
    """Train with a progress bar that shows loss, active dimensions and dev; see `sparse_ko.training.train`."""
    from sparse_ko.training import train as train_encoder
    from sparse_ko.training.data import read_collection

    source = settings.collection or sample_folder()
    collection = read_collection(settings, source)
    with step_bar() as show:
        return train_encoder(settings, collection, folder, data_hash=folder_sha256(source), resume=resume, on_progress=show)


def describe_run(settings: TrainSettings) -> dict[str, Any]:
    """Read the data, build the encoder, and return what a run would do; see `sparse_ko.training.run.as_json`."""
    from sparse_ko.building import build_encoder
    from sparse_ko.training.data import read_collection
    from sparse_ko.training.run import as_json, plan
    from training_ko.libraries import quiet_libraries

    collection = read_collection(settings, sample_folder())
    planned = plan(settings, collection)
    with quiet_libraries():
        return as_json(planned, build_encoder(settings, collection))


def train(
    config: Annotated[str, typer.Argument(help=f"A YAML file, or a packaged config: {', '.join(packaged_configs())}.")],
    changes: ChangesOption = None,
    folder: RunFolderOption = None,
    resume: ResumeOption = False,
    take_over: TakeOverOption = False,
    dry_run: DryRunOption = False,
    as_json: JsonOption = False,
) -> None:
    """Train a sparse encoder.

    On several GPUs: accelerate launch --num_processes 8 -m sparse_ko_cli train CONFIG. Every setting: docs/configs.md.

    Example: sparse-ko train configs/demo.yaml --set training.epochs=2 --out runs/first
    """
    with exit_on_error():
        need_torch("sparse-ko train")
        main = speaks()
        settings = read_settings(find_config(config), changes)
        if dry_run:
            if main:
                show_plan(describe_run(settings), as_json=as_json)
            return
        target = folder or Path("runs") / settings.name
        check_take_over(target, resume=resume, take_over=take_over, main=main)
        trained = run_training(settings, target, resume=resume)
        if main:
            show_trained(trained, "sparse-ko evaluate", as_json=as_json)
