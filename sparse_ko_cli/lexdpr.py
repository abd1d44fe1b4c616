"""The command `lex-dpr`."""

from __future__ import annotations

import typer

from sparse_ko_cli import runs
from sparse_ko_cli.data.legal import preprocess_auto
from sparse_ko_cli.pairs import make_pairs, merge_corpus
from sparse_ko_cli.program import begin

app = typer.Typer(help="LexDPR: dense retrieval for Korean legal text.", no_args_is_help=True)
app.add_typer(runs.app, name="runs")
for command in (preprocess_auto, make_pairs, merge_corpus):
    app.command()(command)


app.callback(invoke_without_command=True)(begin)


def main() -> None:
    """Run `lex-dpr`."""
    app()
