"""A model's life in ML Commons: registered in chunks, deployed, asked, compared with its card, taken down."""

from __future__ import annotations

import json
import logging
import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from opensearch_ko.cluster import Cluster
from opensearch_ko.errors import ClusterError, DeployError
from opensearch_ko.export.archive import ExportCard, ModelArchive

log = logging.getLogger(__name__)

MODELS = "/_plugins/_ml/models"
TASKS = "/_plugins/_ml/tasks"
CHUNK_BYTES = 10_000_000
"""What ML Commons accepts in one chunk."""
UPLOAD_SECONDS = 300
"""For one chunk on a slow line."""
REGISTER_SECONDS = 120
"""From the last chunk to REGISTERED; the node answers `Uploaded` before it has counted."""
DEPLOY_SECONDS = 900
"""A BERT-base model takes seconds; a node that loads libtorch for the first time, minutes."""
PREDICT_SECONDS = 120
TORCHSCRIPT_TOLERANCE = 1e-4
"""Largest difference of a weight between PyTorch and the node, fp32: measured at 1e-6, other BLAS kernels may add a little."""

Step = Callable[[str], None]


@dataclass(frozen=True)
class DeployedModel:
    """A model on a cluster. `already` says that it ran before we came."""

    model_id: str
    state: str
    already: bool


@dataclass(frozen=True)
class RegisteredModel:
    """What the cluster's model index says of one model."""

    model_id: str
    name: str
    state: str
    created_milliseconds: int


def _silent(_: str) -> None:
    return None


def registration(archive: ModelArchive) -> dict[str, Any]:
    """Return the body that registers `archive`.

    No `model_config`: for a sparse encoder 3.6 stores it in a form that its own deploy cannot read (ClassCastException).
    """
    return {
        "name": archive.card.name,
        "version": archive.card.version,
        "model_format": archive.card.model_format,
        "function_name": archive.card.function_name,
        "model_content_size_in_bytes": archive.size_bytes,
        "model_content_hash_value": archive.sha256,
        "total_chunks": chunk_count(archive),
    }


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


def register(cluster: Cluster, archive: ModelArchive, on_step: Step = _silent) -> str:
    """Register `archive` chunk by chunk and return the new model's id.

    A registration that breaks off (a lost connection, Ctrl-C) is deleted again.

    Raises:
        ClusterError: the cluster refuses, or the model does not become REGISTERED in time.
    """
    model_id = str(cluster.request("POST", f"{MODELS}/_register_meta", registration(archive))["model_id"])
    chunks = chunk_count(archive)
    try:
        with archive.path.open("rb") as file:
            for number in range(chunks):  # in order: the model counts as whole when the last chunk arrives
                on_step(f"upload {number + 1} of {chunks}")
                cluster.request(
                    "POST", f"{MODELS}/{model_id}/upload_chunk/{number}", file.read(CHUNK_BYTES), timeout_seconds=UPLOAD_SECONDS
                )
        _wait_for(
            lambda: model_state(cluster, model_id) == "REGISTERED",
            REGISTER_SECONDS,
            f"{cluster.url}: the model {model_id} is not REGISTERED",
        )
    except (ClusterError, OSError, KeyboardInterrupt):
        _delete_quietly(cluster, model_id)
        raise
    return model_id


def deploy(cluster: Cluster, model_id: str, on_step: Step = _silent) -> None:
    """Load a registered model on the nodes and wait until it runs.

    Raises:
        DeployError: a node could not load it; the message holds each node's own words.
        ClusterError: the cluster refuses, or the deploy does not end in time.
    """
    task_id = cluster.request("POST", f"{MODELS}/{model_id}/_deploy")["task_id"]
    on_step("loading on the nodes")
    task: dict[str, Any] = {}

    def ended() -> bool:
        task.update(cluster.request("GET", f"{TASKS}/{task_id}"))
        return task.get("state") in {"COMPLETED", "FAILED", "COMPLETED_WITH_ERROR", "CANCELLED", "EXPIRED"}

    _wait_for(ended, DEPLOY_SECONDS, f"{cluster.url}: the deploy of {model_id} (task {task_id}) has not ended")
    if task["state"] != "COMPLETED":
        errors = node_errors(str(task.get("error", "")))
        named = _name_nodes(cluster, errors)
        words = "\n".join(f"  node {node}: {error}" for node, error in named.items()) or f"  {task.get('error') or 'no reason given'}"
        raise DeployError(
            f"{cluster.url}: the model {model_id} could not be deployed ({task['state']}):\n{words}",
            _deploy_remedy(words),
            reason=str(task.get("error", "")),
        )
    _wait_for(
        lambda: model_state(cluster, model_id) == "DEPLOYED",
        REGISTER_SECONDS,
        f"{cluster.url}: the deploy of {model_id} ended, but the model is not DEPLOYED",
    )


