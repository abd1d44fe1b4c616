"""The command `lex-dpr`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import typer

from sparse_ko_cli import runs
from sparse_ko_cli.data.legal import preprocess_auto
from sparse_ko_cli.freed_memory import keep_freed_memory
from sparse_ko_cli.lexdpr_embed import embed
from sparse_ko_cli.lexdpr_evaluate import evaluate
from sparse_ko_cli.lexdpr_margins import margins
from sparse_ko_cli.lexdpr_mine import mine
from sparse_ko_cli.lexdpr_teacher import app as teacher
from sparse_ko_cli.lexdpr_teacher import distill
from sparse_ko_cli.lexdpr_train import train
from sparse_ko_cli.pairs import make_pairs, merge_corpus
from sparse_ko_cli.program import begin
from sparse_ko_cli.publish import publish_command
from sparse_ko_cli.sweep import sweep_app
from sparse_ko_cli.sweep_programs import dense_program

app = typer.Typer(help="LexDPR: dense retrieval for Korean legal text.", no_args_is_help=True)
app.add_typer(runs.app, name="runs")
app.add_typer(sweep_app(dense_program), name="sweep")
commands: tuple[Callable[..., Any], ...] = (preprocess_auto, make_pairs, merge_corpus, train, mine, evaluate, embed, distill, margins)
commands += (publish_command("lex-dpr"),)
for command in commands:
    app.command()(command)

app.add_typer(teacher, name="teacher")

app.callback(invoke_without_command=True)(begin)


def main() -> None:
    """Run `lex-dpr`."""
    keep_freed_memory()
    app()


if __name__ == "__main__":  # `accelerate launch -m` names a module
    main()
