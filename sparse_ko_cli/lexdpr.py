"""The command `lex-dpr`."""

from __future__ import annotations

from importlib.metadata import version
from typing import Annotated

import typer

from retrieval_ko.terminal import log_to_terminal, out
from sparse_ko_cli import runs
from sparse_ko_cli.legal import preprocess_auto

app = typer.Typer(help="LexDPR: dense retrieval for Korean legal text.", no_args_is_help=True)
app.add_typer(runs.app, name="runs")
app.command()(preprocess_auto)


@app.callback(invoke_without_command=True)
def _options(show_version: Annotated[bool, typer.Option("--version", help="Print the version and stop.")] = False) -> None:
    log_to_terminal()
    if show_version:
        out.print(version("sparse-ko"))
        raise typer.Exit


def main() -> None:
    """Run `lex-dpr`."""
    app()
