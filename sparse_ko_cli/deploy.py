"""`sparse-ko deploy`: models into a cluster, versions side by side, the alias between them, and all of it down again."""

from __future__ import annotations

import re
import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape

from retrieval_ko.errors import UsageError
from retrieval_ko.terminal import exit_on_error, notes, print_json
from sparse_ko_cli import deploy_versions
from sparse_ko_cli.cluster import ClusterGroup, ClusterOption, JsonOption
from sparse_ko_cli.deploy_output import note, show_deployment, show_requests
from sparse_ko_cli.deploy_versions import DryRunOption

if TYPE_CHECKING:
    from opensearch_ko.bundle import Bundle
    from opensearch_ko.cluster import Cluster
    from opensearch_ko.deployment import Deployment
    from opensearch_ko.export.archive import ModelArchive


app = typer.Typer(name="deploy", cls=ClusterGroup, invoke_without_command=True)
deploy_versions.register(app)


@app.callback()
def deploy(
    context: typer.Context,
    model: Annotated[
        Path | None, typer.Option(help="A model folder, which is exported first, or a zip of `sparse-ko export`.", metavar="DIR|ZIP")
    ] = None,
    cluster: ClusterOption = None,
    index: Annotated[
        str | None, typer.Option(help="Index to make; by default the model's name, under an alias with the model's version behind it.")
    ] = None,
    query: Annotated[
        Path | None, typer.Option(help="A doc-only encoder's query zip; by default the one beside its own.", metavar="ZIP")
    ] = None,
    dense: Annotated[
        Path | None, typer.Option(help="Also a bi-encoder, for vectors beside the weights: a folder or a zip.", metavar="DIR|ZIP")
    ] = None,
    query_prefix: Annotated[
        str | None,
        typer.Option(help="With --dense: what the node puts before queries; by default the folder's template, or the zip's own."),
    ] = None,
    passage_prefix: Annotated[str | None, typer.Option(help="With --dense: the same before passages.")] = None,
    prune: Annotated[
        str | None, typer.Option(help="What is dropped of a passage's weights, as max_ratio:0.1; by default nothing.", metavar="TYPE:RATIO")
    ] = None,
    seismic: Annotated[bool, typer.Option("--seismic", help="Also a companion index for approximate search (3.3 and newer).")] = False,
    seismic_threshold: Annotated[
        int | None, typer.Option(min=1, help="With --seismic: segments with fewer passages are searched exactly; by default 1,000,000.")
    ] = None,
    alias: Annotated[
        str | None, typer.Option(help="Deploy a version behind this alias; it moves here at the first deploy, later by `promote`.")
    ] = None,
    via_url: Annotated[
        str | None,
        typer.Option(
            help="Let the node fetch the zip itself: its address, or its folder's with / at the end.", metavar="file://…|https://…"
        ),
    ] = None,
    shards: Annotated[int, typer.Option(min=1, help="Shards of a new index.")] = 1,
    replicas: Annotated[int, typer.Option(min=0, help="Replicas of a new index.")] = 0,
    apply_settings: Annotated[bool, typer.Option("--apply-settings", help="Change the cluster settings that stand in the way.")] = False,
    dry_run: DryRunOption = False,
    as_json: JsonOption = False,
) -> None:
    """Bring a model into a cluster: check, register, deploy, compare its answer, make pipeline and index. Safe to run again.

    Example: sparse-ko deploy --model runs/demo/model --cluster --index demo

    Versions: sparse-ko deploy --model NEW --cluster --alias demo, fill that index, then sparse-ko deploy promote --alias demo --index NAME
    """
    if context.invoked_subcommand is not None:
        return
    with exit_on_error(), tempfile.TemporaryDirectory(prefix="sparse-ko-") as folder:
        from opensearch_ko.bundle import bundle_of
        from opensearch_ko.cluster import connect
        from opensearch_ko.export.archive import ModelArchive
        from opensearch_ko.index_meta import SeismicSettings
        from opensearch_ko.pruning import Pruning
        from opensearch_ko.versions import version_index

        if model is None:
            raise UsageError("Nothing says what to deploy.", "sparse-ko deploy --model DIR|ZIP    or see: sparse-ko deploy --help")
        if dense is None and (query_prefix is not None or passage_prefix is not None):
            raise UsageError("--query-prefix and --passage-prefix are what the node puts before a dense model's texts.", "Add --dense.")
        if seismic_threshold is not None and not seismic:
            raise UsageError("--seismic-threshold goes with --seismic.", "Add --seismic.")
        settings = SeismicSettings(**({} if seismic_threshold is None else {"approximate_threshold": seismic_threshold}))
        pruning = Pruning.parse(prune) if prune else None
        _refuse_folders(via_url, model, dense)
        target = connect(cluster)
        encoder, found_query = _encoder(model, Path(folder), seismic)
        bundle = bundle_of(
            encoder,
            ModelArchive.read(query) if query else found_query,
            _dense(dense, Path(folder), query_prefix, passage_prefix) if dense else None,
            pruning=pruning,
            seismic=settings if seismic else None,
            via_url=via_url,
        )
        name = index or (version_index(alias, encoder.card.version) if alias else _index_name(encoder.card.name))
        if dry_run:
            _show_plan(target, bundle, name, alias, shards, replicas, apply_settings, as_json)
            return
        notes.print(f"[dim]{escape(target.url)}[/]")
        done = _deploy(target, bundle, name, alias, shards, replicas, apply_settings)
        if as_json:
            print_json(asdict(done) | {"already": done.already})
        else:
            show_deployment(done)


