"""What an index remembers: the models behind its fields, how weights were pruned, and whose version it is."""

from __future__ import annotations

import hashlib
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

from opensearch_ko.export.archive import ExportCard
from opensearch_ko.models.prediction import Probe
from opensearch_ko.pruning import Pruning

SCHEMA = 2
"""Raised whenever the fields change, so that an index of an older shape is recognised."""


class ModelReference(BaseModel):
    """A model that an index's contents come from, or that reads its queries."""

    model_config = ConfigDict(extra="forbid", frozen=True, protected_namespaces=())

    model_id: str
    """Of the deployed model; empty where none is deployed and the client encodes."""
    name: str
    version: str
    fingerprint: str
    """`card_fingerprint` of its archive."""
    probe: Probe | None = None
    """A sentence to ask it again before an alias moves; None: it was never asked."""

    @classmethod
    def of(cls, card: ExportCard, model_id: str) -> ModelReference:
        """Return the reference to an archive's model under the id that the cluster gave it."""
        return cls(
            model_id=model_id, name=card.name, version=card.version, fingerprint=card_fingerprint(card), probe=Probe.of(card).remembered
        )

    @property
    def title(self) -> str:
        """Name and version, for messages."""
        return f"{self.name}, version {self.version}"


class DenseReference(ModelReference):
    """A dense model and what its vectors are like."""

    dimension: int
    space_type: Literal["innerproduct", "cosinesimil", "l2"] = "cosinesimil"
    query_prefix: str | None = None
    """What the node puts before queries, "" where nothing; None: the index was made before this was remembered."""
    passage_prefix: str | None = None
    """The same before passages."""

    @classmethod
    def of(cls, card: ExportCard, model_id: str) -> DenseReference:
        """Return the reference to a dense archive's model; its card's `model_config` names the space, cosine otherwise."""
        plain = ModelReference.of(card, model_id)
        config = card.registration or {}
        space = (config.get("additional_config") or {}).get("space_type", "cosinesimil")
        return cls(
            **plain.model_dump(),
            dimension=card.vocabulary_size,
            space_type=space,
            query_prefix=config.get("query_prefix") or "",
            passage_prefix=config.get("passage_prefix") or "",
        )


class SeismicSettings(BaseModel):
    """The SEISMIC field of the companion index (contract, 2.5)."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    n_postings: int | None = None
    """Longest list of a token; None: the node's own max(160, 0.0005 × documents). 3.6 refuses the documented -1."""
    cluster_ratio: float = 0.1
    summary_prune_ratio: float = 0.4
    approximate_threshold: int = 1_000_000
    """A segment with fewer documents is searched exactly."""
    quantization_ceiling_ingest: float = 3.0
    """Heavier weights are clipped: at least the heaviest weight of a passage."""
    quantization_ceiling_search: float = 16.0
    """The same for queries."""

    def parameters(self) -> dict[str, Any]:
        """Return what the field's mapping says."""
        return self.model_dump(exclude_none=True)


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
    by_token: bool = True
    """Whether the weights go into `sparse` by token. False: tokens are not spelt apart, so only the companion index has weights."""
    alias: str | None = None
    """The alias that this index was made for, as one of its versions."""
    previous: str | None = None
    """The index where the alias stood before it came here; `deploy rollback` goes back to it."""

    @property
    def query_model_id(self) -> str:
        """The deployed model that reads queries."""
        return (self.query or self.encoder).model_id

    @property
    def models(self) -> list[ModelReference]:
        """All models that are deployed for the index."""
        return [model for model in (self.encoder, self.query, self.dense) if model is not None and model.model_id]


def card_fingerprint(card: ExportCard) -> str:
    """Return 16 hexadecimal digits that are equal for two exports of the same folder, whatever the zips' bytes."""
    identity = card.model_dump_json(
        include={"name", "version", "function_name", "model_format", "vocabulary_size", "max_tokens", "probe_text"}
    )
    weights = ",".join(f"{token}={weight:.4f}" for token, weight in sorted(card.probe_weights.items()))
    vector = ",".join(f"{number:.3f}" for number in card.probe_vector)
    return hashlib.sha256(f"{identity}\n{weights}{vector}".encode()).hexdigest()[:16]
