"""`sparse-ko node`: an OpenSearch of one's own, without Docker."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated

import typer
from pydantic import ValidationError

from opensearch_ko.node import EmbeddedNode, NodeSettings, NodeStatus
from opensearch_ko.node.settings import DEFAULT_VERSION
from retrieval_ko.errors import UsageError
from retrieval_ko.terminal import exit_on_error, log_to_terminal, notes, out, print_json, progress_bar

app = typer.Typer(name="node", help="An OpenSearch node of one's own, assembled from Maven Central.", no_args_is_help=True)

Home = Annotated[
    Path | None,
    typer.Option("--home", help="Folder of data, logs and state.", show_default="$SPARSE_KO_NODE_HOME, else the user's data folder"),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]


@app.command()
def start(
    nodes: Annotated[int, typer.Option(help="Nodes in the cluster, all on this machine.")] = 1,
    port: Annotated[int, typer.Option(help="HTTP port of the first node, the next ones follow it; 0 chooses free ones.")] = 9200,
    heap: Annotated[str, typer.Option(help="Java heap of each node; BERT-base models need 2g.")] = "1g",
    version: Annotated[str, typer.Option(help="OpenSearch version.")] = DEFAULT_VERSION,
    home: Home = None,
    fresh: Annotated[bool, typer.Option("--fresh", help="Empty the data first.")] = False,
    as_json: AsJson = False,
) -> None:
    """Start the node and wait until ML Commons answers; the first time its software is fetched (700 MB).

    Example: sparse-ko node start --heap 2g
    """
    log_to_terminal()
    with exit_on_error():
        try:
            settings = NodeSettings(nodes=nodes, port=port, heap=heap, version=version, home=home, fresh=fresh)
        except ValidationError as failure:
            wrong = "; ".join(f"--{error['loc'][0]}: {error['msg'].removeprefix('Value error, ')}" for error in failure.errors())
            raise UsageError(f"{wrong}.", "See: sparse-ko node start --help") from failure
        bar = progress_bar("files")
        task = bar.add_task("checking", total=None)
        with bar:
            status = EmbeddedNode(settings).start(
                lambda what, done, total: bar.update(task, description=what, completed=done, total=total or None)
            )
            bar.update(task, visible=False)
        _show(status, as_json)


@app.command()
def status(home: Home = None, as_json: AsJson = False) -> None:
    """Say whether the node is running, and where.

    Example: sparse-ko node status --json
    """
    with exit_on_error():
        _show(EmbeddedNode(NodeSettings(home=home)).status(), as_json)


@app.command()
def stop(home: Home = None, as_json: AsJson = False) -> None:
    """End the node that was started in this home, and nothing else. Its data stays.

    Example: sparse-ko node stop
    """
    log_to_terminal()
    with exit_on_error():
        node = EmbeddedNode(NodeSettings(home=home))
        stopped = node.stop()
        if as_json:
            print_json({"stopped": stopped, "home": str(node.home)})
        else:
            out.print(f"Stopped the node of {node.home}." if stopped else f"No node of {node.home} is running.")


@app.command()
def logs(
    home: Home = None,
    lines: Annotated[int, typer.Option(min=1, help="How many of the last lines of each node.")] = 50,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on printing what is logged, until Ctrl-C.")] = False,
) -> None:
    """Print the end of the node's log.

    Example: sparse-ko node logs --lines 200 --follow
    """
    with exit_on_error():
        node = EmbeddedNode(NodeSettings(home=home))
        files = node.log_files()
        if not files:
            notes.print(f"There is no log in {node.home}: nothing was started there.")
        for line in node.log_tail(lines):
            out.print(line, markup=False, soft_wrap=True)
        if follow and files:
            _follow(files)


def _follow(files: list[Path]) -> None:
    """Print what is added to the files. A file that shrank was rolled over and is read from its beginning."""
    read = {file: file.stat().st_size for file in files}
    while True:
        for file in files:
            size = file.stat().st_size if file.exists() else 0
            if size < read[file]:
                read[file] = 0
            if size > read[file]:
                with file.open("rb") as opened:
                    opened.seek(read[file])
                    added = opened.read(size - read[file])
                read[file] = size
                out.print(added.decode("utf-8", "replace"), markup=False, soft_wrap=True, end="")
        time.sleep(0.5)


def _show(status: NodeStatus, as_json: bool) -> None:
    if as_json:
        print_json(status.model_dump(mode="json"))
    elif status.running:
        out.print(f"OpenSearch {status.version} answers on {status.url} ({status.nodes} node(s), heap {status.heap}).")
        out.print(f"pid {', '.join(map(str, status.pids))}; data and logs: {status.home}")
    elif status.pids:
        out.print(
            f"{len(status.pids)} of {status.nodes} nodes are running on {status.url}; `sparse-ko node start` starts the others again."
        )
    else:
        out.print(f"No node of {status.home} is running.")
