"""Model archives into a cluster, from the first question to an index that can be filled; safe to run again."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from opensearch_ko.bundle import Bundle, bundle_of
from opensearch_ko.cluster import Cluster
from opensearch_ko.cluster_facts import ClusterFacts, probe
from opensearch_ko.errors import ClusterError
from opensearch_ko.export.archive import ModelArchive
from opensearch_ko.index_creation import check_index, ensure_companion, ensure_index
from opensearch_ko.index_meta import DenseReference, IndexMeta, ModelReference, SeismicSettings, card_fingerprint
from opensearch_ko.indexes import IndexPlan, check_index_name, read_meta, seismic_name
from opensearch_ko.inventory import model_of
from opensearch_ko.models import (
    DeployedModel,
    Probe,
    Step,
    ensure_deployed,
    ensure_running,
    find_models,
    keep_running,
    model_state,
    verify_deployed,
)
from opensearch_ko.pipelines import ensure_pipeline, pipeline_name
from opensearch_ko.preflight import Finding, Needs, apply_settings, preflight, settings_that_mend
from opensearch_ko.pruning import Pruning
from opensearch_ko.rehearsal import PlannedRequest, Rehearsal
from opensearch_ko.versions import alias_target, point_first

__all__ = ["Deployment", "PlannedRequest", "Survey", "deploy_archive", "deploy_bundle", "ensure_running", "rehearse", "survey"]


@dataclass(frozen=True)
class Deployment:
    """What stands on the cluster now, and what of it was there before."""

    model_id: str
    index: str
    pipeline: str
    largest_difference: float
    """Between the nodes' weights and the cards', for the cards' sentence, over all models."""
    model_already: bool
    """All models ran before."""
    pipeline_already: bool
    index_already: bool
    """The companion index counts in."""
    query_model_id: str | None = None
    dense_model_id: str | None = None
    seismic_index: str | None = None
    alias: str | None = None
    alias_index: str | None = None
    """Where `alias` points: at `index` after a first deploy, at the version before until `deploy promote`."""
    alias_already: bool = True

    @property
    def already(self) -> bool:
        """Whether nothing was changed."""
        return self.model_already and self.pipeline_already and self.index_already and self.alias_already


@dataclass(frozen=True)
class Survey:
    """What a deploy would meet.

    Args:
        facts: of the cluster.
        findings: of the preflight.
        before: what the index remembers that stands there already.
        known: hash of a zip to the id of its model, where the cluster has it.
    """

    facts: ClusterFacts
    findings: list[Finding]
    before: IndexMeta | None = None
    known: dict[str, str] = field(default_factory=dict)


def survey(cluster: Cluster, bundle: Bundle, index: str) -> Survey:
    """Look at a cluster as a deploy would find it. Reads only.

    Raises:
        ClusterError: it does not answer, or `index` is not ours, or an alias.
        UsageError: `index` is not a name for an index.
    """
    check_index_name(index)
    if (found := cluster.find(f"/{index}/_alias")) and index not in found:
        raise ClusterError(
            f"{cluster.url}: {index} is an alias of {', '.join(sorted(found))}, so no index can be made under that name.",
            f"Deploy a version behind it: --alias {index}    or into the index itself: --index {min(found)}",
        )
    facts = probe(cluster)
    needs = Needs(bundle.archives, [], bundle.seismic is not None, bundle.via_url)
    findings = preflight(facts, needs)
    if any(finding.level == "stop" for finding in findings):
        return Survey(facts, findings)
    before = read_meta(cluster, index)
    known = {archive.sha256: model_id for archive in bundle.archives if (model_id := _known_model(cluster, archive, before))}
    running = {sha for sha, model_id in known.items() if model_state(cluster, model_id) == "DEPLOYED"}
    to_load = [archive for archive in bundle.archives if archive.sha256 not in running]
    return Survey(facts, preflight(facts, replace(needs, to_load=to_load)), before, known)


