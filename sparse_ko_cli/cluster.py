"""`sparse-ko deploy`, `index` and `search`: everything that a person asks of a cluster."""

from __future__ import annotations

import json
import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer
from rich.markup import escape
from rich.table import Table
from typer.core import TyperCommand

from retrieval_ko.errors import UsageError
from retrieval_ko.terminal import exit_on_error, notes, out, print_json, progress_bar

if TYPE_CHECKING:
    from opensearch_ko.cluster import Cluster
    from opensearch_ko.deployment import PlannedRequest
    from opensearch_ko.export.archive import ModelArchive
    from opensearch_ko.ingest import EncodeDocuments, IngestReport
    from opensearch_ko.preflight import Finding
    from opensearch_ko.queries import SearchAnswer

_CLUSTER_VALUE = re.compile(r"[A-Za-z0-9][\x21-\x7e]*")


class ClusterCommand(TyperCommand):
    """A command whose `--cluster` may stand without a value: the environment's cluster, else the running embedded node.

    Typer has no options with an optional value, so the missing one is filled in before parsing. What follows `--cluster` is
    its value if it could be an address or a profile's name: no option, no white space, no Hangul.
    """

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:  # noqa: ANN401  click's or typer's own context
        """Parse `args` as Typer does, `--cluster` completed."""
        return super().parse_args(ctx, complete_cluster(args))


def complete_cluster(args: list[str]) -> list[str]:
    """Return `args` with an empty value after every `--cluster` that has none."""
    completed: list[str] = []
    for position, argument in enumerate(args):
        if argument == "--":
            return completed + args[position:]
        completed.append(argument)
        following = args[position + 1] if position + 1 < len(args) else ""
        if argument == "--cluster" and following and not _CLUSTER_VALUE.fullmatch(following):
            completed.append("")
        elif argument == "--cluster" and not following:
            completed += [] if position + 1 < len(args) else [""]
    return completed


ClusterOption = Annotated[
    str | None,
    typer.Option(
        help="Address or profile. Without a value, or left out: SPARSE_KO_CLUSTER, else the running embedded node. "
        "User and password: SPARSE_KO_CLUSTER_USER, SPARSE_KO_CLUSTER_PASSWORD.",
        metavar="[URL|PROFILE]",
        show_default=False,
    ),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]


def register(app: typer.Typer) -> None:
    """Add `deploy`, `index` and `search` to the application."""
    for command in (deploy, index, search):
        app.command(cls=ClusterCommand)(command)


