"""The ingest pipeline that lets the deployed models write a passage's weights and its vector."""

from __future__ import annotations

from typing import Any

from opensearch_ko.cluster import Cluster
from opensearch_ko.index_meta import IndexMeta

BATCH_SIZE = 8
"""Passages that the processor hands to the model in one call; the model still reads them one by one (contract, 1.1)."""


def pipeline_name(index: str) -> str:
    """Return the name of an index's ingest pipeline."""
    return f"{index}-ingest"


def pipeline_body(meta: IndexMeta) -> dict[str, Any]:
    """Return the pipeline that reads `passage` and writes `sparse`, pruned as the index says, and `dense` where there is a dense model.

    The client builds `passage` (title, line break, text), so that the node's model reads the very string that the encoder reads.
    """
    processors: list[dict[str, Any]] = []
    if meta.by_token and meta.encoder.model_id:
        sparse = {"model_id": meta.encoder.model_id, "field_map": {"passage": "sparse"}, "batch_size": BATCH_SIZE}
        processors.append({"sparse_encoding": sparse | meta.pruning.processor_settings()})
    if meta.dense and meta.dense.model_id:
        dense = {"model_id": meta.dense.model_id, "field_map": {"passage": "dense"}, "batch_size": BATCH_SIZE}
        processors.append({"text_embedding": dense})
    written = " and ".join(["weights into `sparse`"] * meta.by_token + ["a vector into `dense`"] * bool(meta.dense)) or "nothing"
    return {"description": f"sparse-ko: of `passage`, {written}", "processors": processors}


def ensure_pipeline(cluster: Cluster, index: str, meta: IndexMeta) -> bool:
    """Put the ingest pipeline of `index` unless it stands there already; return whether anything was written.

    Raises:
        ClusterError: the cluster refuses.
    """
    name, wanted = pipeline_name(index), pipeline_body(meta)
    present = cluster.find(f"/_ingest/pipeline/{name}")
    if present and present.get(name) == wanted:
        return False
    cluster.request("PUT", f"/_ingest/pipeline/{name}", wanted)
    return True
