"""The index: what a passage's fields are, and which model its weights come from."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from typing import Any

from opensearch_ko.cluster import Cluster
from opensearch_ko.errors import ClusterError
from opensearch_ko.export.archive import ExportCard
from opensearch_ko.pipelines import pipeline_name
from retrieval_ko.errors import UsageError

SCHEMA = 1
"""Raised whenever `mappings` changes, so that an index of an older shape is recognised."""

PROPERTIES: dict[str, Any] = {
    "title": {"type": "text", "index": False},
    "text": {"type": "text", "index": False},
    # What every encoder reads; searchable through the analyzer that every OpenSearch has, to compare with.
    "passage": {"type": "text", "index": False, "fields": {"cjk": {"type": "text", "analyzer": "cjk"}}},
    # Kiwi's content terms, cut on the client (there is no Kiwi plugin), joined by spaces: the honest BM25.
    "morphemes": {"type": "text", "analyzer": "whitespace"},
    "sparse": {"type": "rank_features"},
    "metadata": {"type": "object", "enabled": False},
}


@dataclass(frozen=True)
class IndexPlan:
    """An index as it should be.

    Args:
        name: lower case, as OpenSearch wants it.
        model_id: the deployed model that fills `sparse`.
        model_name: its registered name.
        model_version: the version of its folder.
        fingerprint: `card_fingerprint` of the archive.
        shards: 1, so that scores and BM25 statistics are those of the whole collection.
        replicas: 0, so that one node is green; a production cluster wants 1.
    """

    name: str
    model_id: str
    model_name: str
    model_version: str
    fingerprint: str
    shards: int = 1
    replicas: int = 0

    def body(self) -> dict[str, Any]:
        """Return the request that creates the index."""
        return {
            "settings": {
                "index": {
                    "number_of_shards": self.shards,
                    "number_of_replicas": self.replicas,
                    "default_pipeline": pipeline_name(self.name),
                }
            },
            "mappings": {"dynamic": False, "_meta": {"sparse_ko": self.meta()}, "properties": PROPERTIES},
        }

    def meta(self) -> dict[str, Any]:
        """Return what the index remembers of its model."""
        return {
            "schema": SCHEMA,
            "model_id": self.model_id,
            "model_name": self.model_name,
            "model_version": self.model_version,
            "fingerprint": self.fingerprint,
        }


@dataclass(frozen=True)
class IndexMeta:
    """What an index says of itself."""

    schema: int
    model_id: str
    model_name: str
    model_version: str
    fingerprint: str


def card_fingerprint(card: ExportCard) -> str:
    """Return 16 hexadecimal digits that are equal for two exports of the same folder, whatever the zips' bytes."""
    identity = card.model_dump_json(
        include={"name", "version", "function_name", "model_format", "vocabulary_size", "max_tokens", "probe_text"}
    )
    weights = ",".join(f"{token}={weight:.4f}" for token, weight in sorted(card.probe_weights.items()))
    return hashlib.sha256(f"{identity}\n{weights}".encode()).hexdigest()[:16]


def check_index_name(name: str) -> str:
    """Return `name` if OpenSearch takes it.

    Raises:
        UsageError: it does not.
    """
    if (
        not name
        or len(name.encode()) > 240
        or name != name.lower()
        or re.search(r'[\\/*?"<>|,#:\s]', name)
        or name[0] in "-_+."
        or "$" in name
    ):
        raise UsageError(
            f"{name!r} cannot be the name of an index.",
            'Lower case, no white space, none of \\ / * ? " < > | , # : $, not beginning with - _ + or a dot.',
        )
    return name


def read_meta(cluster: Cluster, index: str) -> IndexMeta | None:
    """Return what `index` remembers of its model, None where there is no such index.

    Raises:
        ClusterError: the index was not made by us.
    """
    found = cluster.find(f"/{index}/_mapping")
    if found is None:
        return None
    mappings = next(iter(found.values()))["mappings"]
    meta = mappings.get("_meta", {}).get("sparse_ko")
    if not isinstance(meta, dict):
        raise ClusterError(f"{cluster.url}: the index {index} was not made by sparse-ko, so it stays as it is.", _another(index))
    return IndexMeta(
        schema=int(meta.get("schema", 0)),
        model_id=str(meta.get("model_id", "")),
        model_name=str(meta.get("model_name", "")),
        model_version=str(meta.get("model_version", "")),
        fingerprint=str(meta.get("fingerprint", "")),
    )


def missing_index(cluster: Cluster, index: str) -> ClusterError:
    """Return the error that says there is no such index, and how it is made."""
    return ClusterError(f"{cluster.url} has no index {index}.", f"Make it: sparse-ko deploy --model DIR --index {index}", status=404)


def check_index(cluster: Cluster, index: str, card: ExportCard) -> IndexMeta | None:
    """Make sure that `index` is absent, or holds weights of this very model; return what it remembers.

    Raises:
        ClusterError: it belongs to another model or has another shape. Nothing was changed.
    """
    meta = read_meta(cluster, index)
    if meta is None:
        return None
    if meta.fingerprint != card_fingerprint(card):
        raise ClusterError(
            f"{cluster.url}: the index {index} holds the weights of another model ({meta.model_name}, version {meta.model_version}; "
            f"this one is {card.name}, version {card.version}), so it stays as it is.",
            _another(index),
        )
    found = next(iter(cluster.request("GET", f"/{index}/_mapping").values()))["mappings"]
    differing = sorted(field for field, wanted in PROPERTIES.items() if found.get("properties", {}).get(field) != wanted)
    if meta.schema != SCHEMA or differing:
        raise ClusterError(
            f"{cluster.url}: the index {index} has another shape (schema {meta.schema}, wanted {SCHEMA}; "
            f"fields that differ: {', '.join(differing) or 'none'}), so it stays as it is.",
            _another(index),
        )
    return meta


def ensure_index(cluster: Cluster, plan: IndexPlan, card: ExportCard) -> bool:
    """Create the index unless it stands there already; return whether it was created.

    An index of the same model under an older id (it was deleted and registered again) is told the new id; its weights stay right.

    Raises:
        UsageError: the name is not one for an index.
        ClusterError: an index of that name has another model or shape.
    """
    check_index_name(plan.name)
    meta = check_index(cluster, plan.name, card)
    if meta is None:
        cluster.request("PUT", f"/{plan.name}", plan.body())
        return True
    if meta.model_id != plan.model_id:
        cluster.request("PUT", f"/{plan.name}/_mapping", {"_meta": {"sparse_ko": plan.meta()}})
    return False


def _another(index: str) -> str:
    return f"Choose another name: --index {index}-2    or delete that index first, if nobody needs it."
