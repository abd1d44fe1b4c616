"""Making an index and its companion, and refusing those that stand there already with other models or another shape."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from opensearch_ko.cluster import Cluster
from opensearch_ko.errors import ClusterError
from opensearch_ko.index_meta import SCHEMA, IndexMeta
from opensearch_ko.indexes import IndexPlan, another_name, check_index_name, read_meta, seismic_name, write_meta


def check_index(cluster: Cluster, plan: IndexPlan, before: IndexMeta) -> None:
    """Make sure that an index which stands there already has the fields, models and pruning of `plan`.

    Raises:
        ClusterError: it has others. Nothing was changed.
    """
    index, wanted = plan.name, plan.meta
    for part, there, ours in (
        ("the weights of another model", before.encoder, wanted.encoder),
        ("the vectors of another dense model", before.dense, wanted.dense),
    ):
        if there and ours and there.fingerprint != ours.fingerprint:
            raise ClusterError(
                f"{cluster.url}: the index {index} holds {part} ({there.title}; this one is {ours.title}), so it stays as it is.",
                another_name(index),
            )
    if before.pruning != wanted.pruning:
        raise ClusterError(
            f"{cluster.url}: the weights in the index {index} were pruned by {_pruned(before)}, now by {_pruned(wanted)} is asked for; "
            "the two cannot be mixed, so it stays as it is.",
            f"Leave --prune out to keep the index's own. {another_name(index)}",
        )
    problems = _differences(cluster, index, plan.body()["mappings"]["properties"], optional_subfields=True)
    if before.seismic and wanted.seismic and before.seismic != wanted.seismic:
        problems.append(f"the SEISMIC settings of {seismic_name(index)}")
    if before.version != SCHEMA or problems:
        raise ClusterError(
            f"{cluster.url}: the index {index} has another shape (schema {before.version}, wanted {SCHEMA}; "
            f"what differs: {', '.join(problems) or 'nothing else'}), so it stays as it is.",
            another_name(index),
        )


def ensure_index(cluster: Cluster, plan: IndexPlan, before: IndexMeta | None = None) -> bool:
    """Create the index unless it stands there already; return whether anything was written.

    An index of the same model under an older id (it was deleted and registered again) is told the new id; its weights stay right.

    Args:
        cluster: where.
        plan: the index as it should be.
        before: what it remembers, read by `read_meta`; None: read now.

    Raises:
        UsageError: the name is not one for an index.
        ClusterError: an index of that name has another model or shape.
    """
    check_index_name(plan.name)
    before = before or read_meta(cluster, plan.name)
    if before is None:
        cluster.request("PUT", f"/{plan.name}", plan.body())
        return True
    check_index(cluster, plan, before)
    if before == plan.meta:
        return False
    write_meta(cluster, plan.name, plan.meta)
    return True


def ensure_companion(cluster: Cluster, plan: IndexPlan) -> bool:
    """Create the companion index with the SEISMIC field unless it stands there already; return whether anything was written.

    It has no ingest pipeline: the client writes both indexes, this one by token ids.

    Raises:
        ClusterError: an index of that name has another model or shape.
    """
    name = check_index_name(seismic_name(plan.name))
    before = read_meta(cluster, name)
    if before is None:
        cluster.request("PUT", f"/{name}", plan.seismic_body())
        return True
    if before.encoder.fingerprint != plan.meta.encoder.fingerprint or before.pruning != plan.meta.pruning:
        raise ClusterError(f"{cluster.url}: the index {name} belongs to another model, so it stays as it is.", another_name(plan.name))
    if problems := _differences(cluster, name, plan.seismic_body()["mappings"]["properties"]):
        raise ClusterError(
            f"{cluster.url}: the index {name} has another shape ({', '.join(problems)}), so it stays as it is.", another_name(plan.name)
        )
    if before == plan.meta:
        return False
    write_meta(cluster, name, plan.meta)
    return True


def _differences(cluster: Cluster, index: str, wanted: Mapping[str, Any], *, optional_subfields: bool = False) -> list[str]:
    """Return the fields of `index` that are not as they should be. A `passage.nori` that is there, or is not, makes no difference."""
    found = next(iter(cluster.request("GET", f"/{index}/_mapping").values()))["mappings"].get("properties", {})

    def plain(field: Mapping[str, Any] | None) -> Mapping[str, Any] | None:
        if not optional_subfields or not field or "fields" not in field:
            return field
        return {**field, "fields": {name: shape for name, shape in field["fields"].items() if name != "nori"}}

    return [f"field {field}" for field in sorted(wanted) if plain(found.get(field)) != plain(wanted[field])]


def _pruned(meta: IndexMeta) -> str:
    return meta.pruning.type if meta.pruning.ratio is None else f"{meta.pruning.type}:{meta.pruning.ratio:g}"
