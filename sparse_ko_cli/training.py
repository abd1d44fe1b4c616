"""What `sparse-ko train` and `lex-dpr train` have in common: their options, packaged configs, the line of progress, their last words."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.markup import escape

from retrieval_ko.errors import UsageError
from retrieval_ko.terminal import log_to_terminal, notes, out, print_json, progress_bar

if TYPE_CHECKING:
    from training_ko.run import TrainedModel

ChangesOption = Annotated[list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Change a value: training.epochs=3.")]
RunFolderOption = Annotated[Path | None, typer.Option("--out", metavar="DIR", help="The run's folder; by default runs/NAME.")]
ResumeOption = Annotated[bool, typer.Option("--resume", help="Go on with the run in --out from its newest checkpoint.")]
TakeOverOption = Annotated[
    bool,
    typer.Option("--take-over", help="With --resume: the run says that it is at work on another machine, and you know that it is not."),
]
DryRunOption = Annotated[bool, typer.Option("--dry-run", help="Show data, steps and the model's size, and stop.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]


def config_names(folder: Path) -> list[str]:
    """Return the names of the configs in a folder of a package."""
    return sorted(path.stem for path in folder.glob("*.yaml"))


def config_file(name: str, folder: Path, shown: list[str]) -> Path:
    """Return the path of a config: a file, or the name of one in a folder of a package.

    Raises:
        UsageError: neither; names `shown`.
    """
    if Path(name).is_file():
        return Path(name)
    packaged = folder / f"{Path(name).stem}.yaml"
    if packaged.is_file() and name in {packaged.stem, packaged.name, f"configs/{packaged.name}"}:
        return packaged
    raise UsageError(f"There is no config file {name}, and no packaged config of that name.", f"Packaged: {', '.join(shown)}")


def check_take_over(folder: Path, *, resume: bool, take_over: bool, main: bool = True) -> None:
    """Take a run of another machine over, before it is resumed, where that is asked for; in the main process of several alone.

    Raises:
        UsageError: it is not to be resumed, or recorded something just now; see `Run.take_over`.
    """
    from retrieval_ko.runs import Run

    if take_over and not resume:
        raise UsageError("--take-over is for a run that is gone on with.", "Add --resume.")
    if take_over and main and (folder / "metadata.json").exists():
        Run(folder).take_over()


def speaks() -> bool:
    """Return whether this process is the main one of several; where it is not, let it log nothing but errors."""
    from training_ko.arguments import main_process

    if not main_process():
        log_to_terminal(logging.ERROR)
    return main_process()


@contextmanager
def step_bar() -> Iterator[Callable[[int, int, str], None]]:
    """Show a bar of steps, in the main process alone; yields what is told (steps done, steps in all, figures in words)."""
    from training_ko.arguments import main_process

    bar = progress_bar("steps")
    bar.disable = not main_process()
    with bar:
        task = bar.add_task("training", total=None)

        def show(done: int, total: int, figures: str) -> None:
            bar.update(task, completed=done, total=total, description=escape(figures) or "training")

        yield show


def show_trained(trained: TrainedModel, evaluate: str, *, as_json: bool) -> None:
    """Say where the model is and how good it is; `evaluate` is the command that measures it."""
    if as_json:
        print_json({"run": str(trained.run.folder), "model": str(trained.model_folder), "dev_ndcg@10": round(trained.dev_ndcg, 4)})
        return
    out.print(f"The model is in {escape(str(trained.model_folder))}; dev nDCG@10 {trained.dev_ndcg:.3f}.")
    notes.print(f"Next: {evaluate} --model {escape(str(trained.model_folder))}")


def show_plan(described: dict[str, Any], *, as_json: bool) -> None:
    """Say what a run would do: `as_json` of a plan."""
    if as_json:
        print_json(described)
        return
    dimensions = described["dimensions"] if "dimensions" in described else described["vocabulary"]
    rows = [(source["pairs"], f"pairs from {source['name']}, weight {source['weight']:g}") for source in described["sources"]]
    rows.append((described["passages"], "passages"))
    rows.append((described["dev_queries"], f"dev queries over {described['dev_passages']:,} passages"))
    rows.append((described["steps"], f"steps, {described['steps_per_epoch']:,} an epoch; dev every {described['measure']:,}"))
    rows.append((described["parameters"], f"weights of the model, {dimensions:,} dimensions"))
    for count, what in rows:
        out.print(f"{count:>12,} {escape(what)}")
    if "template" in described:
        out.print(f"{described['template']:>12} is the template of queries and passages")
