"""Which indexes of a cluster are ours, and which models they hold on to."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from opensearch_ko.cluster import Cluster
from opensearch_ko.index_meta import IndexMeta
from opensearch_ko.indexes import SEISMIC_SUFFIX
from opensearch_ko.models import model_state


@dataclass(frozen=True)
class OurIndex:
    """An index that `sparse-ko deploy` made; its companion is not counted by itself.

    Args:
        name: of the index.
        meta: what it remembers; None: another version of sparse-ko wrote that.
        model_ids: every model that it names, whatever version wrote it.
        aliases: that point at it.
    """

    name: str
    meta: IndexMeta | None
    model_ids: frozenset[str]
    aliases: tuple[str, ...] = ()


def our_indexes(cluster: Cluster) -> list[OurIndex]:
    """Return our indexes by name.

    Raises:
        ClusterError: the cluster does not answer, or the user may not look at all mappings.
    """
    mappings = cluster.request("GET", "/_mapping", params={"filter_path": "*.mappings._meta.sparse_ko"})
    aliases = cluster.request("GET", "/_alias", params={"filter_path": "*.aliases.*", "expand_wildcards": "open"}) if mappings else {}
    found = []
    for name in sorted(mappings):
        if name.endswith(SEISMIC_SUFFIX) and name.removesuffix(SEISMIC_SUFFIX) in mappings:
            continue
        said = mappings[name]["mappings"]["_meta"]["sparse_ko"]
        try:
            meta = IndexMeta.model_validate(said)
        except ValidationError:
            meta = None
        found.append(OurIndex(name, meta, frozenset(_model_ids(said)), tuple(sorted(aliases.get(name, {}).get("aliases", {})))))
    return found


def model_of(cluster: Cluster, fingerprint: str) -> str | None:
    """Return the id of a model that one of our indexes knows by its card's fingerprint and the cluster still has.

    Raises:
        ClusterError: as `our_indexes`.
    """
    known = {
        model.model_id: None
        for index in our_indexes(cluster)
        if index.meta
        for model in index.meta.models
        if model.fingerprint == fingerprint
    }
    return next((model_id for model_id in known if model_state(cluster, model_id)), None)


def _model_ids(said: Any) -> Iterator[str]:  # noqa: ANN401  any JSON value
    if isinstance(said, dict):
        for key, value in said.items():
            if key == "model_id" and isinstance(value, str) and value:
                yield value
            else:
                yield from _model_ids(value)
