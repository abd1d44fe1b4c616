"""Models after a restart: ML Commons loads some of them again by itself, the others are loaded here."""

from __future__ import annotations

from typing import TYPE_CHECKING

from opensearch_ko.cluster import Cluster
from opensearch_ko.errors import ClusterError
from opensearch_ko.models.lifecycle import LOADED, answers, deploy
from opensearch_ko.models.polling import Step, comes_true, silent
from opensearch_ko.models.registration import model_state

if TYPE_CHECKING:
    from opensearch_ko.index_meta import IndexMeta

REDEPLOY_SECONDS = 30
"""How long ML Commons' own redeploy is waited for, as long as it may still come. On a single node it never does: run on 3.6.0, the
first sync-up after a restart (10 s) turns every DEPLOYED and DEPLOYING into DEPLOY_FAILED, and that state is final."""


def ensure_running(cluster: Cluster, meta: IndexMeta, on_step: Step = silent) -> None:
    """Make sure that every model of an index answers, after a restart too; the others' ways out stand at `keep_running`.

    Raises:
        ClusterError: the cluster does not answer, or no longer has one of the models.
        DeployError: a node could not load one.
    """
    for model in meta.models:
        keep_running(cluster, model.model_id, model.title, on_step)


def keep_running(
    cluster: Cluster, model_id: str, title: str, on_step: Step = silent, *, patience_seconds: float = REDEPLOY_SECONDS
) -> None:
    """Make sure that a registered model answers.

    A model that was running when its node stopped (DEPLOYED, PARTIALLY_DEPLOYED, DEPLOYING) is given time to come back by itself.
    One in any other state, DEPLOY_FAILED above all, never does and is deployed at once.

    Args:
        cluster: where.
        model_id: the model.
        title: its name and version, for messages.
        on_step: told what is waited for.
        patience_seconds: how long it may take to come back by itself.

    Raises:
        ClusterError: the cluster does not answer, or no longer has the model.
        DeployError: a node could not load it.
    """
    state = model_state(cluster, model_id)
    if state is None:
        raise ClusterError(
            f"{cluster.url} no longer has the model {model_id} ({title}); someone deleted it.",
            "Bring it back under the same index, which keeps its passages and learns the new id: "
            "sparse-ko deploy --model DIR|ZIP --index INDEX    (the folder or zip it was deployed from)",
            status=404,
        )
    if state in LOADED:
        if answers(cluster, model_id):
            return
        on_step(f"waiting for {title}: the cluster loads it again after a restart")
        comes_true(lambda: answers(cluster, model_id) or model_state(cluster, model_id) not in LOADED, patience_seconds)
        if answers(cluster, model_id):
            return
        state = model_state(cluster, model_id)
    on_step(f"deploying {title} again (it was {state})")
    deploy(cluster, model_id, on_step)
