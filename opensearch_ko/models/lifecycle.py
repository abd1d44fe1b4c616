"""A registered model onto the nodes and off them again, whatever state it was left in."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from opensearch_ko.cluster import Cluster
from opensearch_ko.errors import ClusterError, DeployError
from opensearch_ko.export.archive import ModelArchive
from opensearch_ko.models.polling import Step, comes_true, silent, wait_for
from opensearch_ko.models.registration import (
    MODELS,
    REGISTER_SECONDS,
    TASK_ENDED,
    TASKS,
    find_models,
    is_whole,
    model_state,
    register,
)
from opensearch_ko.models.words import CONTENT_CHANGED, explain_task

DEPLOY_SECONDS = 900
"""A BERT-base model takes seconds; a node that loads libtorch for the first time, minutes."""
PASSING_SECONDS = 5.0
"""A model that has just been deployed may be said to be DEPLOYING once more, until the nodes have told each other."""
FOREIGN_DEPLOY_SECONDS = 60
"""How long a deploy that someone else began is waited for. A node that was restarted in the midst of one leaves DEPLOYING behind."""
LOADED = frozenset({"DEPLOYED", "PARTIALLY_DEPLOYED", "DEPLOYING"})


@dataclass(frozen=True)
class DeployedModel:
    """A model on a cluster. `already` says that it ran before we came."""

    model_id: str
    state: str
    already: bool


def deploy(cluster: Cluster, model_id: str, on_step: Step = silent) -> None:
    """Load a registered model on the nodes and wait until it runs.

    Raises:
        DeployError: a node could not load it; the message holds each node's own words.
        ClusterError: the cluster refuses, or the deploy does not end in time.
    """
    task_id = cluster.request("POST", f"{MODELS}/{model_id}/_deploy")["task_id"]
    on_step("loading on the nodes")
    task: dict[str, Any] = {}

    def ended() -> bool:
        task.clear()
        task.update(cluster.request("GET", f"{TASKS}/{task_id}"))
        return task.get("state") in TASK_ENDED

    wait_for(ended, DEPLOY_SECONDS, f"{cluster.url}: the deploy of {model_id} (task {task_id}) has not ended")
    if task["state"] != "COMPLETED":
        words, remedy = explain_task(cluster, str(task.get("error", "")))
        raise DeployError(
            f"{cluster.url}: the model {model_id} could not be deployed ({task['state']}):\n{words}",
            remedy,
            reason=str(task.get("error", "")),
        )
    wait_for(
        lambda: model_state(cluster, model_id) == "DEPLOYED",
        REGISTER_SECONDS,
        f"{cluster.url}: the deploy of {model_id} ended, but the model is not DEPLOYED",
    )


def ensure_deployed(
    cluster: Cluster,
    archive: ModelArchive,
    on_step: Step = silent,
    known_model_id: str | None = None,
    url: str | None = None,
) -> DeployedModel:
    """Make `archive` run on the cluster, doing only what is still to be done.

    A model is the same when its name and the hash of its bytes are. A registration that was interrupted (chunks missing) or whose bytes
    were damaged on the way is deleted and done anew; a model that failed to deploy, or was undeployed, is deployed again.

    Args:
        cluster: where.
        archive: what.
        on_step: told each step, in a few words.
        known_model_id: a model known to be this one though the zip's bytes differ (the same folder exported twice).
        url: where a node fetches the zip, if it has to be registered; None: it is sent in chunks.

    Raises:
        DeployError: a node could not load it.
        ClusterError: the cluster refuses or does not answer.
    """
    model_id = None
    if known_model_id and model_state(cluster, known_model_id):
        model_id = known_model_id
    for model in [] if model_id else find_models(cluster, archive):
        if model.state == "REGISTERING" or not is_whole(cluster, model, archive):
            on_step(f"deleting an interrupted registration ({model.model_id})")
            delete(cluster, model.model_id)
        elif model_id is None:
            model_id = model.model_id
    fresh = model_id is None
    if model_id is None:
        model_id = register(cluster, archive, on_step, url)
    known = model_id
    if not comes_true(lambda: model_state(cluster, known) != "DEPLOYING", PASSING_SECONDS):
        on_step("waiting for a deploy that was begun before")
        comes_true(lambda: model_state(cluster, known) != "DEPLOYING", FOREIGN_DEPLOY_SECONDS)
    if model_state(cluster, model_id) == "DEPLOYED" and answers(cluster, model_id, archive.card.probe_text):
        return DeployedModel(model_id, "DEPLOYED", already=True)
    try:
        deploy(cluster, model_id, on_step)
    except DeployError as failure:
        if CONTENT_CHANGED not in failure.reason:
            raise
        delete(cluster, model_id)  # or the next run would find it by its announced hash, and fail for ever
        if fresh:
            raise
        on_step(f"the bytes registered as {model_id} were damaged: registering anew")
        model_id = register(cluster, archive, on_step, url)
        deploy(cluster, model_id, on_step)
    return DeployedModel(model_id, "DEPLOYED", already=False)


def answers(cluster: Cluster, model_id: str, text: str = "전세") -> bool:
    """Say whether a model really runs: after a restart its state says DEPLOYED before any node has loaded it.

    Raises:
        ClusterError: the cluster does not answer at all.
    """
    body: dict[str, Any] = {"text_docs": [text]}
    try:
        cluster.request("POST", f"{MODELS}/{model_id}/_predict", body, timeout_seconds=DEPLOY_SECONDS)
    except ClusterError as failure:
        if failure.status is None:
            raise
        return "asymmetric" in failure.reason  # it runs, and only misses being told which side the text is of
    return True


def undeploy(cluster: Cluster, model_id: str) -> None:
    """Take a model out of the nodes' memory; it stays registered.

    Raises:
        ClusterError: the cluster refuses, or the model does not stop in time.
    """
    cluster.request("POST", f"{MODELS}/{model_id}/_undeploy")
    stopped = {"UNDEPLOYED", "REGISTERED", "DEPLOY_FAILED", None}
    wait_for(lambda: model_state(cluster, model_id) in stopped, REGISTER_SECONDS, f"{cluster.url}: the model {model_id} is still deployed")


def delete(cluster: Cluster, model_id: str) -> None:
    """Delete a model and its chunks, undeploying it first where it runs.

    Raises:
        ClusterError: the cluster refuses.
    """
    if model_state(cluster, model_id) in LOADED:
        undeploy(cluster, model_id)
    cluster.request("DELETE", f"{MODELS}/{model_id}")
