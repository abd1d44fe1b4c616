"""The ingest pipeline that lets the deployed model write a passage's weights."""

from __future__ import annotations

from typing import Any

from opensearch_ko.cluster import Cluster

BATCH_SIZE = 8
"""Passages that the processor hands to the model in one call; the model still reads them one by one (contract, 1.1)."""


def pipeline_name(index: str) -> str:
    """Return the name of an index's ingest pipeline."""
    return f"{index}-ingest"


def pipeline_body(model_id: str) -> dict[str, Any]:
    """Return the pipeline that reads `passage` and writes `sparse`.

    The client builds `passage` (title, line break, text), so that the node's model reads the very string that the encoder reads.
    """
    return {
        "description": "sparse-ko: the weights of `passage` go into `sparse`",
        "processors": [{"sparse_encoding": {"model_id": model_id, "field_map": {"passage": "sparse"}, "batch_size": BATCH_SIZE}}],
    }


def ensure_pipeline(cluster: Cluster, index: str, model_id: str) -> bool:
    """Put the ingest pipeline of `index` unless it stands there already; return whether anything was written.

    Raises:
        ClusterError: the cluster refuses.
    """
    name, wanted = pipeline_name(index), pipeline_body(model_id)
    present = cluster.find(f"/_ingest/pipeline/{name}")
    if present and present.get(name) == wanted:
        return False
    cluster.request("PUT", f"/_ingest/pipeline/{name}", wanted)
    return True
