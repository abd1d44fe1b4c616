"""What both programs do before any of their commands."""

from __future__ import annotations

from importlib.metadata import version
from typing import Annotated

import typer

from retrieval_ko.terminal import log_to_terminal, out


def begin(show_version: Annotated[bool, typer.Option("--version", help="Print the version and stop.")] = False) -> None:
    """Send remarks to the terminal; answer `--version`."""
    log_to_terminal()
    if show_version:
        out.print(version("sparse-ko"))
        raise typer.Exit
