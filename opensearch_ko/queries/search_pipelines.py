"""Search pipelines: what turns a hybrid's lists into one, and the two phases of a sparse query."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from opensearch_ko.cluster import Cluster
from opensearch_ko.queries.context import Technique
from retrieval_ko.errors import UsageError

MOST_WINDOW = 10_000
WEIGHT_SUM_TOLERANCE = 1e-4
"""The node's own tolerance is 1e-3."""


def two_phase_pipeline(ratio: float, expansion_rate: float) -> dict[str, Any]:
    """Return the pipeline that searches by a query's heavy tokens first, and re-orders what they found by all of them.

    It rewrites `neural_sparse` at the top of a query and in `bool.should`, nowhere else, and no SEISMIC field (contract, 2.3).
    """
    parameters = {"prune_type": "max_ratio", "prune_ratio": ratio, "expansion_rate": expansion_rate, "max_window_size": MOST_WINDOW}
    return {"request_processors": [{"neural_sparse_two_phase_processor": {"enabled": True, "two_phase_parameter": parameters}}]}


def hybrid_pipeline(technique: Technique, weights: Sequence[float], rank_constant: int = 60) -> dict[str, Any]:
    """Return the pipeline that makes one ranking of a hybrid's lists.

    Args:
        technique: how scores of different kinds are made comparable, or `rrf`, which looks at places only.
        weights: of the parts, in their order, summing to 1.
        rank_constant: of `rrf`.

    Raises:
        UsageError: the weights don't sum to 1, or one is outside 0 … 1.
    """
    check_part_weights(weights)
    parameters = {"weights": list(weights)}
    processor: dict[str, Any]
    if technique == "rrf":
        processor = {
            "score-ranker-processor": {"combination": {"technique": "rrf", "rank_constant": rank_constant, "parameters": parameters}}
        }
    else:
        processor = {
            "normalization-processor": {
                "normalization": {"technique": technique},
                "combination": {"technique": "arithmetic_mean", "parameters": parameters},
            }
        }
    return {"phase_results_processors": [processor]}


def pipeline_weights(pipeline: dict[str, Any]) -> tuple[float, ...] | None:
    """Read back the weights of a pipeline of ours; None where it is another's."""
    for processor in pipeline.get("phase_results_processors", []):
        for name in ("normalization-processor", "score-ranker-processor"):
            weights = processor.get(name, {}).get("combination", {}).get("parameters", {}).get("weights")
            if weights:
                return tuple(float(weight) for weight in weights)
    return None


def check_part_weights(weights: Sequence[float]) -> None:
    """Refuse weights that a node would refuse.

    Raises:
        UsageError: they don't sum to 1, or one is outside 0 … 1.
    """
    if not all(0 <= weight <= 1 for weight in weights) or not math.isclose(sum(weights), 1.0, abs_tol=WEIGHT_SUM_TOLERANCE):
        shown = ", ".join(f"{weight:g}" for weight in weights)
        raise UsageError(f"The weights of a hybrid's parts must each be in 0 … 1 and sum to 1; these do not: {shown}.")


def search_pipeline_name(index: str, mode: str) -> str:
    """Return the name under which an index keeps the pipeline of a mode."""
    return f"{index}-{mode}"


def ensure_search_pipeline(cluster: Cluster, name: str, wanted: dict[str, Any]) -> bool:
    """Put a named search pipeline unless it stands there already; return whether anything was written.

    Raises:
        ClusterError: the cluster refuses.
    """
    present = cluster.find(f"/_search/pipeline/{name}")
    if present and present.get(name) == wanted:
        return False
    cluster.request("PUT", f"/_search/pipeline/{name}", wanted)
    return True


def saved_weights(cluster: Cluster, index: str) -> dict[str, tuple[float, ...]]:
    """Return the weights that `sparse-ko search tune --save` stored for an index, by mode.

    Raises:
        ClusterError: the cluster refuses.
    """
    found = cluster.find(f"/_search/pipeline/{search_pipeline_name(index, '*')}") or {}
    start = len(search_pipeline_name(index, ""))
    read = {name[start:]: pipeline_weights(pipeline) for name, pipeline in found.items()}
    return {mode: weights for mode, weights in read.items() if weights}
