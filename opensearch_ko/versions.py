"""Versions of an index side by side, and the alias that searches go to: it moves only after the new version's models answered right."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from opensearch_ko.cluster import Cluster
from opensearch_ko.errors import ClusterError
from opensearch_ko.index_meta import IndexMeta
from opensearch_ko.indexes import check_index_name, missing_index, read_meta, seismic_name, write_meta
from opensearch_ko.inventory import our_indexes
from opensearch_ko.models import Step, ensure_running, verify_answer
from opensearch_ko.models.polling import silent


@dataclass(frozen=True)
class Version:
    """One index of an alias. `current`: searches go to it. `documents`: as of its last refresh."""

    index: str
    current: bool
    documents: int
    meta: IndexMeta


@dataclass(frozen=True)
class Moved:
    """An alias after a move. `before` is None where it pointed nowhere, and equals `index` where it stood there already."""

    alias: str
    index: str
    before: str | None


def version_index(alias: str, version: str) -> str:
    """Return the name of the index that a model's version gets under an alias."""
    return f"{alias}-{version}"


def alias_target(cluster: Cluster, alias: str) -> str | None:
    """Return the index that `alias` points at, None where there is no such alias.

    Raises:
        ClusterError: it is the name of an index, or points at several.
        UsageError: it cannot be an alias.
    """
    check_index_name(alias)
    found = cluster.find(f"/{alias}/_alias")
    if not found:
        return None
    if alias in found:
        raise ClusterError(
            f"{cluster.url}: {alias} is the name of an index, so it cannot be an alias.",
            f"Choose another: --alias {alias}-live    or deploy into the index itself: --index {alias}",
        )
    if len(found) > 1:
        raise ClusterError(
            f"{cluster.url}: the alias {alias} points at {len(found)} indexes ({', '.join(sorted(found))}), so nobody can say which "
            "version it means.",
            "Take all but one away: POST /_aliases",
        )
    return str(next(iter(found)))


def versions(cluster: Cluster, alias: str) -> list[Version]:
    """Return the indexes that were deployed under `alias`, or that it points at, by name.

    Raises:
        ClusterError: the cluster does not answer, or `alias` is an index.
    """
    current = alias_target(cluster, alias)
    return [
        Version(index.name, index.name == current, count_documents(cluster, index.name), index.meta)
        for index in our_indexes(cluster)
        if index.meta and (index.meta.alias == alias or index.name == current)
    ]


def point_first(cluster: Cluster, alias: str, index: str) -> bool:
    """Point an alias that does not exist yet at `index`; return whether it was done. One that exists stays where it is.

    Raises:
        ClusterError: `alias` is an index, or the cluster refuses.
    """
    if alias_target(cluster, alias) is not None:
        return False
    _move(cluster, alias, None, index)
    return True


def promote(cluster: Cluster, alias: str, index: str, *, force: bool = False, on_step: Step = silent) -> Moved:
    """Let `alias` point at `index`, once its models run and answer as they did when they were exported.

    Args:
        cluster: where.
        alias: made where it is missing.
        index: one of ours.
        force: also where `index`, or its companion, holds fewer documents than the index that the alias leaves.
        on_step: told each step.

    Raises:
        ClusterError: there is no such index, it is not ours or holds fewer documents, or a model is gone. The alias stays.
        DeployError: a model could not be loaded or answers otherwise. The alias stays.
    """
    current = alias_target(cluster, alias)
    meta = read_meta(cluster, index)
    if meta is None:
        raise missing_index(cluster, index)
    if current == index:
        return Moved(alias, index, current)
    _check_models(cluster, meta, on_step)
    if not force:
        _check_documents(cluster, alias, index, meta, current)
    if current is not None or meta.alias != alias:
        write_meta(cluster, index, meta.model_copy(update={"alias": alias, "previous": current or meta.previous}))
    _move(cluster, alias, current, index)
    on_step(f"{alias} → {index}")
    return Moved(alias, index, current)


def rollback(cluster: Cluster, alias: str, *, on_step: Step = silent) -> Moved:
    """Let `alias` point again at the index where it stood before the last promotion, once its models answer.

    Raises:
        ClusterError: there was none before, it was deleted, or one of its models was. The alias stays.
        DeployError: a model could not be loaded or answers otherwise. The alias stays.
    """
    current = alias_target(cluster, alias)
    if current is None:
        raise ClusterError(f"{cluster.url} has no alias {alias}.", "See which there are: sparse-ko deploy list")
    meta = read_meta(cluster, current)
    if meta is None or meta.previous is None:
        raise ClusterError(
            f"{cluster.url}: {alias} has only ever pointed at {current}, so there is nothing to go back to.",
            f"See the versions: sparse-ko deploy list    and move it yourself: sparse-ko deploy promote --alias {alias} --index NAME",
        )
    before = read_meta(cluster, meta.previous)
    if before is None:
        others = [version.index for version in versions(cluster, alias) if not version.current]
        raise ClusterError(
            f"{cluster.url}: {alias} stood at {meta.previous} before, and that index was deleted.",
            f"Other versions: {', '.join(others) or 'none'}. Move it yourself: sparse-ko deploy promote --alias {alias} --index NAME",
        )
    _check_models(cluster, before, on_step)
    _move(cluster, alias, current, meta.previous)
    on_step(f"{alias} → {meta.previous}")
    return Moved(alias, meta.previous, current)


def count_documents(cluster: Cluster, index: str) -> int:
    """Return how many documents of an index can be found.

    Raises:
        ClusterError: there is no such index.
    """
    return int(cluster.request("GET", f"/{index}/_count")["count"])


def _check_models(cluster: Cluster, meta: IndexMeta, on_step: Step) -> None:
    ensure_running(cluster, meta, on_step)
    for model in meta.models:
        if model.probe is None:
            raise ClusterError(
                f"{cluster.url}: the index does not remember what {model.title} should answer, so it cannot be checked.",
                "Deploy it again with the same model, which writes that down: sparse-ko deploy --model DIR|ZIP --index NAME",
            )
        difference = verify_answer(cluster, model.model_id, model.probe)
        on_step(f"{model.title} answers right (largest difference {difference:.1e})")


def _check_documents(cluster: Cluster, alias: str, index: str, meta: IndexMeta, current: str | None) -> None:
    cluster.request("POST", f"/{index}/_refresh")
    found = {index: count_documents(cluster, index)}
    if meta.seismic:
        cluster.request("POST", f"/{seismic_name(index)}/_refresh")
        found[seismic_name(index)] = count_documents(cluster, seismic_name(index))
    wanted = max(found[index], count_documents(cluster, current) if current else 0)
    for name, documents in found.items():
        if documents < wanted:
            compared = current if current and found[index] < wanted else index
            raise ClusterError(
                f"{cluster.url}: {name} holds {documents:,} documents and {compared} {wanted:,}; {alias} stays at {current or 'none'}.",
                f"Fill it first: sparse-ko index --index {index} --collection DIR    or insist: "
                f"sparse-ko deploy promote --alias {alias} --index {index} --force",
            )


def _move(cluster: Cluster, alias: str, away_from: str | None, index: str) -> None:
    """Move an alias in one atomic step: no search meets none or two. It fails where someone else moved it meanwhile."""
    actions: list[dict[str, Any]] = [{"add": {"index": index, "alias": alias}}]
    if away_from is not None:
        actions.insert(0, {"remove": {"index": away_from, "alias": alias, "must_exist": True}})
    cluster.request("POST", "/_aliases", {"actions": actions})
