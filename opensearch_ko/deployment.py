"""A model archive into a cluster, from the first question to an index that can be filled; safe to run again."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from opensearch_ko.cluster import Cluster
from opensearch_ko.errors import ClusterError
from opensearch_ko.export.archive import ModelArchive
from opensearch_ko.indexes import IndexMeta, IndexPlan, ModelReference, card_fingerprint, check_index, check_index_name, ensure_index
from opensearch_ko.models import MODELS, Step, chunk_count, ensure_deployed, find_models, model_state, registration, verify_deployed
from opensearch_ko.pipelines import ensure_pipeline, pipeline_body, pipeline_name
from opensearch_ko.preflight import Finding, apply_settings, preflight, probe, settings_that_mend


@dataclass(frozen=True)
class Deployment:
    """What stands on the cluster now, and what of it was there before."""

    model_id: str
    index: str
    pipeline: str
    largest_difference: float
    """Between the node's weights and the card's, for the card's sentence."""
    model_already: bool
    pipeline_already: bool
    index_already: bool

    @property
    def already(self) -> bool:
        """Whether nothing was changed."""
        return self.model_already and self.pipeline_already and self.index_already


@dataclass(frozen=True)
class PlannedRequest:
    """A request that a deploy would send."""

    method: str
    path: str
    body: dict[str, Any] | str | None = None


def plan_for(archive: ModelArchive, index: str, model_id: str, shards: int = 1, replicas: int = 0) -> IndexPlan:
    """Return the index that belongs to `archive`."""
    card = archive.card
    encoder = ModelReference(model_id=model_id, name=card.name, version=card.version, fingerprint=card_fingerprint(card))
    return IndexPlan(index, IndexMeta(encoder=encoder), shards, replicas)


@dataclass(frozen=True)
class Survey:
    """What a deploy would meet: the findings, the index and the model that are there already."""

    findings: list[Finding]
    before: IndexMeta | None = None
    model_id: str | None = None
    running: bool = False


def survey(cluster: Cluster, archive: ModelArchive, index: str) -> Survey:
    """Look at a cluster as a deploy of `archive` would find it. Reads only.

    Raises:
        ClusterError: it does not answer, or `index` belongs to another model.
        UsageError: `index` is not a name for an index.
    """
    check_index_name(index)
    facts = probe(cluster)
    findings = preflight(facts, archive, running=True)
    if any(finding.level == "stop" for finding in findings):
        return Survey(findings)
    before = check_index(cluster, index, archive.card)
    states = {before.encoder.model_id: model_state(cluster, before.encoder.model_id)} if before else {}
    states |= {model.model_id: model.state for model in find_models(cluster, archive) if model.state != "REGISTERING"}
    model_id = next((model_id for model_id, state in states.items() if state), None)
    running = model_id is not None and states[model_id] == "DEPLOYED"
    return Survey(preflight(facts, archive, running=running), before, model_id, running)


def deploy_archive(
    cluster: Cluster,
    archive: ModelArchive,
    index: str,
    *,
    apply_needed_settings: bool = False,
    shards: int = 1,
    replicas: int = 0,
    on_step: Step,
) -> Deployment:
    """Bring a model into a cluster: preflight, register, deploy, compare, pipeline, index.

    Args:
        cluster: where.
        archive: what `sparse-ko export` wrote.
        index: made if absent; refused, before anything is written, if it belongs to another model.
        apply_needed_settings: whether cluster settings that stand in the way may be changed.
        shards: of a new index.
        replicas: of a new index.
        on_step: told each step, in a few words.

    Raises:
        ClusterError: something stops the deploy, with what mends it.
        UsageError: `index` is not a name for an index.
    """
    found = survey(cluster, archive, index)
    settings = settings_that_mend(found.findings)
    if settings and apply_needed_settings:
        on_step(f"cluster settings: {', '.join(f'{name}={str(value).lower()}' for name, value in settings.items())}")
        apply_settings(cluster, settings)
        found = survey(cluster, archive, index)
    refuse_stops(cluster, found.findings)
    for finding in found.findings:
        if finding.level == "warning":
            on_step(f"warning: {finding.what}. {finding.remedy}")
    before = found.before
    model = ensure_deployed(cluster, archive, on_step, known_model_id=before.encoder.model_id if before else None)
    difference = verify_deployed(cluster, model.model_id, archive.card)
    pipeline_written = ensure_pipeline(cluster, index, model.model_id)
    created = ensure_index(cluster, plan_for(archive, index, model.model_id, shards, replicas), archive.card)
    retold = before is not None and before.encoder.model_id != model.model_id
    return Deployment(
        model_id=model.model_id,
        index=index,
        pipeline=pipeline_name(index),
        largest_difference=difference,
        model_already=model.already,
        pipeline_already=not pipeline_written,
        index_already=not created and not retold,
    )


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


def plan_deployment(
    cluster: Cluster, archive: ModelArchive, index: str, found: Survey, *, shards: int = 1, replicas: int = 0
) -> list[PlannedRequest]:
    """Return the writes that `deploy_archive` would send, given what `survey` found.

    Raises:
        ClusterError: the cluster does not answer.
    """
    requests: list[PlannedRequest] = []
    settings = settings_that_mend(found.findings)
    if settings:
        requests.append(PlannedRequest("PUT", "/_cluster/settings", {"persistent": settings}))
    if any(finding.level == "stop" and not finding.settings for finding in found.findings):
        return requests
    model_id = found.model_id or "{model_id}"
    if found.model_id is None:
        requests.append(PlannedRequest("POST", f"{MODELS}/_register_meta", registration(archive)))
        size = f"{archive.size_bytes:,} bytes of {archive.path.name}"
        chunks = chunk_count(archive)
        requests += [
            PlannedRequest("POST", f"{MODELS}/{model_id}/upload_chunk/{number}", f"<chunk {number + 1} of {chunks}; {size}>")
            for number in range(chunks)
        ]
    if not found.running:
        requests.append(PlannedRequest("POST", f"{MODELS}/{model_id}/_deploy"))
    requests.append(PlannedRequest("POST", f"{MODELS}/{model_id}/_predict", {"text_docs": [archive.card.probe_text]}))
    present = cluster.find(f"/_ingest/pipeline/{pipeline_name(index)}")
    if not present or present.get(pipeline_name(index)) != pipeline_body(model_id):
        requests.append(PlannedRequest("PUT", f"/_ingest/pipeline/{pipeline_name(index)}", pipeline_body(model_id)))
    if found.before is None:
        requests.append(PlannedRequest("PUT", f"/{index}", plan_for(archive, index, model_id, shards, replicas).body()))
    return requests
