"""`runs list` and `runs show`, the same for both programs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape
from rich.table import Table

from retrieval_ko.runs import Run, find_runs
from retrieval_ko.terminal import exit_on_error, out, print_json

app = typer.Typer(help="Look at training runs.", no_args_is_help=True)
JsonOption = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]


@app.command("list")
def list_runs(
    folder: Annotated[Path, typer.Argument(help="Folder that holds the runs.", metavar="DIR")] = Path("runs"), as_json: JsonOption = False
) -> None:
    """List the runs of a folder, oldest first.

    Example: sparse-ko runs list runs
    """
    with exit_on_error():
        rows = [{"run": str(run.folder), **run.metadata()} for run in find_runs(folder)]
        if as_json:
            print_json(rows)
            return
        table = Table("run", "state", "started", "dev nDCG@10", box=None)
        for row in rows:
            quality = f"{row['dev_ndcg@10']:.3f}" if "dev_ndcg@10" in row else ""
            table.add_row(escape(row["run"]), row["state"], row["started_at"], quality)
        out.print(table)


@app.command()
def show(folder: Annotated[Path, typer.Argument(help="A run's folder.", metavar="RUN")], as_json: JsonOption = False) -> None:
    """Show how a run went: its state, its data, and dev quality over time.

    Example: sparse-ko runs show runs/demo
    """
    with exit_on_error():
        run = Run(folder)
        metadata, events = run.metadata(), run.events()
        if as_json:
            print_json({"run": str(folder), **metadata, "events": events})
            return
        table = Table(box=None, show_header=False)
        for name, value in metadata.items():
            table.add_row(name, escape(str(value)))
        out.print(table)
        curve = Table("step", "dev nDCG@10", "dims passage", "dims query", box=None)
        for event in events:
            if "dev_ndcg@10" in event:
                dims = [f"{event[name]:.0f}" for name in ("dev_document_dims", "dev_query_dims")]
                curve.add_row(str(event["step"]), f"{event['dev_ndcg@10']:.3f}", *dims)
        out.print(curve)