def node_errors(error: str) -> dict[str, str]:
    """Read a task's `error`, a string that holds JSON keyed by node id; anything else stands under an empty id."""
    if not error:
        return {}
    try:
        parsed = json.loads(error)
    except json.JSONDecodeError:
        return {"": error}
    return {str(node): str(words) for node, words in parsed.items()} if isinstance(parsed, dict) else {"": error}


def ensure_deployed(cluster: Cluster, archive: ModelArchive, on_step: Step = _silent, known_model_id: str | None = None) -> DeployedModel:
    """Make `archive` run on the cluster, doing only what is still to be done.

    A model is the same when its name and the hash of its bytes are. A registration that was interrupted (chunks missing) is
    deleted and done anew; a model that failed to deploy, or was undeployed, is deployed again.

    Args:
        cluster: where.
        archive: what.
        on_step: told each step, in a few words.
        known_model_id: a model known to be this one though the zip's bytes differ (the same folder exported twice).

    Raises:
        DeployError: a node could not load it.
        ClusterError: the cluster refuses or does not answer.
    """
    model_id = None
    if known_model_id and model_state(cluster, known_model_id):
        model_id = known_model_id
    for model in [] if model_id else find_models(cluster, archive):
        if model.state == "REGISTERING" or not _is_whole(cluster, model, archive):
            on_step(f"deleting an interrupted registration ({model.model_id})")
            delete(cluster, model.model_id)
        elif model_id is None:
            model_id = model.model_id
    if model_id is None:
        model_id = register(cluster, archive, on_step)
    state = model_state(cluster, model_id)
    if state == "DEPLOYING":
        on_step("waiting for a deploy that someone else began")
        _wait_for(
            lambda: model_state(cluster, model_id) != "DEPLOYING", DEPLOY_SECONDS, f"{cluster.url}: the model {model_id} is still DEPLOYING"
        )
        state = model_state(cluster, model_id)
    if state == "DEPLOYED" and _answers(cluster, model_id, archive.card.probe_text):
        return DeployedModel(model_id, "DEPLOYED", already=True)
    deploy(cluster, model_id, on_step)
    return DeployedModel(model_id, "DEPLOYED", already=False)


def predict_sparse(cluster: Cluster, model_id: str, texts: Sequence[str]) -> list[dict[str, float]]:
    """Return the weights that the deployed model gives each text, by token.

    Raises:
        ClusterError: the model is unknown, not running, or not a sparse encoder.
    """
    if not texts:
        return []
    body = {"text_docs": list(texts)}
    answer = cluster.request("POST", f"{MODELS}/{model_id}/_predict", body, timeout_seconds=PREDICT_SECONDS)
    try:
        rows = [row for result in answer["inference_results"] for output in result["output"] for row in output["dataAsMap"]["response"]]
        weights = [{str(token): float(weight) for token, weight in row.items()} for row in rows]
    except (KeyError, TypeError, AttributeError):
        raise ClusterError(f"{cluster.url}: the model {model_id} is not a sparse encoder: its answer holds no token weights.") from None
    if len(weights) != len(texts):
        raise ClusterError(f"{cluster.url}: the model {model_id} answered {len(texts)} texts with {len(weights)} rows of weights.")
    return weights


def verify_deployed(cluster: Cluster, model_id: str, card: ExportCard, tolerance: float = TORCHSCRIPT_TOLERANCE) -> float:
    """Ask the deployed model the card's sentence and return the largest difference of a weight.

    Raises:
        DeployError: a weight differs by more than `tolerance`; the message names the worst tokens.
        ClusterError: the model does not answer.
    """
    served = predict_sparse(cluster, model_id, [card.probe_text])[0]
    differences = {
        token: abs(served.get(token, 0.0) - card.probe_weights.get(token, 0.0)) for token in served.keys() | card.probe_weights.keys()
    }
    worst = max(differences.values(), default=0.0)
    if worst > tolerance or not math.isfinite(worst):
        ranked = sorted(differences, key=lambda token: (-differences[token], token))[:5]
        lines = "\n".join(
            f"  {token}: here {card.probe_weights.get(token, 0.0):.5f}, on the node {served.get(token, 0.0):.5f}" for token in ranked
        )
        raise DeployError(
            f"{cluster.url}: the model {model_id} does not answer as it did when it was exported: {card.probe_text!r} differs by "
            f"{worst:.2g} (allowed: {tolerance:g}).\n{lines}",
            "Export it anew (sparse-ko export runs the parity gate), then deploy that.",
        )
    return worst


