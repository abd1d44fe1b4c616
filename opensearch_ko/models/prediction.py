"""What a deployed model answers, and whether it is what it answered when it was exported."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict

from opensearch_ko.cluster import Cluster
from opensearch_ko.errors import ClusterError, DeployError
from opensearch_ko.export.archive import ExportCard
from opensearch_ko.models.registration import MODELS

PREDICT_SECONDS = 120
REMEMBERED_WEIGHTS = 32
"""An index remembers so many of the heaviest weights of a model's answer: enough to tell two models apart, little to carry in `_meta`."""
SHOWN_DIFFERENCES = 5


Row = TypeVar("Row")


class Probe(BaseModel):
    """A sentence and what a model answers to it: the whole answer in a card, its heaviest part in what an index remembers."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    text: str
    weights: dict[str, float] = {}
    """By token, or by id where `by_id`."""
    by_id: bool = False
    vector: list[float] = []
    """Of a dense model, as a passage; an index remembers its first dimensions."""
    tolerance: float = 1e-4
    """Largest difference of a weight or of a dimension that is let pass."""
    whole: bool = True
    """Whether `weights` are all of the answer, so that a further token is a difference too."""

    @classmethod
    def of(cls, card: ExportCard) -> Probe:
        """Return what an archive's card promises."""
        return cls(
            text=card.probe_text, weights=card.probe_weights, by_id=card.probe_by_id, vector=card.probe_vector, tolerance=card.tolerance
        )

    @property
    def remembered(self) -> Probe:
        """The part of it that goes into an index's `_meta`."""
        heaviest = sorted(self.weights, key=lambda key: (-self.weights[key], key))[:REMEMBERED_WEIGHTS]
        kept = {key: round(self.weights[key], 6) for key in heaviest}
        vector = [round(number, 6) for number in self.vector[:REMEMBERED_WEIGHTS]]
        return self.model_copy(update={"weights": kept, "vector": vector, "whole": False})


def predict_sparse(cluster: Cluster, model_id: str, texts: Sequence[str], *, token_ids: bool = False) -> list[dict[str, float]]:
    """Return the weights that a deployed encoder or query tokenizer gives each text.

    Args:
        cluster: where.
        model_id: of a SPARSE_ENCODING or SPARSE_TOKENIZE model.
        texts: in any number; the node reads them one by one.
        token_ids: key the weights by token ids, as strings, instead of tokens (3.2 and newer).

    Raises:
        ClusterError: the model is unknown, not running, or not a sparse encoder.
    """
    if not texts:
        return []
    body: dict[str, Any] = {"text_docs": list(texts)}
    if token_ids:
        body["parameters"] = {"sparse_embedding_format": "TOKEN_ID"}
    answer = cluster.request("POST", f"{MODELS}/{model_id}/_predict", body, timeout_seconds=PREDICT_SECONDS)
    try:
        rows = [row for result in answer["inference_results"] for output in result["output"] for row in output["dataAsMap"]["response"]]
        weights = [{str(token): float(weight) for token, weight in row.items()} for row in rows]
    except (KeyError, TypeError, AttributeError):
        raise ClusterError(f"{cluster.url}: the model {model_id} is not a sparse encoder: its answer holds no token weights.") from None
    return _one_for_each(cluster, model_id, texts, weights)


def predict_dense(
    cluster: Cluster, model_id: str, texts: Sequence[str], *, side: Literal["passage", "query"] = "passage"
) -> list[list[float]]:
    """Return the vectors that a deployed bi-encoder gives each text.

    Args:
        cluster: where.
        model_id: of a TEXT_EMBEDDING model.
        texts: in any number.
        side: which of the model's two prefixes the node puts before the texts, where it has any.

    Raises:
        ClusterError: the model is unknown, not running, or not a dense encoder.
    """
    if not texts:
        return []
    body: dict[str, Any] = {"text_docs": list(texts), "return_number": True, "target_response": ["sentence_embedding"]}
    config = (cluster.find(f"{MODELS}/{model_id}") or {}).get("model_config") or {}
    if config.get("query_prefix") is not None or config.get("passage_prefix") is not None:
        body["parameters"] = {"content_type": side.upper()}  # a model without prefixes refuses the parameter, one with them wants it
    answer = cluster.request("POST", f"{MODELS}/{model_id}/_predict", body, timeout_seconds=PREDICT_SECONDS)
    try:
        vectors = [[float(number) for number in output["data"]] for result in answer["inference_results"] for output in result["output"]]
    except (KeyError, TypeError):
        raise ClusterError(f"{cluster.url}: the model {model_id} is not a dense encoder: its answer holds no vector.") from None
    return _one_for_each(cluster, model_id, texts, vectors)


def _one_for_each(cluster: Cluster, model_id: str, texts: Sequence[str], rows: list[Row]) -> list[Row]:
    if len(rows) != len(texts):
        raise ClusterError(f"{cluster.url}: the model {model_id} answered {len(texts)} texts with {len(rows)} rows.")
    return rows


def verify_deployed(cluster: Cluster, model_id: str, card: ExportCard, tolerance: float | None = None) -> float:
    """Ask a deployed model the card's sentence and return the largest difference of a weight, or of a vector's dimension.

    Args:
        cluster: where.
        model_id: the model.
        card: its archive's.
        tolerance: what is let pass; None: what the card says.

    Raises:
        DeployError: the answer differs by more; the message names the worst tokens.
        ClusterError: the model does not answer.
    """
    probe = Probe.of(card)
    return verify_answer(cluster, model_id, probe if tolerance is None else probe.model_copy(update={"tolerance": tolerance}))


def verify_answer(cluster: Cluster, model_id: str, probe: Probe) -> float:
    """Ask a deployed model `probe.text` and return how far its answer is from the probe's.

    Raises:
        DeployError: by more than `probe.tolerance`.
        ClusterError: the model does not answer.
    """
    if probe.vector:
        vector = predict_dense(cluster, model_id, [probe.text])[0]
        served = {f"dimension {place}": number for place, number in enumerate(vector)}
        expected: Mapping[str, float] = {f"dimension {place}": number for place, number in enumerate(probe.vector)}
    else:
        served, expected = predict_sparse(cluster, model_id, [probe.text], token_ids=probe.by_id)[0], probe.weights
    keys = expected.keys() | (served.keys() if probe.whole else set())
    differences = {key: abs(served.get(key, 0.0) - expected.get(key, 0.0)) for key in keys}
    worst = max(differences.values(), default=0.0)
    if worst > probe.tolerance or not math.isfinite(worst):
        ranked = sorted(differences, key=lambda key: (-differences[key], key))[:SHOWN_DIFFERENCES]
        lines = "\n".join(f"  {key}: here {expected.get(key, 0.0):.5f}, on the node {served.get(key, 0.0):.5f}" for key in ranked)
        raise DeployError(
            f"{cluster.url}: the model {model_id} does not answer as it did when it was exported: {probe.text!r} differs by "
            f"{worst:.2g} (allowed: {probe.tolerance:g}).\n{lines}",
            "Export it anew (sparse-ko export runs the parity gate), then deploy that.",
        )
    return worst
