"""`sparse-ko data`: collections made, checked, counted, split and widened; one file a verb."""

from __future__ import annotations

import typer

from sparse_ko_cli.data.check import check, stats
from sparse_ko_cli.data.legal import legal
from sparse_ko_cli.data.split import split

app = typer.Typer(help="Make collections, and look at them.", no_args_is_help=True)
for command in (legal, split, check, stats):
    app.command()(command)
