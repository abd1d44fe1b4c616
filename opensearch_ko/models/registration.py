"""A zip into the cluster's model index: in chunks through this connection, or by an address that the node reads itself."""

from __future__ import annotations

import logging
import math
from dataclasses import dataclass
from typing import Any

from opensearch_ko.cluster import Cluster
from opensearch_ko.errors import ClusterError, DeployError
from opensearch_ko.export.archive import ModelArchive
from opensearch_ko.models.polling import Step, silent, wait_for
from opensearch_ko.models.words import explain_task

log = logging.getLogger(__name__)

MODELS = "/_plugins/_ml/models"
TASKS = "/_plugins/_ml/tasks"
CHUNK_BYTES = 10_000_000
"""What ML Commons accepts in one chunk."""
UPLOAD_SECONDS = 300
"""For one chunk on a slow line."""
REGISTER_SECONDS = 120
"""From the last chunk to REGISTERED; the node answers `Uploaded` before it has counted."""
FETCH_SECONDS = 1800
"""For a node that fetches a zip from an address: 500 MB on a slow line."""
TASK_ENDED = frozenset({"COMPLETED", "FAILED", "COMPLETED_WITH_ERROR", "CANCELLED", "EXPIRED"})


@dataclass(frozen=True)
class RegisteredModel:
    """What the cluster's model index says of one model."""

    model_id: str
    name: str
    state: str
    created_milliseconds: int


def registration(archive: ModelArchive) -> dict[str, Any]:
    """Return the body that registers `archive` by chunks.

    No `model_config` but for a dense model: for a sparse encoder 3.6 stores it in a form that its own deploy cannot read
    (ClassCastException). It comes last, since the node reads the body in order and wants `function_name` first.
    """
    return _identity(archive) | {"total_chunks": chunk_count(archive)} | _model_config(archive)


def registration_by_url(archive: ModelArchive, url: str) -> dict[str, Any]:
    """Return the body that lets a node fetch `archive` from `url` (https://, http:// or file:// on the node's own disk)."""
    return _identity(archive) | {"url": url} | _model_config(archive)


def _identity(archive: ModelArchive) -> dict[str, Any]:
    return {
        "name": archive.card.name,
        "version": archive.card.version,
        "model_format": archive.card.model_format,
        "function_name": archive.card.function_name,
        "model_content_size_in_bytes": archive.size_bytes,
        "model_content_hash_value": archive.sha256,
    }


def _model_config(archive: ModelArchive) -> dict[str, Any]:
    return {"model_config": archive.card.registration} if archive.card.registration else {}


def chunk_count(archive: ModelArchive) -> int:
    """Return in how many chunks `archive` is sent."""
    return max(1, math.ceil(archive.size_bytes / CHUNK_BYTES))


def find_models(cluster: Cluster, archive: ModelArchive) -> list[RegisteredModel]:
    """Return the models registered from exactly these bytes under this name: running ones first, then the newest."""
    query = {
        "size": 50,
        "query": {
            "bool": {
                "filter": [{"term": {"name.keyword": archive.card.name}}, {"term": {"model_content_hash_value": archive.sha256}}],
                "must_not": [{"exists": {"field": "chunk_number"}}],
            }
        },
        "_source": ["name", "model_state", "model_content_hash_value", "created_time"],
    }
    found = cluster.request("POST", f"{MODELS}/_search", query)["hits"]["hits"]
    models = [
        RegisteredModel(
            hit["_id"], hit["_source"]["name"], hit["_source"].get("model_state", ""), int(hit["_source"].get("created_time", 0))
        )
        for hit in found
        if hit["_source"].get("model_content_hash_value") == archive.sha256
    ]
    return sorted(models, key=lambda model: (model.state != "DEPLOYED", -model.created_milliseconds))


def model_state(cluster: Cluster, model_id: str) -> str | None:
    """Return the state of a model (REGISTERED, DEPLOYED, DEPLOY_FAILED …), None where there is no such model."""
    found = cluster.find(f"{MODELS}/{model_id}")
    return str(found.get("model_state", "")) if found else None


