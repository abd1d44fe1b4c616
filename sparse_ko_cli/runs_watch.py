"""`runs watch`: a run's progress while it goes, and what is done where it dies."""

from __future__ import annotations

import shlex
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer
from rich.live import Live
from rich.markup import escape
from rich.progress_bar import ProgressBar
from rich.table import Table

from retrieval_ko.errors import UsageError
from retrieval_ko.runs import LATEST, Run
from retrieval_ko.runs.following import Sight
from retrieval_ko.runs.watching import POLL_SECONDS, THEN_FAILED, Watched, WatchSettings, watch
from retrieval_ko.terminal import exit_on_error, notes, out, print_json

LAST = Path("runs") / LATEST
"""The run that began last, where runs stand by default."""

FIGURES = {
    "loss": "loss {:.4f}",
    "dev_loss": "valid loss {:.4f}",
    "dev_ndcg@10": "dev nDCG@10 {:.4f}",
    "dev_recall@10": "R@10 {:.4f}",
    "dev_accuracy": "dev accuracy {:.4f}",
    "dev_document_dims": "{:.0f} dims a passage",
    "dev_query_dims": "{:.0f} a query",
    "learning_rate": "learning rate {:.2e}",
}
"""What is shown of a run, in this order, as far as it records it."""
_SHOWN_SILENCE_SECONDS = 10
_BAR_CHARACTERS = 40


def watch_run(
    folder: Annotated[Path, typer.Argument(help="A run's folder; by default the one that began last.", metavar="RUN")] = LAST,
    restarts: Annotated[
        int, typer.Option("--restart", min=0, help="Begin it again from its last checkpoint where it dies, so often.", metavar="N")
    ] = 0,
    then: Annotated[str, typer.Option(help="Run this when it has finished; {run} and {model} are its folders.", metavar="COMMAND")] = "",
    command: Annotated[
        str, typer.Option(help="What begins it again; by default the command that began it. --resume is added.", metavar="COMMAND")
    ] = "",
    stall: Annotated[
        float | None, typer.Option(min=1, help="Silence that counts as a stall; by default by the run's own habits.", metavar="SECONDS")
    ] = None,
    every: Annotated[float, typer.Option(min=0.05, help="Time between two looks.", metavar="SECONDS")] = POLL_SECONDS,
    as_json: Annotated[bool, typer.Option("--json", help="Print how it ended as JSON.")] = False,
) -> None:
    """Follow a run until it ends; find stalls, NaN, lost memory and crashes, and begin it again where that can help.

    Only processes that this command began are ever ended. Exit code 0: finished; 1: failed; 3: stalled; 4: the loss is not a number;
    5: out of memory; 6: crashed; 7: finished, but the command of --then failed.

    Example: sparse-ko runs watch --restart 2 --then "sparse-ko evaluate --model {model}"
    """
    with exit_on_error():
        run = Run(folder)
        run.metadata()
        words = shlex.split(command) if command else None
        afterwards = [word.replace("{run}", str(folder)).replace("{model}", str(folder / "model")) for word in shlex.split(then)]
        with _shown(run) as show:
            watched = watch(run, WatchSettings(restarts, stall, every, words), on_sight=show)
        code = watched.exit_code
        if code == 0 and afterwards:
            code = _then(afterwards, quiet=as_json)
        if as_json:
            print_json({**watched.as_json(), "exit_code": code})
        else:
            _last_words(watched)
        if code:
            raise typer.Exit(code)


@contextmanager
def _shown(run: Run) -> Iterator[Callable[[Sight, int], None]]:
    """Show looks at a run: in a terminal in place, else a line a change."""
    if notes.is_terminal:
        with Live(console=notes, refresh_per_second=4) as live:
            yield lambda sight, restarts: live.update(_picture(run, sight, restarts))
        return
    lines = _Lines(run)
    yield lines.show


class _Lines:
    """A line for every measurement, every change of state and every restart."""

    def __init__(self, run: Run) -> None:
        self._run = run
        self._before: tuple[object, ...] = ()

    def show(self, sight: Sight, restarts: int) -> None:
        now = (sight.state, sight.problem, restarts, sight.measurements)
        if now != self._before:
            self._before = now
            notes.print(escape(f"{self._run.folder}: {_in_words(sight, restarts)}"), soft_wrap=True)


def _in_words(sight: Sight, restarts: int) -> str:
    steps = f"step {sight.step}" + (f" of {sight.steps}" if sight.steps else "")
    parts = [sight.problem or sight.state, steps, *_figures(sight)]
    if sight.reason:
        parts.append(sight.reason)
    if restarts:
        parts.append(f"begun again {restarts} ×")
    return ", ".join(parts)


def _figures(sight: Sight) -> list[str]:
    return [words.format(sight.figures[name]) for name, words in FIGURES.items() if name in sight.figures]


def _picture(run: Run, sight: Sight, restarts: int) -> Table:
    grid = Table.grid(padding=(0, 2))
    state = f"[red]{sight.problem}[/]: {escape(sight.reason)}" if sight.problem else sight.state
    grid.add_row(escape(str(run.folder)), state)
    grid.add_row(
        ProgressBar(total=sight.steps or 1, completed=sight.step, width=_BAR_CHARACTERS), f"{sight.step} of {sight.steps or '?'} steps"
    )
    grid.add_row("newest", ", ".join(_figures(sight)))
    if sight.best is not None:
        grid.add_row("best on dev", f"{sight.best:.4f} in {sight.measurements} measurements")
    if sight.silent_seconds > _SHOWN_SILENCE_SECONDS and sight.state == "running":
        grid.add_row("silent", f"{sight.silent_seconds:.0f} s; a stall from {sight.stall_seconds:.0f} s on")
    if restarts:
        grid.add_row("begun again", f"{restarts} ×")
    return grid


def _then(words: list[str], *, quiet: bool) -> int:
    """Run what comes after a finished run; return the exit code of the whole."""
    notes.print(f"Next: {escape(shlex.join(words))}", soft_wrap=True)
    try:
        done = subprocess.run(words, check=False, stdout=subprocess.DEVNULL if quiet else None)
    except OSError as failure:
        raise UsageError(
            f"--then: {words[0]} can't be started: {failure.strerror}.", "Name a program; it is started without a shell."
        ) from failure
    if done.returncode:
        notes.print(f"{escape(words[0])} ended with {done.returncode}.")
    return THEN_FAILED if done.returncode else 0


def _last_words(watched: Watched) -> None:
    sight = watched.sight
    best = f", best on dev {sight.best:.4f}" if sight.best is not None else ""
    if sight.problem is None:
        out.print(f"{escape(watched.run)}: finished at step {sight.step}{best}; begun again {watched.restarts} ×.", soft_wrap=True)
        return
    out.print(f"{escape(watched.run)}: {sight.problem} at step {sight.step}{best}: {escape(sight.reason)}.", soft_wrap=True)
    if watched.not_restarted:
        notes.print(f"Not begun again: {escape(watched.not_restarted)}.", soft_wrap=True)
