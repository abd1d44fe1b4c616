"""`sparse-ko train`."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.markup import escape

import sparse_ko
from retrieval_ko.collection import sample_folder
from retrieval_ko.errors import UsageError
from retrieval_ko.files import folder_sha256
from retrieval_ko.terminal import exit_on_error, log_to_terminal, notes, out, print_json, progress_bar
from sparse_ko.settings import TrainSettings, read_settings
from sparse_ko_cli.requirement import need_torch

if TYPE_CHECKING:
    from sparse_ko.training import TrainedModel

PACKAGED_CONFIGS = Path(sparse_ko.__file__).parent / "configs"


def find_config(name: str) -> Path:
    """Return the path of a config: a file, or the name of a packaged one.

    Raises:
        UsageError: neither; names the packaged ones.
    """
    if Path(name).is_file():
        return Path(name)
    packaged = PACKAGED_CONFIGS / f"{Path(name).stem}.yaml"
    if packaged.is_file() and name in {packaged.stem, packaged.name, f"configs/{packaged.name}"}:
        return packaged
    raise UsageError(f"There is no config file {name}, and no packaged config of that name.", f"Packaged: {', '.join(packaged_configs())}")


def packaged_configs() -> list[str]:
    """Return the names of the configs that come with the package, those of `sparse-ko pretrain` left out."""
    return sorted(path.stem for path in PACKAGED_CONFIGS.glob("*.yaml") if not path.stem.startswith("pretrain"))


def run_training(settings: TrainSettings, folder: Path, *, resume: bool = False) -> TrainedModel:
    """Train with a progress bar that shows loss, active dimensions and dev; see `sparse_ko.training.train`."""
    from sparse_ko.training import train as train_encoder
    from sparse_ko.training.data import read_collection
    from training_ko.arguments import main_process

    source = settings.collection or sample_folder()
    collection = read_collection(settings, source)
    bar = progress_bar("steps")
    bar.disable = not main_process()
    with bar:
        task = bar.add_task("training", total=None)

        def show(done: int, total: int, figures: str) -> None:
            bar.update(task, completed=done, total=total, description=escape(figures) or "training")

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
    changes: Annotated[list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Change a value: training.epochs=3.")] = None,
    folder: Annotated[Path | None, typer.Option("--out", metavar="DIR", help="The run's folder; by default runs/NAME.")] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with the run in --out from its newest checkpoint.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show data, steps and the model's size, and stop.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Train a sparse encoder.

    On several GPUs: accelerate launch --num_processes 8 -m sparse_ko_cli train CONFIG. Every setting: docs/configs.md.

    Example: sparse-ko train configs/demo.yaml --set training.epochs=2 --out runs/first
    """
    with exit_on_error():
        need_torch("sparse-ko train")
        main = _speaks()
        settings = read_settings(find_config(config), changes)
        if dry_run:
            if main:
                _show_plan(describe_run(settings), as_json=as_json)
            return
        trained = run_training(settings, folder or Path("runs") / settings.name, resume=resume)
        if not main:
            return
        if as_json:
            print_json({"run": str(trained.run.folder), "model": str(trained.model_folder), "dev_ndcg@10": round(trained.dev_ndcg, 4)})
            return
        out.print(f"The model is in {escape(str(trained.model_folder))}; dev nDCG@10 {trained.dev_ndcg:.3f}.")
        notes.print(f"Next: sparse-ko evaluate --model {escape(str(trained.model_folder))}")


def _speaks() -> bool:
    """Return whether this process is the main one of several; where it is not, let it log nothing but errors."""
    from training_ko.arguments import main_process

    if not main_process():
        log_to_terminal(logging.ERROR)
    return main_process()


def _show_plan(described: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        print_json(described)
        return
    rows = [(source["pairs"], f"pairs from {source['name']}, weight {source['weight']:g}") for source in described["sources"]]
    rows.append((described["passages"], "passages"))
    rows.append((described["dev_queries"], f"dev queries over {described['dev_passages']:,} passages"))
    rows.append((described["steps"], f"steps, {described['steps_per_epoch']:,} an epoch; dev every {described['measure']:,}"))
    rows.append((described["parameters"], f"weights of the model, {described['vocabulary']:,} dimensions"))
    for count, what in rows:
        out.print(f"{count:>12,} {escape(what)}")
