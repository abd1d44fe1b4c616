"""The command `lex-dpr`."""

from __future__ import annotations

import typer

from sparse_ko_cli import runs
from sparse_ko_cli.data.legal import preprocess_auto
from sparse_ko_cli.program import begin

app = typer.Typer(help="LexDPR: dense retrieval for Korean legal text.", no_args_is_help=True)
app.add_typer(runs.app, name="runs")
app.command()(preprocess_auto)


app.callback(invoke_without_command=True)(begin)


def main() -> None:
    """Run `lex-dpr`."""
    app()