def register(cluster: Cluster, archive: ModelArchive, on_step: Step = silent, url: str | None = None) -> str:
    """Register `archive` and return the new model's id.

    A registration that breaks off (a lost connection, a wrong hash, Ctrl-C) is deleted again.

    Args:
        cluster: where.
        archive: what; its hash and size are announced even where the node fetches the bytes itself.
        on_step: told each step.
        url: where a node fetches the zip; None: it is sent from here in chunks.

    Raises:
        DeployError: the node could not fetch the zip, or it is not the one announced; the message holds the node's own words.
        ClusterError: the cluster refuses, or the model does not become REGISTERED in time.
    """
    return _register_by_url(cluster, archive, url, on_step) if url else _register_by_chunks(cluster, archive, on_step)


def _register_by_chunks(cluster: Cluster, archive: ModelArchive, on_step: Step) -> str:
    answer = cluster.request("POST", f"{MODELS}/_register_meta", registration(archive))
    if "model_id" not in answer:
        raise ClusterError(f"{cluster.url} took the registration of {archive.card.name}, but named no model.", "Run the command again.")
    model_id = str(answer["model_id"])
    chunks = chunk_count(archive)
    try:
        with archive.path.open("rb") as file:
            for number in range(chunks):  # in order: the model counts as whole when the last chunk arrives
                on_step(f"{archive.card.name}: upload {number + 1} of {chunks}")
                said = cluster.request(
                    "POST", f"{MODELS}/{model_id}/upload_chunk/{number}", file.read(CHUNK_BYTES), timeout_seconds=UPLOAD_SECONDS
                )
                if said.get("status") != "Uploaded":
                    raise ClusterError(
                        f"{cluster.url} did not confirm chunk {number + 1} of {chunks} of {archive.path.name}: {said!r}.",
                        "Nothing is left of it on the cluster. Run the command again.",
                    )
        wait_for(
            lambda: model_state(cluster, model_id) == "REGISTERED",
            REGISTER_SECONDS,
            f"{cluster.url}: the model {model_id} is not REGISTERED",
        )
    except (ClusterError, OSError, KeyboardInterrupt):
        _delete_quietly(cluster, model_id)
        raise
    return model_id


def _register_by_url(cluster: Cluster, archive: ModelArchive, url: str, on_step: Step) -> str:
    on_step(f"the node fetches {url}")
    task_id = cluster.request("POST", f"{MODELS}/_register", registration_by_url(archive, url))["task_id"]
    task: dict[str, Any] = {}

    def ended() -> bool:
        task.clear()
        task.update(cluster.request("GET", f"{TASKS}/{task_id}"))
        return task.get("state") in TASK_ENDED

    try:
        wait_for(ended, FETCH_SECONDS, f"{cluster.url}: the registration from {url} (task {task_id}) has not ended")
        if task["state"] != "COMPLETED":
            words, remedy = explain_task(cluster, str(task.get("error", "")))
            raise DeployError(
                f"{cluster.url}: no model could be registered from {url} ({task['state']}):\n{words}",
                remedy,
                reason=str(task.get("error", "")),
            )
    except (ClusterError, KeyboardInterrupt):
        if model_id := task.get("model_id"):
            _delete_quietly(cluster, str(model_id))
        raise
    return str(task["model_id"])


def is_whole(cluster: Cluster, model: RegisteredModel, archive: ModelArchive) -> bool:
    """Say whether the cluster holds every chunk of a model whose deploy failed; in any other state it does."""
    if model.state != "DEPLOY_FAILED":
        return True
    chunks = {"bool": {"filter": [{"term": {"model_id": model.model_id}}, {"exists": {"field": "chunk_number"}}]}}
    found = cluster.request("POST", f"{MODELS}/_search", {"size": 0, "track_total_hits": True, "query": chunks})
    return int(found["hits"]["total"]["value"]) >= chunk_count(archive)


def _delete_quietly(cluster: Cluster, model_id: str) -> None:
    try:
        cluster.request("DELETE", f"{MODELS}/{model_id}", timeout_seconds=10)
    except ClusterError as failure:
        log.warning("The unfinished model %s stays on the cluster (%s); the next deploy deletes it.", model_id, failure.problem)