def deploy_archive(
    cluster: Cluster,
    archive: ModelArchive,
    index: str,
    *,
    query: ModelArchive | None = None,
    dense: ModelArchive | None = None,
    pruning: Pruning | None = None,
    seismic: SeismicSettings | None = None,
    alias: str | None = None,
    via_url: str | None = None,
    apply_needed_settings: bool = False,
    shards: int = 1,
    replicas: int = 0,
    on_step: Step,
) -> Deployment:
    """Bring models into a cluster: preflight, register, deploy, compare, pipeline, index, alias.

    An index that stands there already keeps what is not named here: its dense model, its pruning, its companion.

    Args:
        cluster: where.
        archive: the encoder, as `sparse-ko export` wrote it.
        index: made if absent; refused, before anything is written, if it belongs to another model.
        query: a doc-only encoder's query tokenizer; None: the zip beside the encoder's, where it needs one.
        dense: a bi-encoder for the field `dense`.
        pruning: of passages' weights, in the pipeline and on the client.
        seismic: of a companion index; ceilings that were not set come from the cards' heaviest weights.
        alias: made to point at the index where it does not exist yet; an existing one stays until `promote`.
        via_url: where the nodes fetch the zips (see `Bundle`); None: they are sent in chunks.
        apply_needed_settings: whether cluster settings that stand in the way may be changed.
        shards: of a new index.
        replicas: of a new index.
        on_step: told each step, in a few words.

    Raises:
        ClusterError: something stops the deploy, with what mends it.
        ModelError, UsageError: the zips do not go together, or `index` is not a name for an index.
    """
    bundle = bundle_of(archive, query, dense, pruning=pruning, seismic=seismic, via_url=via_url)
    return deploy_bundle(
        cluster,
        bundle,
        index,
        alias=alias,
        apply_needed_settings=apply_needed_settings,
        shards=shards,
        replicas=replicas,
        on_step=on_step,
    )


def deploy_bundle(
    cluster: Cluster,
    bundle: Bundle,
    index: str,
    *,
    alias: str | None = None,
    apply_needed_settings: bool = False,
    shards: int = 1,
    replicas: int = 0,
    on_step: Step,
) -> Deployment:
    """Bring zips that go together into a cluster; see `deploy_archive`.

    Raises:
        ClusterError: something stops the deploy, with what mends it.
        UsageError: `index` is not a name for an index.
    """
    found = survey(cluster, bundle, index)
    settings = settings_that_mend(found.findings, warnings_too=True) if apply_needed_settings else {}
    if settings:
        on_step(f"cluster settings: {', '.join(f'{name}={str(value).lower()}' for name, value in settings.items())}")
        apply_settings(cluster, settings)
        found = survey(cluster, bundle, index)
    refuse_stops(cluster, found.findings)
    for finding in found.findings:
        if finding.level == "warning":
            on_step(f"warning: {finding.what}. {finding.remedy}")
    alias_index = alias_target(cluster, alias) if alias else None
    if found.before:
        planned = _meta(bundle, found.before, {archive.sha256: "" for archive in bundle.archives}, alias)
        check_index(cluster, IndexPlan(index, planned), found.before)
    deployed: dict[str, DeployedModel] = {}
    differences = []
    for one in bundle.archives:
        deployed[one.sha256] = ensure_deployed(cluster, one, on_step, found.known.get(one.sha256), bundle.url_of(one))
        differences.append(verify_deployed(cluster, deployed[one.sha256].model_id, one.card))
    meta = _meta(bundle, found.before, {sha: model.model_id for sha, model in deployed.items()}, alias)
    for model in meta.models:
        if model.model_id not in {one.model_id for one in deployed.values()}:  # the index had it, and this deploy did not name it
            keep_running(cluster, model.model_id, model.title, on_step)
    plan = IndexPlan(index, meta, shards, replicas, nori=found.facts.has_nori)
    pipeline_written = ensure_pipeline(cluster, index, meta)
    written = ensure_index(cluster, plan, found.before)
    if meta.seismic:
        written = ensure_companion(cluster, plan) or written
    alias_moved = bool(alias and alias_index is None and point_first(cluster, alias, index))
    return Deployment(
        model_id=meta.encoder.model_id,
        index=index,
        pipeline=pipeline_name(index),
        largest_difference=max(differences),
        model_already=all(model.already for model in deployed.values()),
        pipeline_already=not pipeline_written,
        index_already=not written,
        query_model_id=meta.query.model_id if meta.query else None,
        dense_model_id=meta.dense.model_id if meta.dense else None,
        seismic_index=seismic_name(index) if meta.seismic else None,
        alias=alias,
        alias_index=index if alias_moved else alias_index,
        alias_already=not alias_moved,
    )