def _refuse_folders(via_url: str | None, *sources: Path | None) -> None:
    if via_url and (folder := next((source for source in sources if source and source.is_dir()), None)):
        raise UsageError(
            f"--via-url needs the very zip that lies at the address, and {folder} is a folder.",
            f"Export it first: sparse-ko export --model {folder} --out DIR    then put the zip there and name it: --model ZIP",
        )


def _encoder(model: Path, folder: Path, seismic: bool) -> tuple[ModelArchive, ModelArchive | None]:
    from opensearch_ko.export.archive import ModelArchive

    if not model.is_dir():
        return ModelArchive.read(model), None
    from opensearch_ko.export import export_model
    from sparse_ko_cli.requirement import need_torch

    need_torch("sparse-ko deploy --model DIR")
    notes.print(f"[dim]exporting {escape(str(model))}[/]")
    exported = export_model(model, folder / "encoder", fields=("rank_features", "sparse_vector") if seismic else ("rank_features",))
    return exported.encoder, exported.query


def _dense(dense: Path, folder: Path, query_prefix: str | None, passage_prefix: str | None) -> ModelArchive:
    from opensearch_ko.export.archive import ModelArchive
    from opensearch_ko.prefixes import check_asked

    if not dense.is_dir():
        archive = ModelArchive.read(dense)
        check_asked(archive, query_prefix, passage_prefix)
        return archive
    from opensearch_ko.export import export_dense
    from sparse_ko_cli.requirement import need_torch

    need_torch("sparse-ko deploy --dense DIR")
    notes.print(f"[dim]exporting {escape(str(dense))}[/]")
    return export_dense(dense, folder / "dense", query_prefix=query_prefix, passage_prefix=passage_prefix)


def _index_name(model_name: str) -> str:
    return re.sub(r"[^0-9a-z가-힣_.-]+", "-", model_name.lower()).strip("-_.") or "sparse-ko"


def _deploy(target: Cluster, bundle: Bundle, index: str, alias: str | None, shards: int, replicas: int, apply_settings: bool) -> Deployment:
    from opensearch_ko.deployment import deploy_bundle

    return deploy_bundle(
        target, bundle, index, alias=alias, apply_needed_settings=apply_settings, shards=shards, replicas=replicas, on_step=note
    )


def _show_plan(
    target: Cluster, bundle: Bundle, index: str, alias: str | None, shards: int, replicas: int, apply_settings: bool, as_json: bool
) -> None:
    from opensearch_ko.deployment import rehearse

    findings, requests = rehearse(
        target, bundle, index, alias=alias, apply_needed_settings=apply_settings, shards=shards, replicas=replicas
    )
    show_requests(target, requests, findings, as_json)
    if any(finding.level == "stop" and not (apply_settings and finding.settings) for finding in findings):
        raise SystemExit(1)
