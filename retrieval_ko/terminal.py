"""How every command talks to a person and to a program: one console, one `--json`, one way to fail."""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from rich.console import Console
from rich.logging import RichHandler
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from retrieval_ko.errors import RetrievalError

out = Console(highlight=False)
"""Results, on standard output."""

notes = Console(stderr=True, highlight=False)
"""Progress, remarks and errors, on standard error, so that `--json` output stays clean."""


def print_json(value: Any) -> None:  # noqa: ANN401  any JSON value
    """Print `value` as JSON on standard output, Hangul readable, nothing else with it."""
    sys.stdout.write(json.dumps(value, ensure_ascii=False, indent=2) + "\n")


def log_to_terminal(level: int = logging.INFO) -> None:
    """Send the log records of this project's packages to standard error, one plain line each."""
    handler = RichHandler(console=notes, show_time=False, show_level=False, show_path=False, markup=False)
    for package in ("retrieval_ko", "training_ko", "sparse_ko", "dense_ko", "opensearch_ko"):
        logger = logging.getLogger(package)
        logger.setLevel(level)
        logger.handlers = [handler]
        logger.propagate = False


@contextmanager
def exit_on_error() -> Iterator[None]:
    """Turn a `RetrievalError` into its message on standard error and its exit code; let everything else through."""
    try:
        yield
    except RetrievalError as error:
        # The terminal wraps: a path that was broken by us could not be copied.
        notes.print(f"[bold red]Error:[/] {escape(error.problem)}", soft_wrap=True)
        if error.remedy:
            notes.print(escape(error.remedy), soft_wrap=True)
        raise SystemExit(error.exit_code) from None
    except KeyboardInterrupt:
        notes.print("Interrupted. Finished files are kept; nothing is half-written.")
        raise SystemExit(130) from None


def progress_bar(unit: str) -> Progress:
    """Return a progress bar on standard error that counts in `unit` and shows time used and time left."""
    return Progress(
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn(unit),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        console=notes,
    )
