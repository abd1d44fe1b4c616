"""Taking down what a deploy put up, and nothing that anything else still needs."""

from __future__ import annotations

from dataclasses import dataclass, field

from opensearch_ko.cluster import Cluster
from opensearch_ko.errors import ClusterError
from opensearch_ko.indexes import concrete_index, read_meta, seismic_name
from opensearch_ko.inventory import OurIndex, our_indexes
from opensearch_ko.models import Step, delete, model_state, undeploy
from opensearch_ko.models.lifecycle import LOADED
from opensearch_ko.models.polling import silent
from opensearch_ko.pipelines import pipeline_name
from opensearch_ko.queries.modes import MODES
from opensearch_ko.queries.search_pipelines import search_pipeline_name


@dataclass
class Removed:
    """What was taken down, and the models that stayed since other indexes use them."""

    indexes: list[str] = field(default_factory=list)
    pipelines: list[str] = field(default_factory=list)
    models: list[str] = field(default_factory=list)
    kept_models: dict[str, list[str]] = field(default_factory=dict)
    """Model id to the indexes that use it."""


def undeploy_index(cluster: Cluster, index: str, on_step: Step = silent) -> Removed:
    """Take the models of an index out of the nodes' memory; index and registered models stay, and a deploy brings them back.

    Args:
        cluster: where.
        index: an index of ours, or its alias. Models that another index of ours uses stay loaded.
        on_step: told each step.

    Raises:
        ClusterError: there is no such index, or it is not ours.
    """
    this, done = _find(cluster, index), Removed()
    for model_id in _own_models(cluster, this, done):
        if model_state(cluster, model_id) in LOADED:
            on_step(f"undeploying {model_id}")
            undeploy(cluster, model_id)
            done.models.append(model_id)
    return done


def delete_index(cluster: Cluster, index: str, *, force: bool = False, on_step: Step = silent) -> Removed:
    """Delete an index with its companion, its pipeline and the models that no other index of ours uses.

    The index itself goes last: it is what remembers the rest, so a deletion that broke off can be run again.

    Args:
        cluster: where.
        index: the index by its own name.
        force: also where an alias points at it; the alias goes with it.
        on_step: told each step.

    Raises:
        ClusterError: there is no such index, it is not ours, or searches go to it through an alias.
    """
    this, done = _find(cluster, index), Removed()
    if this.name != index:
        raise ClusterError(f"{cluster.url}: {index} is an alias of {this.name}.", f"Name the index itself: --index {this.name}")
    if this.aliases and not force:
        alias = this.aliases[0]
        raise ClusterError(
            f"{cluster.url}: the alias {alias} points at {index}, so searches go there; it stays as it is.",
            f"Move the alias first: sparse-ko deploy promote --alias {alias} --index OTHER    or insist: --force",
        )
    for model_id in _own_models(cluster, this, done):
        if model_state(cluster, model_id) is not None:
            on_step(f"deleting the model {model_id}")
            delete(cluster, model_id)
            done.models.append(model_id)
    pipeline = pipeline_name(index)
    if cluster.find(f"/_ingest/pipeline/{pipeline}"):
        cluster.request("PUT", f"/{index}/_settings", {"index.default_pipeline": "_none"})
        cluster.request("DELETE", f"/_ingest/pipeline/{pipeline}")
        done.pipelines.append(pipeline)
    for name in _search_pipelines(cluster, index):
        cluster.request("DELETE", f"/_search/pipeline/{name}")
        done.pipelines.append(name)
    for name in (seismic_name(index), index):
        if name == index or (this.meta and this.meta.seismic and cluster.find(f"/{name}/_mapping")):
            on_step(f"deleting the index {name}")
            cluster.request("DELETE", f"/{name}")
            done.indexes.append(name)
    return done


def _search_pipelines(cluster: Cluster, index: str) -> list[str]:
    """Return the pipelines that tuned hybrids of the index were saved under."""
    present = cluster.find("/_search/pipeline") or {}
    return sorted(name for name in present if name in {search_pipeline_name(index, mode) for mode in MODES})


def _find(cluster: Cluster, name: str) -> OurIndex:
    index = concrete_index(cluster, name)
    found = next((ours for ours in our_indexes(cluster) if ours.name == index), None)
    if found is None:
        read_meta(cluster, index)  # says that it is not ours
        raise ClusterError(
            f"{cluster.url}: {index} is the companion of another index.",
            f"Name that one: --index {index.removesuffix(seismic_name(''))}",
        )
    return found


def _own_models(cluster: Cluster, this: OurIndex, done: Removed) -> list[str]:
    others = [index for index in our_indexes(cluster) if index.name != this.name]
    own = []
    for model_id in sorted(this.model_ids):
        if users := [index.name for index in others if model_id in index.model_ids]:
            done.kept_models[model_id] = users
        else:
            own.append(model_id)
    return own