def deploy(
    model: Annotated[
        Path, typer.Option(help="A model folder, which is exported first, or a zip of `sparse-ko export`.", metavar="DIR|ZIP")
    ],
    cluster: ClusterOption = None,
    index: Annotated[str | None, typer.Option(help="Index to make; by default the model's name.")] = None,
    shards: Annotated[int, typer.Option(min=1, help="Shards of a new index.")] = 1,
    replicas: Annotated[int, typer.Option(min=0, help="Replicas of a new index.")] = 0,
    apply_settings: Annotated[bool, typer.Option("--apply-settings", help="Change the cluster settings that stand in the way.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print every request that would be sent, and write nothing.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Bring a model into a cluster: check, register, deploy, compare its answer, make pipeline and index. Safe to run again."""
    with exit_on_error(), _archive(model) as archive:
        from opensearch_ko.cluster import connect
        from opensearch_ko.deployment import deploy_archive

        name = index or _index_name(archive.card.name)
        target = connect(cluster)
        if dry_run:
            _show_plan(target, archive, name, shards, replicas, as_json)
            return
        notes.print(f"[dim]{escape(target.url)}[/]")
        done = deploy_archive(
            target,
            archive,
            name,
            apply_needed_settings=apply_settings,
            shards=shards,
            replicas=replicas,
            on_step=lambda step: notes.print(f"  {escape(step)}"),
        )
        if as_json:
            print_json(asdict(done) | {"already": done.already})
            return
        table = Table(box=None, show_header=False, pad_edge=False)
        state = {True: "already there", False: "new"}
        table.add_row("model", done.model_id, "already deployed" if done.model_already else "deployed")
        table.add_row("answer", f"differs by at most {done.largest_difference:.1e} from the exported model's", "")
        table.add_row("pipeline", done.pipeline, state[done.pipeline_already])
        table.add_row("index", done.index, state[done.index_already])
        out.print(table)
        if done.already:
            out.print("Already deployed; nothing was changed.")
        elif not done.index_already:
            out.print(f"Next: sparse-ko index --index {escape(done.index)} --collection DIR")


def index(
    index: Annotated[str, typer.Option(help="Index that `sparse-ko deploy` made.")],
    collection: Annotated[Path, typer.Option(help="Collection folder (BEIR: corpus.jsonl).", metavar="DIR")],
    cluster: ClusterOption = None,
    encode: Annotated[
        Literal["cluster", "client"],
        typer.Option(help="Where the weights are computed: by the deployed model, or on this machine in batches (needs --model)."),
    ] = "cluster",
    model: Annotated[Path | None, typer.Option(help="Model folder for --encode client.", metavar="DIR")] = None,
    failures: Annotated[Path | None, typer.Option(help="File for passages that are refused; by default INDEX-failed.jsonl.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Write a collection's passages into an index. Safe to run again: a passage keeps its id."""
    with exit_on_error():
        from opensearch_ko.cluster import connect
        from opensearch_ko.ingest import index_collection
        from retrieval_ko.collection import Collection
        from retrieval_ko.text import content_terms

        if (encode == "client") != (model is not None):
            raise UsageError(
                "--encode client and --model DIR go together: the folder's model encodes on this machine.",
                f"For example: sparse-ko index --index {index} --collection {collection} --encode client --model DIR",
            )
        target = connect(cluster)
        encode_documents = _client_encoder(target, index, model) if model else None
        passages = Collection.read(collection).passages
        with progress_bar("passages") as bar:
            task = bar.add_task("indexing", total=len(passages))
            report = index_collection(
                target,
                index,
                passages.values(),
                content_terms=content_terms,
                encode=encode,
                encode_documents=encode_documents,
                on_progress=lambda done: bar.update(task, completed=done),
                failures=failures,
            )
        if as_json:
            print_json(asdict(report) | {"failures": str(report.failures) if report.failures else None})
        else:
            out.print(f"{report.indexed:,} passages in {escape(index)}, {report.seconds:.1f} s.")
        if report.failed:
            notes.print(f"[bold red]{report.failed:,} passages were refused[/]; why, one a line: {escape(str(report.failures))}")
            _explain_refusal(report)
            raise SystemExit(1)


def search(
    query: Annotated[str, typer.Argument(help="A question or keywords.")],
    index: Annotated[str, typer.Option(help="Index to search.")],
    cluster: ClusterOption = None,
    mode: Annotated[Literal["bm25", "sparse"], typer.Option(help="Kiwi morphemes, or the deployed encoder.")] = "sparse",
    size: Annotated[int, typer.Option(min=1, max=10_000, help="How many hits.")] = 10,
    explain: Annotated[bool, typer.Option("--explain", help="Show which tokens matched and what each added to the score.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Search an index."""
    with exit_on_error():
        from opensearch_ko.cluster import connect
        from opensearch_ko.queries import search as search_index
        from retrieval_ko.text import content_terms

        if not query.strip():
            raise UsageError("The query is empty.", 'For example: sparse-ko search --index NAME "전세 보증금 반환"')
        answer = search_index(connect(cluster), index, query, mode, content_terms=content_terms, size=size, terms=explain or as_json)
        if as_json:
            print_json(answer.model_dump())
        else:
            _show_answer(answer, explain)


def _explain_refusal(report: IngestReport) -> None:
    """Show the first reason, and the way out of the usual one: a node that was restarted needs a while for its models."""
    from retrieval_ko.files import read_jsonl

    if report.failures is None:
        return
    _, first = next(read_jsonl(report.failures))
    notes.print(f"The first: {escape(str(first['_id']))}: {escape(str(first['reason']))}")
    if "Model not ready yet" in str(first["reason"]):
        notes.print("Start the model again, then repeat this: sparse-ko deploy --model DIR|ZIP --index NAME")


@contextmanager
def _archive(model: Path) -> Iterator[ModelArchive]:
    from opensearch_ko.export.archive import ModelArchive

    if not model.is_dir():
        yield ModelArchive.read(model)
        return
    from opensearch_ko.export import export_model

    with tempfile.TemporaryDirectory(prefix="sparse-ko-") as folder:
        notes.print(f"[dim]exporting {escape(str(model))}[/]")
        yield export_model(model, Path(folder))


def _index_name(model_name: str) -> str:
    return re.sub(r"[^0-9a-z가-힣_.-]+", "-", model_name.lower()).strip("-_.") or "sparse-ko"


def _client_encoder(target: Cluster, index: str, model: Path) -> EncodeDocuments:
    from opensearch_ko.indexes import read_meta
    from retrieval_ko.files import folder_sha256
    from sparse_ko.model import SparseEncoder

    encoder = SparseEncoder.load(model)
    meta = read_meta(target, index)
    version = folder_sha256(model)[:12]
    if meta and meta.encoder.version != version:
        raise UsageError(
            f"The index {index} belongs to version {meta.encoder.version} of {meta.encoder.name}; the folder {model} is version {version}.",
            f"Their weights cannot be mixed. Make an index for this one: sparse-ko deploy --model {model} --index OTHER",
        )
    return lambda texts: encoder.to_tokens(encoder.encode_document(texts))


def _show_plan(target: Cluster, archive: ModelArchive, index: str, shards: int, replicas: int, as_json: bool) -> None:
    from opensearch_ko.deployment import plan_deployment, survey

    found = survey(target, archive, index)
    findings = found.findings
    requests = plan_deployment(target, archive, index, found, shards=shards, replicas=replicas)
    if as_json:
        print_json(
            {"cluster": target.url, "findings": [asdict(finding) for finding in findings], "requests": [asdict(r) for r in requests]}
        )
    else:
        _show_findings(findings)
        for request in requests:
            _show_request(request)
        out.print("[dim]Nothing was written (--dry-run).[/]")
    if any(finding.level == "stop" for finding in findings):
        raise SystemExit(1)


def _show_findings(findings: list[Finding]) -> None:
    marks = {"stop": "[bold red]stop[/]", "warning": "[yellow]warning[/]", "fine": "[green]fine[/]"}
    for finding in findings:
        out.print(f"{marks[finding.level]}  {escape(finding.what)}")
        if finding.remedy:
            out.print(f"      {escape(finding.remedy)}")


def _show_request(request: PlannedRequest) -> None:
    out.print(f"\n[bold]{request.method}[/] {escape(request.path)}")
    if request.body is not None:
        body = request.body if isinstance(request.body, str) else json.dumps(request.body, ensure_ascii=False, indent=2)
        out.print(escape(body), soft_wrap=True)


def _show_answer(answer: SearchAnswer, explain: bool) -> None:
    if not answer.hits:
        out.print("No hit.")
        return
    table = Table(caption=f"{answer.mode}, {answer.took_ms} ms on the server", box=None, pad_edge=False)
    table.add_column("score", justify="right")
    table.add_column("id", overflow="fold")
    table.add_column("passage", overflow="fold")
    for hit in answer.hits:
        text = " ".join(hit.text.split())
        shown = [f"[bold]{escape(hit.title)}[/]"] if hit.title else []
        shown.append(escape(text if len(text) <= 160 else f"{text[:160]}…"))
        if explain:
            shown.append(f"[cyan]{escape('  '.join(f'{token} {added:.2f}' for token, added in list(hit.terms.items())[:12]))}[/]")
        table.add_row(f"{hit.score:.3f}", escape(hit.id), "\n".join(shown))
    out.print(table)
