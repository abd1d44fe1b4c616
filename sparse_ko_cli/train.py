"""`sparse-ko train`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape

import sparse_ko
from retrieval_ko.collection import Collection, sample_folder
from retrieval_ko.errors import UsageError
from retrieval_ko.files import folder_sha256
from retrieval_ko.terminal import exit_on_error, notes, out, print_json, progress_bar
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
    known = ", ".join(sorted(path.stem for path in PACKAGED_CONFIGS.glob("*.yaml")))
    raise UsageError(f"There is no config file {name}, and no packaged config of that name.", f"Packaged: {known}")


def run_training(settings: TrainSettings, folder: Path, *, resume: bool = False) -> TrainedModel:
    """Train with a progress bar; see `sparse_ko.training.train`."""
    from sparse_ko.training import train as train_encoder

    source = settings.collection or sample_folder()
    collection = Collection.read(source)
    with progress_bar("steps") as bar:
        task = bar.add_task("training", total=None)
        return train_encoder(
            settings,
            collection,
            folder,
            data_hash=folder_sha256(source),
            resume=resume,
            on_progress=lambda done, total, _: bar.update(task, completed=done, total=total),
        )


def train(
    config: Annotated[str, typer.Argument(help="A YAML file, or a packaged config: demo, demo-transformer.")],
    changes: Annotated[list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Change a value: training.epochs=3.")] = None,
    folder: Annotated[Path | None, typer.Option("--out", metavar="DIR", help="The run's folder; by default runs/NAME.")] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with the run in --out from its newest checkpoint.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Train a sparse encoder.

    Example: sparse-ko train configs/demo.yaml --set training.epochs=2 --out runs/first
    """
    with exit_on_error():
        need_torch("sparse-ko train")
        settings = read_settings(find_config(config), changes)
        trained = run_training(settings, folder or Path("runs") / settings.name, resume=resume)
        if as_json:
            print_json({"run": str(trained.run.folder), "model": str(trained.model_folder), "dev_ndcg@10": round(trained.dev_ndcg, 4)})
            return
        out.print(f"The model is in {escape(str(trained.model_folder))}; dev nDCG@10 {trained.dev_ndcg:.3f}.")
        notes.print(f"Next: sparse-ko evaluate --model {escape(str(trained.model_folder))}")
