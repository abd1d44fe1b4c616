"""The index: what a passage's fields are, and which model its weights come from."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from opensearch_ko.cluster import Cluster
from opensearch_ko.errors import ClusterError
from opensearch_ko.export.archive import ExportCard
from opensearch_ko.pipelines import pipeline_name
from opensearch_ko.pruning import Pruning
from retrieval_ko.collection import first_complaint
from retrieval_ko.errors import UsageError

SCHEMA = 2
"""Raised whenever the fields change, so that an index of an older shape is recognised."""

SPARSE_FIELD = "sparse"
DENSE_FIELD = "dense"
SEISMIC_SUFFIX = "-seismic"
"""The companion index of a SEISMIC field: index.knn and index.sparse cannot stand in one index (contract, 2.5)."""
HIGHEST_SEISMIC_ID = 32_767
"""Ids above are broken in 3.3 to 3.8 (contract, 2.5)."""

PROPERTIES: dict[str, Any] = {
    "title": {"type": "text", "index": False},
    "text": {"type": "text", "index": False},
    # What every encoder reads; searchable through the analyzer that every OpenSearch has, to compare with.
    "passage": {"type": "text", "index": False, "fields": {"cjk": {"type": "text", "analyzer": "cjk"}}},
    # Kiwi's content terms, cut on the client (there is no Kiwi plugin), joined by spaces: the honest BM25.
    "morphemes": {"type": "text", "analyzer": "whitespace"},
    SPARSE_FIELD: {"type": "rank_features"},
    # Every value is a keyword below its path, so that a search can filter by it: {"term": {"metadata.law": "민법"}}.
    "metadata": {"type": "flat_object"},
}


class ModelReference(BaseModel):
    """A model that an index's contents come from, or that reads its queries."""

    model_config = ConfigDict(extra="forbid", frozen=True, protected_namespaces=())

    model_id: str
    """Of the deployed model; empty where none is deployed and the client encodes."""
    name: str
    version: str
    fingerprint: str
    """`card_fingerprint` of its archive."""


class DenseReference(ModelReference):
    """A dense model and what its vectors are like."""

    dimension: int
    space_type: Literal["innerproduct", "cosinesimil", "l2"] = "cosinesimil"


class SeismicSettings(BaseModel):
    """The SEISMIC field of the companion index (contract, 2.5)."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    n_postings: int = -1
    """Longest list of a token; -1: max(160, 0.0005 × documents)."""
    cluster_ratio: float = 0.1
    summary_prune_ratio: float = 0.4
    approximate_threshold: int = 1_000_000
    """A segment with fewer documents is searched exactly."""
    quantization_ceiling_ingest: float = 3.0
    """Heavier weights are clipped: at least the heaviest weight of a passage."""
    quantization_ceiling_search: float = 16.0


class IndexMeta(BaseModel):
    """What an index remembers of its models: `_meta.sparse_ko` of its mapping."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    version: int = SCHEMA
    form: Literal["siamese", "doc-only", "lexical-floor"] = "siamese"
    encoder: ModelReference
    """Fills the field `sparse`."""
    query: ModelReference | None = None
    """Reads queries of a doc-only encoder in the cluster: a tokenizer with a table of weights. None: `encoder` reads them."""
    dense: DenseReference | None = None
    """Fills the field `dense`; None: the index has none."""
    pruning: Pruning = Pruning()
    """What pipeline and client drop of a passage's weights."""
    seismic: SeismicSettings | None = None
    """None: there is no companion index."""

    @property
    def query_model_id(self) -> str:
        """The deployed model that reads queries."""
        return (self.query or self.encoder).model_id


@dataclass(frozen=True)
class IndexPlan:
    """An index as it should be.

    Args:
        name: lower case, as OpenSearch wants it.
        meta: its models.
        shards: 1, so that scores and BM25 statistics are those of the whole collection.
        replicas: 0, so that one node is green; a production cluster wants 1.
        nori: whether the cluster has the analyzer nori, which then stands beside the others.
    """

    name: str
    meta: IndexMeta
    shards: int = 1
    replicas: int = 0
    nori: bool = False

    def body(self) -> dict[str, Any]:
        """Return the request that creates the index."""
        index: dict[str, Any] = {
            "number_of_shards": self.shards,
            "number_of_replicas": self.replicas,
            "default_pipeline": pipeline_name(self.name),
        }
        properties = dict(PROPERTIES)
        if self.meta.dense:
            index["knn"] = True
            properties[DENSE_FIELD] = {
                "type": "knn_vector",
                "dimension": self.meta.dense.dimension,
                "method": {  # faiss, the default, kills a node assembled from Maven Central: its native libraries are not there
                    "name": "hnsw",
                    "engine": "lucene",
                    "space_type": self.meta.dense.space_type,
                    "parameters": {"m": 16, "ef_construction": 100},
                },
            }
        if self.nori:
            passage = properties["passage"]
            properties["passage"] = passage | {"fields": passage["fields"] | {"nori": {"type": "text", "analyzer": "nori"}}}
        return {
            "settings": {"index": index},
            "mappings": {"dynamic": False, "_meta": {"sparse_ko": self.meta.model_dump()}, "properties": properties},
        }

    def seismic_body(self) -> dict[str, Any]:
        """Return the request that creates the companion index, whose `sparse` holds weights by token id."""
        assert self.meta.seismic is not None
        field = {"type": "sparse_vector", "method": {"name": "seismic", "parameters": self.meta.seismic.model_dump()}}
        return {
            "settings": {"index": {"sparse": True, "number_of_shards": self.shards, "number_of_replicas": self.replicas}},
            "mappings": {
                "dynamic": False,
                "_meta": {"sparse_ko": self.meta.model_dump()},
                "properties": {name: PROPERTIES[name] for name in ("title", "text", "metadata")} | {SPARSE_FIELD: field},
            },
        }


def seismic_name(index: str) -> str:
    """Return the name of the companion index."""
    return f"{index}{SEISMIC_SUFFIX}"


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
    try:
        return IndexMeta.model_validate(meta)
    except ValidationError as failure:
        raise ClusterError(
            f"{cluster.url}: the index {index} was made by another version of sparse-ko, so it stays as it is: {first_complaint(failure)}.",
            _another(index),
        ) from failure


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
    if meta.encoder.fingerprint != card_fingerprint(card):
        raise ClusterError(
            f"{cluster.url}: the index {index} holds the weights of another model ({meta.encoder.name}, version {meta.encoder.version}; "
            f"this one is {card.name}, version {card.version}), so it stays as it is.",
            _another(index),
        )
    found = next(iter(cluster.request("GET", f"/{index}/_mapping").values()))["mappings"]
    differing = sorted(field for field, wanted in PROPERTIES.items() if found.get("properties", {}).get(field) != wanted)
    if meta.version != SCHEMA or differing:
        raise ClusterError(
            f"{cluster.url}: the index {index} has another shape (schema {meta.version}, wanted {SCHEMA}; "
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
    if meta != plan.meta:
        cluster.request("PUT", f"/{plan.name}/_mapping", {"_meta": {"sparse_ko": plan.meta.model_dump()}})
    return False


def _another(index: str) -> str:
    return f"Choose another name: --index {index}-2    or delete that index first, if nobody needs it."
