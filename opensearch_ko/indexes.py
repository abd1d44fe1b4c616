"""The index: what a passage's fields are, and which models its contents come from."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from opensearch_ko.cluster import Cluster
from opensearch_ko.errors import ClusterError
from opensearch_ko.index_meta import SCHEMA, DenseReference, IndexMeta, ModelReference, SeismicSettings, card_fingerprint
from opensearch_ko.pipelines import pipeline_name
from retrieval_ko.collection import first_complaint
from retrieval_ko.errors import UsageError

__all__ = [
    "DENSE_FIELD",
    "HIGHEST_SEISMIC_ID",
    "PROPERTIES",
    "SCHEMA",
    "SEISMIC_SUFFIX",
    "SPARSE_FIELD",
    "DenseReference",
    "IndexMeta",
    "IndexPlan",
    "ModelReference",
    "SeismicSettings",
    "another_name",
    "card_fingerprint",
    "check_index_name",
    "concrete_index",
    "missing_index",
    "read_meta",
    "seismic_name",
    "write_meta",
]

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
            "mappings": {"dynamic": False, "_meta": _remembered(self.meta), "properties": properties},
        }

    def seismic_body(self) -> dict[str, Any]:
        """Return the request that creates the companion index, whose `sparse` holds weights by token id."""
        assert self.meta.seismic is not None
        field = {"type": "sparse_vector", "method": {"name": "seismic", "parameters": self.meta.seismic.parameters()}}
        return {
            "settings": {"index": {"sparse": True, "number_of_shards": self.shards, "number_of_replicas": self.replicas}},
            "mappings": {
                "dynamic": False,
                "_meta": _remembered(self.meta),
                "properties": {name: PROPERTIES[name] for name in ("title", "text", "metadata")} | {SPARSE_FIELD: field},
            },
        }


def seismic_name(index: str) -> str:
    """Return the name of the companion index."""
    return f"{index}{SEISMIC_SUFFIX}"


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


def concrete_index(cluster: Cluster, name: str) -> str:
    """Return the one index that an index name or an alias stands for.

    A query of a `sparse_vector` field must go to the index itself: behind an alias OpenSearch does not see that the field wants ids.

    Raises:
        ClusterError: there is no such name, or the alias stands for several indexes.
    """
    found = cluster.find(f"/{name}/_alias")
    if not found:
        raise missing_index(cluster, name)
    if len(found) > 1:
        raise ClusterError(
            f"{cluster.url}: the alias {name} stands for {len(found)} indexes ({', '.join(sorted(found))}), and one is needed.",
            f"Point it at one of them: sparse-ko deploy promote --alias {name} --index {min(found)}",
        )
    return str(next(iter(found)))


def read_meta(cluster: Cluster, index: str) -> IndexMeta | None:
    """Return what `index`, or the index behind that alias, remembers of its models; None where there is no such index.

    Raises:
        ClusterError: the index was not made by us.
    """
    found = cluster.find(f"/{index}/_mapping")
    if found is None:
        return None
    mappings = next(iter(found.values()))["mappings"]
    meta = mappings.get("_meta", {}).get("sparse_ko")
    if not isinstance(meta, dict):
        raise ClusterError(f"{cluster.url}: the index {index} was not made by sparse-ko, so it stays as it is.", another_name(index))
    try:
        return IndexMeta.model_validate(meta)
    except ValidationError as failure:
        raise ClusterError(
            f"{cluster.url}: the index {index} was made by another version of sparse-ko, so it stays as it is: {first_complaint(failure)}.",
            another_name(index),
        ) from failure


def write_meta(cluster: Cluster, index: str, meta: IndexMeta) -> None:
    """Let `index` remember `meta` from now on.

    Raises:
        ClusterError: there is no such index, or the cluster refuses.
    """
    cluster.request("PUT", f"/{index}/_mapping", {"_meta": _remembered(meta)})


def missing_index(cluster: Cluster, index: str) -> ClusterError:
    """Return the error that says there is no such index, and how it is made."""
    return ClusterError(f"{cluster.url} has no index {index}.", f"Make it: sparse-ko deploy --model DIR --index {index}", status=404)


def _remembered(meta: IndexMeta) -> dict[str, Any]:
    return {"sparse_ko": meta.model_dump(exclude_none=True)}


def another_name(index: str) -> str:
    """Return the way out where an index of that name stands there already and is another's."""
    return (
        f"Choose another name: --index {index}-2    or delete that index first, if nobody needs it: sparse-ko deploy delete --index {index}"
    )
