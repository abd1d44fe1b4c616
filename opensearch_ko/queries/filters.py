"""Filters by metadata: `law=민법` as a clause, and a word where no passage could ever pass it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from opensearch_ko.cluster import Cluster
from opensearch_ko.queries.bodies import Clause
from retrieval_ko.errors import UsageError

PREFIX = "metadata."
_SEEN_PASSAGES = 20


def parse_filters(texts: Sequence[str]) -> Clause | None:
    """Return the clause for `field=value` texts, all of which must hold; None for none.

    A value is compared as it stands in the passage's metadata, as a keyword: `law=민법`. Several values of one field are alternatives.

    Raises:
        UsageError: a text is not `field=value`.
    """
    wanted: dict[str, list[str]] = {}
    for text in texts:
        field, sign, value = text.partition("=")
        if not sign or not field.strip() or not value.strip():
            raise UsageError(f"--filter {text!r} is not FIELD=VALUE.", "For example: --filter law=민법 (a field of the passages' metadata)")
        wanted.setdefault(field.strip().removeprefix(PREFIX), []).append(value.strip())
    clauses: list[Clause] = [
        {"term": {f"{PREFIX}{field}": values[0]}} if len(values) == 1 else {"terms": {f"{PREFIX}{field}": values}}
        for field, values in wanted.items()
    ]
    if not clauses:
        return None
    return clauses[0] if len(clauses) == 1 else {"bool": {"filter": clauses}}


def check_filter(cluster: Cluster, index: str, clause: Clause) -> None:
    """Refuse a filter by a metadata field that no passage has: OpenSearch itself would find nothing and say nothing.

    Raises:
        UsageError: names the fields that passages have.
        ClusterError: the cluster refuses.
    """
    for field in sorted(_metadata_fields(clause)):
        if cluster.request("POST", f"/{index}/_count", {"query": {"exists": {"field": field}}})["count"]:
            continue
        known = ", ".join(_known_fields(cluster, index)) or "none at all"
        raise UsageError(f"No passage of {index} has the metadata field {field.removeprefix(PREFIX)!r}.", f"Its passages have: {known}")


def _metadata_fields(clause: Any) -> set[str]:  # noqa: ANN401  any JSON value
    if isinstance(clause, list):
        return {field for part in clause for field in _metadata_fields(part)}
    if not isinstance(clause, dict):
        return set()
    here = {key for key in clause if key.startswith(PREFIX)}
    return here.union(*(_metadata_fields(value) for value in clause.values()))


def _known_fields(cluster: Cluster, index: str) -> list[str]:
    body = {"size": _SEEN_PASSAGES, "query": {"exists": {"field": "metadata"}}, "_source": ["metadata"]}
    hits = cluster.request("POST", f"/{index}/_search", body)["hits"]["hits"]
    return sorted({name for hit in hits for name in hit["_source"].get("metadata", {})})