def rehearse(
    cluster: Cluster,
    bundle: Bundle,
    index: str,
    *,
    alias: str | None = None,
    apply_needed_settings: bool = False,
    shards: int = 1,
    replicas: int = 0,
) -> tuple[list[Finding], list[PlannedRequest]]:
    """Run a deploy without writing anything; return the preflight's findings and the requests that the deploy would send.

    Settings that stand in the way are planned as changed, those behind a warning only with `apply_needed_settings`. A stop that no
    setting mends ends the plan there.

    Raises:
        ClusterError: the index belongs to another model, or the cluster does not answer.
    """
    found = survey(cluster, bundle, index)
    probes = {archive.card.name: Probe.of(archive.card) for archive in bundle.archives}
    for model in found.before.models if found.before else []:
        if model.probe:
            probes.setdefault(model.name, model.probe)
    rehearsal = Rehearsal(cluster, probes)
    if settings := settings_that_mend(found.findings, warnings_too=apply_needed_settings):
        apply_settings(rehearsal, settings)
    if not any(finding.level == "stop" and not finding.settings for finding in found.findings):
        deploy_bundle(rehearsal, bundle, index, alias=alias, shards=shards, replicas=replicas, on_step=lambda _: None)
    return found.findings, rehearsal.requests


def refuse_stops(cluster: Cluster, findings: list[Finding]) -> None:
    """Raise what stands in the way, if anything does.

    Raises:
        ClusterError: with every stop, and what mends each.
    """
    stops = [finding for finding in findings if finding.level == "stop"]
    if stops:
        remedies = list(dict.fromkeys(finding.remedy for finding in stops))
        problems = "; ".join(finding.what for finding in stops)
        raise ClusterError(f"{cluster.url} cannot take this model: {problems}.", "\n".join(remedies))


def _meta(bundle: Bundle, before: IndexMeta | None, ids: dict[str, str], alias: str | None) -> IndexMeta:
    """Return what the index is to remember: what was deployed now, and what it had and this deploy does not name."""
    card = bundle.encoder.card
    query = ModelReference.of(bundle.query.card, ids[bundle.query.sha256]) if bundle.query else None
    dense = DenseReference.of(bundle.dense.card, ids[bundle.dense.sha256]) if bundle.dense else None
    encoder = ModelReference.of(card, ids[bundle.encoder.sha256])
    if before is None:
        return IndexMeta(
            form="siamese" if card.form == "dense" else card.form,
            encoder=encoder,
            query=query,
            dense=dense,
            pruning=bundle.pruning or Pruning(),
            seismic=bundle.seismic,
            by_token=not card.probe_by_id,
            alias=alias,
        )
    return before.model_copy(
        update={
            "encoder": _unless_same(encoder, before.encoder),
            "query": _unless_same(query, before.query),
            "dense": _unless_same(dense, before.dense),
            "pruning": before.pruning if bundle.pruning is None else bundle.pruning,
            "seismic": bundle.seismic or before.seismic,
            "alias": alias or before.alias,
        }
    )


def _unless_same(now: ModelReference | None, before: ModelReference | None) -> ModelReference | None:
    """Return the new reference, or the old one where it is of the same model: two exports differ in the last digit."""
    if now is None or (before and before.probe and (now.model_id, now.fingerprint) == (before.model_id, before.fingerprint)):
        return before
    return now


def _known_model(cluster: Cluster, archive: ModelArchive, before: IndexMeta | None) -> str | None:
    """Return the id under which the cluster has this model: the index's own, that of the same bytes, or that of another index of ours."""
    fingerprint = card_fingerprint(archive.card)
    for model in before.models if before else []:
        if model.fingerprint == fingerprint and model_state(cluster, model.model_id):
            return model.model_id
    same_bytes = [model.model_id for model in find_models(cluster, archive) if model.state not in {"REGISTERING", "DEPLOY_FAILED"}]
    return next(iter(same_bytes), None) or model_of(cluster, fingerprint)