def undeploy(cluster: Cluster, model_id: str) -> None:
    """Take a model out of the nodes' memory; it stays registered.

    Raises:
        ClusterError: the cluster refuses, or the model does not stop in time.
    """
    cluster.request("POST", f"{MODELS}/{model_id}/_undeploy")
    stopped = {"UNDEPLOYED", "REGISTERED", "DEPLOY_FAILED", None}
    _wait_for(lambda: model_state(cluster, model_id) in stopped, REGISTER_SECONDS, f"{cluster.url}: the model {model_id} is still deployed")


def delete(cluster: Cluster, model_id: str) -> None:
    """Delete a model and its chunks, undeploying it first where it runs.

    Raises:
        ClusterError: the cluster refuses.
    """
    if model_state(cluster, model_id) in {"DEPLOYED", "PARTIALLY_DEPLOYED", "DEPLOYING"}:
        undeploy(cluster, model_id)
    cluster.request("DELETE", f"{MODELS}/{model_id}")


def _delete_quietly(cluster: Cluster, model_id: str) -> None:
    try:
        cluster.request("DELETE", f"{MODELS}/{model_id}", timeout_seconds=10)
    except ClusterError as failure:
        log.warning("The unfinished model %s stays on the cluster (%s); the next deploy deletes it.", model_id, failure.problem)


def _is_whole(cluster: Cluster, model: RegisteredModel, archive: ModelArchive) -> bool:
    if model.state != "DEPLOY_FAILED":
        return True
    chunks = {"bool": {"filter": [{"term": {"model_id": model.model_id}}, {"exists": {"field": "chunk_number"}}]}}
    found = cluster.request("POST", f"{MODELS}/_search", {"size": 0, "track_total_hits": True, "query": chunks})
    return int(found["hits"]["total"]["value"]) >= chunk_count(archive)


def _answers(cluster: Cluster, model_id: str, text: str) -> bool:
    try:
        predict_sparse(cluster, model_id, [text])
    except ClusterError as failure:
        if failure.status is None:
            raise
        return False
    return True


def _name_nodes(cluster: Cluster, errors: dict[str, str]) -> dict[str, str]:
    try:
        nodes = cluster.request("GET", "/_nodes/_all/name")["nodes"]
    except ClusterError:
        return errors
    return {f"{nodes[node]['name']} ({node})" if node in nodes else node: words for node, words in errors.items()}


def _deploy_remedy(words: str) -> str:
    remedies = {
        "Circuit Breaker": "The node is short of memory or disk by its own settings: sparse-ko deploy … --dry-run shows which.",
        "circuit_breaking": "Give the node more heap: sparse-ko node start --heap 2g",
        "Unknown builtin op": "The graph uses an operation that the node's PyTorch lacks: write it anew with sparse-ko export.",
        "model content changed": "The upload was damaged: run the command again.",
        "Failed to save pytorch": "The node may not download PyTorch: it needs the native libraries beside it (docs: air-gapped clusters).",
        "No tokenizer file": "The zip has no tokenizer.json at its root: write it with sparse-ko export.",
    }
    fallback = "The archive is not one this node can load. Write it anew: sparse-ko export --model DIR --format torchscript --out DIR"
    return next((remedy for sign, remedy in remedies.items() if sign in words), fallback)


def _wait_for(condition: Callable[[], bool], deadline_seconds: float, complaint: str) -> None:
    end = time.monotonic() + deadline_seconds
    for pause in _pauses():
        if condition():
            return
        if time.monotonic() > end:
            raise ClusterError(
                f"{complaint} after {deadline_seconds:g} s.", "The node may be busy: look at its log, then run the command again."
            )
        time.sleep(pause)


def _pauses() -> Iterator[float]:
    pause = 0.1
    while True:
        yield pause
        pause = min(2.0, pause * 1.5)
