"""The command `sparse-ko`."""

from __future__ import annotations

import typer

from sparse_ko_cli import benchmark, data, deploy, export, node, runs, search, vocab
from sparse_ko_cli.cluster import ClusterCommand
from sparse_ko_cli.demo import demo
from sparse_ko_cli.encoder import encode
from sparse_ko_cli.evaluate import evaluate
from sparse_ko_cli.explain import explain
from sparse_ko_cli.freed_memory import keep_freed_memory
from sparse_ko_cli.index import index
from sparse_ko_cli.interleave import interleave
from sparse_ko_cli.pretrain import pretrain
from sparse_ko_cli.program import begin
from sparse_ko_cli.publish import publish_command
from sparse_ko_cli.sweep import sweep_app
from sparse_ko_cli.sweep_programs import sparse_program
from sparse_ko_cli.train import train

app = typer.Typer(
    help="Korean sparse retrieval for OpenSearch: train an encoder, deploy it into the cluster, measure it against BM25.\n\n"
    "Start with: sparse-ko demo",
    no_args_is_help=True,
    pretty_exceptions_show_locals=False,
)
for command in (demo, pretrain, train, evaluate, interleave, encode, explain):
    app.command()(command)
app.command()(publish_command("sparse-ko"))
app.command(cls=ClusterCommand)(index)
app.add_typer(benchmark.app, name="benchmark")
app.add_typer(deploy.app, name="deploy")
app.add_typer(export.app, name="export")
app.add_typer(node.app, name="node")
app.add_typer(data.app, name="data")
app.add_typer(runs.app, name="runs")
app.add_typer(search.app, name="search")
app.add_typer(sweep_app(sparse_program), name="sweep")
app.add_typer(vocab.app, name="vocab")


app.callback(invoke_without_command=True)(begin)


def main() -> None:
    """Run `sparse-ko`."""
    keep_freed_memory()
    app()
