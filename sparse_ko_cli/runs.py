"""`runs list | show | plot | compare | verdict | watch`, the same for both programs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape
from rich.table import Table

from retrieval_ko.runs import Run, find_runs
from retrieval_ko.runs.durations import in_words
from retrieval_ko.terminal import exit_on_error, notes, out, print_json
from sparse_ko_cli.runs_watch import LAST, watch_run

app = typer.Typer(help="Look at training runs: how they went, whether they went well, which is better.", no_args_is_help=True)
JsonOption = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]
RunArgument = Annotated[Path, typer.Argument(help="A run's folder; by default the one that began last.", metavar="RUN")]

BAD_EXIT_CODE, RUNNING_EXIT_CODE = 1, 3
MARKS = {True: "[green]good[/]", False: "[red]bad[/]", None: "[dim]–[/]"}
CURVES = {
    "dev_ndcg@10": ("dev nDCG@10", "{:.3f}"),
    "dev_recall@10": ("dev R@10", "{:.3f}"),
    "dev_accuracy": ("dev accuracy", "{:.3f}"),
    "dev_loss": ("valid loss", "{:.3f}"),
    "dev_document_dims": ("dims passage", "{:.0f}"),
    "dev_query_dims": ("dims query", "{:.0f}"),
    "dev_margin": ("margin", "{:.2f}"),
}
"""Columns of `runs show`, those that a run recorded."""


@app.command("list")
def list_runs(
    folder: Annotated[Path, typer.Argument(help="Folder that holds the runs.", metavar="DIR")] = Path("runs"), as_json: JsonOption = False
) -> None:
    """List the runs of a folder, oldest first.

    Example: sparse-ko runs list runs
    """
    with exit_on_error():
        rows = [{"run": str(run.folder), **run.look()} for run in find_runs(folder)]
        if as_json:
            print_json(rows)
            return
        table = Table("run", "state", "started", "took", "dev nDCG@10", "best step", box=None)
        for row in rows:
            quality = f"{row['dev_ndcg@10']:.3f}" if "dev_ndcg@10" in row else ""
            started = str(row["started_at"]).replace("T", " ").removesuffix("+00:00")
            table.add_row(escape(row["run"]), row["state"], started, in_words(row.get("seconds")), quality, str(row.get("best_step", "")))
        out.print(table)


@app.command()
def show(folder: RunArgument = LAST, as_json: JsonOption = False) -> None:
    """Show how a run went: its state, its data, and dev quality over time.

    Example: sparse-ko runs show runs/demo
    """
    with exit_on_error():
        run = Run(folder)
        metadata, events = run.look(), run.events()
        if as_json:
            print_json({"run": str(folder), **metadata, "events": events})
            return
        table = Table(box=None, show_header=False)
        for name, value in metadata.items():
            table.add_row(name, escape(str(value)))
        out.print(table)
        measured = [event for event in events if any(name in event for name in CURVES)]
        columns = {name: words for name, words in CURVES.items() if any(name in event for event in measured)}
        curve = Table("step", *(heading for heading, _ in columns.values()), box=None)
        for event in measured:
            curve.add_row(str(event["step"]), *(words.format(event[name]) if name in event else "" for name, (_, words) in columns.items()))
        out.print(curve)


@app.command()
def plot(
    folders: Annotated[list[Path], typer.Argument(help="Folders of runs; all in one picture.", metavar="RUN…")],
    target: Annotated[Path, typer.Option("--out", help="The picture: .png, or .html with a table.", metavar="FILE")] = Path("runs.png"),
    as_json: JsonOption = False,
) -> None:
    """Draw losses, dev quality and sparsity of several runs into one picture.

    Example: sparse-ko runs plot runs/first runs/second --out runs.html
    """
    with exit_on_error():
        from retrieval_ko.runs.charts import plot_runs  # matplotlib takes half a second to load

        runs = [Run(folder) for folder in folders]
        for run in runs:
            run.look()
        plot_runs(runs, target)
        if as_json:
            print_json({"picture": str(target), "runs": [str(folder) for folder in folders]})
        else:
            notes.print(f"Picture: {escape(str(target))}", soft_wrap=True)


@app.command()
def compare(
    first: Annotated[Path, typer.Argument(help="What the others are held against.", metavar="FIRST")],
    others: Annotated[list[Path], typer.Argument(help="One run or several.", metavar="RUN…")],
    as_json: JsonOption = False,
) -> None:
    """Say whether other runs' models are better on dev than the first one's, query by query.

    Only on identical dev data. Improved: nDCG@10 and Recall@10 both rise; p is that of nDCG@10.

    Example: sparse-ko runs compare runs/first runs/second
    """
    with exit_on_error():
        from retrieval_ko.runs.comparison import compare_runs

        report = compare_runs(Run(first), [Run(folder) for folder in others])
        if as_json:
            print_json(report)
            return
        on = report["dev"]
        table = Table("run", "nDCG@10", "R@10", "p", "p Holm", "improved", box=None)
        table.caption = f"differences to {report['first']}; {on['collection']}, {on['split']}: {on['queries']} queries"
        for row in report["comparisons"]:
            cells = [f"{row[metric]:+.4f}" for metric in ("ndcg@10", "recall@10")]
            table.add_row(escape(row["run"]), *cells, f"{row['p_value']:.4f}", f"{row['p_holm']:.4f}", "yes" if row["improved"] else "no")
        out.print(table)
        for row in report["comparisons"]:
            changes = ", ".join(f"{key}: {old} → {new}" for key, (old, new) in row["settings"].items())
            data = "" if row["same_training_data"] else "; other training data"
            notes.print(escape(f"{row['run']}: {changes or 'the same settings'}{data}"), soft_wrap=True)


@app.command()
def verdict(
    folder: RunArgument = LAST,
    at_least: Annotated[float, typer.Option(min=0, max=1, help="What the best dev measurement must reach.", metavar="SHARE")] = 0.0,
    as_json: JsonOption = False,
) -> None:
    """Judge whether training went well; say what each sign saw. The thresholds: docs/runs.md.

    Exit code 0: good; 1: bad; 3: still running, and nothing bad so far.

    Example: sparse-ko runs verdict runs/demo --at-least 0.5
    """
    with exit_on_error():
        from retrieval_ko.runs.verdict import Thresholds, judge_run

        found = judge_run(Run(folder), Thresholds(least=at_least))
        if as_json:
            print_json(found.as_json())
        else:
            table = Table("sign", "", "what it saw", box=None)
            for sign in found.signs:
                table.add_row(sign.name, MARKS[sign.good], escape(sign.saw))
            out.print(table)
            out.print(f"{escape(found.run)}: {found.outcome}", soft_wrap=True)
        if code := {"bad": BAD_EXIT_CODE, "running": RUNNING_EXIT_CODE}.get(found.outcome):
            raise typer.Exit(code)


app.command("watch")(watch_run)
