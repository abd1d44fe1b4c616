"""`sparse-ko index`: a collection's passages into an index."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer
from rich.markup import escape
from rich.progress import Progress, ProgressColumn, Task
from rich.text import Text

from retrieval_ko.errors import UsageError
from retrieval_ko.terminal import exit_on_error, notes, out, print_json, progress_bar
from sparse_ko_cli.cluster import ClusterOption, JsonOption

if TYPE_CHECKING:
    from opensearch_ko.cluster import Cluster
    from opensearch_ko.encoding import PassageEncoder
    from opensearch_ko.ingest import IngestReport


def index(
    index: Annotated[str, typer.Option(help="Index that `sparse-ko deploy` made.")],
    collection: Annotated[Path, typer.Option(help="Collection folder (BEIR: corpus.jsonl).", metavar="DIR")],
    cluster: ClusterOption = None,
    encode: Annotated[
        Literal["cluster", "client"],
        typer.Option(help="Where the weights are computed: by the deployed model, or on this machine in batches (needs --model)."),
    ] = "cluster",
    model: Annotated[
        Path | None, typer.Option(help="For --encode client: a model folder, or a zip with an ONNX graph.", metavar="DIR|ZIP")
    ] = None,
    dense: Annotated[
        Path | None,
        typer.Option(
            help="For --encode client, where the index has a dense field: its model's folder, or its ONNX zip.", metavar="DIR|ZIP"
        ),
    ] = None,
    passage_prefix: Annotated[
        str | None, typer.Option(help="With --dense: what stands before a passage; by default what the index's dense model has.")
    ] = None,
    checkpoint: Annotated[
        Path | None,
        typer.Option(help="File that says which passages are in, to go on from; by default in the user's cache folder.", metavar="FILE"),
    ] = None,
    workers: Annotated[int, typer.Option(help="Processes for Kiwi; 0: one a core.", min=0)] = 0,
    cache: Annotated[bool, typer.Option("--cache/--no-cache", help="Keep Kiwi's analyses on disk and use those that are there.")] = True,
    failures: Annotated[
        Path | None, typer.Option(help="File for passages that are refused; by default INDEX-failed.jsonl.", metavar="FILE")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Write a collection's passages into an index. Safe to run again, after a crash too: it goes on where it was.

    Example: sparse-ko index --index demo --collection my-collection --encode client --model runs/demo/model
    """
    with exit_on_error():
        from opensearch_ko.cluster import connect
        from opensearch_ko.ingest import Corpus, default_checkpoint, index_collection
        from retrieval_ko.terms import available_cores

        _check_options(index, collection, encode, model, dense, passage_prefix)
        target = connect(cluster)
        encoder = _encoder(target, index, model, dense, passage_prefix) if model else None
        corpus = Corpus.check(collection)
        if checkpoint is None:
            checkpoint, others = default_checkpoint(target, index, corpus.sha256)
            for other in others if not checkpoint.exists() else []:
                notes.print(f"An unfinished run of another collection or model is left aside, this one begins anew: {escape(str(other))}")
        with progress_bar("passages") as bar:
            bar.columns = (*bar.columns, _Speed())
            report = index_collection(
                target,
                index,
                corpus,
                workers=workers or available_cores(),
                term_cache=cache,
                encode=encode,
                encoder=encoder,
                checkpoint=checkpoint,
                collection_sha256=corpus.sha256,
                on_progress=ShownPassages(bar, len(corpus)),
                on_step=lambda step: bar.console.print(f"  {escape(step)}", soft_wrap=True),
                failures=failures,
            )
        _show(report, index, as_json)
        if report.failed:
            raise SystemExit(1)


class ShownPassages:
    """The bar of passages, begun with the first ones that are told: what a checkpoint skips is done, and is no speed.

    Args:
        bar: to show them in.
        total: passages of the collection.
    """

    def __init__(self, bar: Progress, total: int) -> None:
        self._bar, self._task, self._total = bar, bar.add_task("indexing", total=total), total
        self._begun = False

    def __call__(self, done: int) -> None:
        """Show that so many passages are done."""
        if self._begun:
            self._bar.update(self._task, completed=done)
        else:
            self._bar.reset(self._task, total=self._total, completed=done)
            self._begun = True


class _Speed(ProgressColumn):
    """Passages a second."""

    def render(self, task: Task) -> Text:
        """Return the speed of the last half minute."""
        speed = task.finished_speed or task.speed
        return Text(f"{speed:,.0f} docs/s" if speed else "")


def _check_options(index: str, collection: Path, encode: str, model: Path | None, dense: Path | None, prefix: str | None) -> None:
    example = f"For example: sparse-ko index --index {index} --collection {collection} --encode client --model DIR|ZIP"
    if (encode == "client") != (model is not None):
        raise UsageError("--encode client and --model DIR|ZIP go together: the model encodes on this machine.", example)
    if dense is not None and encode != "client":
        raise UsageError(
            "--dense DIR|ZIP goes with --encode client; in the cluster the deployed dense model computes the vectors.", example
        )
    if prefix is not None and dense is None:
        raise UsageError("--passage-prefix goes with --dense DIR|ZIP; in the cluster the deployed dense model puts its own.", example)


def _encoder(target: Cluster, index: str, model: Path, dense: Path | None, prefix: str | None) -> PassageEncoder:
    from opensearch_ko.encoding import check_versions, load_encoder
    from opensearch_ko.indexes import missing_index, read_meta

    meta = read_meta(target, index)
    if meta is None:
        raise missing_index(target, index)
    check_versions(meta, index, model, dense)
    return load_encoder(model, dense, meta=meta, prefix=prefix)


def _show(report: IngestReport, index: str, as_json: bool) -> None:
    if as_json:
        shown: dict[str, Any] = asdict(report)
        print_json(shown | {name: str(shown[name]) if shown[name] else None for name in ("failures", "checkpoint")})
    else:
        before = f", {report.skipped:,} were in already" if report.skipped else ""
        out.print(
            f"{report.indexed:,} passages in {escape(index)}{before}, {report.seconds:.1f} s, {report.docs_per_second:,.0f} docs/s.",
            soft_wrap=True,
        )
    if report.failed:
        from retrieval_ko.files import read_jsonl

        assert report.failures is not None
        _, first = next(read_jsonl(report.failures))
        notes.print(f"[bold red]{report.failed:,} passages were refused[/]; the reasons: {escape(str(report.failures))}", soft_wrap=True)
        notes.print(f"The first: {escape(str(first['_id']))}: {escape(str(first['reason']))}", soft_wrap=True)
        notes.print("The same command tries these again, and no other.")
