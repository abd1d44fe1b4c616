"""What a training run needs to know, read from one YAML file and checked before anything starts."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal, Self

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from retrieval_ko.collection import first_complaint
from retrieval_ko.errors import UsageError
from retrieval_ko.files import read_lines


class _Settings(BaseModel):
    model_config = ConfigDict(extra="forbid", protected_namespaces=())


class VocabularySettings(_Settings):
    """The WordPiece vocabulary that is learnt from the collection."""

    size: int = Field(default=12_000, ge=5_500, le=50_000)
    """Pieces at most. OpenSearch's `sparse_vector` field takes ids up to 32,767."""


class ModelSettings(_Settings):
    """The encoder that is built from scratch."""

    form: Literal["static", "transformer"] = "static"
    """static: an embedding and a head, no attention; transformer: a small BERT under the same head."""
    layers: int = Field(default=2, ge=1, le=24)
    """Attention layers; the static form has none, whatever this says."""
    dimensions: int = Field(default=256, ge=32, le=1024)
    heads: int = Field(default=4, ge=1, le=16)
    synonym_pull: float = Field(default=1.0, ge=0)
    """How far the two sides of a synonym pair are drawn together before training; 1: as strong as a word's own direction."""
    neighbour_pull: float = Field(default=2.0, ge=0)
    """How far a word is drawn to its six nearest neighbours together, by Kiwi's morpheme embeddings; 0 leaves them out."""
    max_tokens: int = Field(default=256, ge=16, le=512)
    """Where a text is cut, [CLS] and [SEP] included. The ML Commons tokenizer never passes more than 512."""

    @model_validator(mode="after")
    def _heads_share_the_dimensions(self) -> Self:
        if self.form == "transformer" and self.dimensions % self.heads:
            raise ValueError(f"{self.dimensions} dimensions cannot be shared among {self.heads} heads")
        return self


class TrainingSettings(_Settings):
    """The optimiser and the losses."""

    epochs: int = Field(default=10, ge=1)
    batch_size: int = Field(default=64, ge=2)
    """Pairs a step; all other passages of a batch are negatives, so a larger batch is a harder task."""
    learning_rate: float = Field(default=1e-3, gt=0)
    warmup_ratio: float = Field(default=0.1, ge=0, lt=1)
    flops_query: float = Field(default=1e-3, ge=0)
    """Weight of the FLOPS regulariser on queries (Paria et al. 2020)."""
    flops_document: float = Field(default=1e-3, ge=0)
    """Weight of the FLOPS regulariser on passages, positives and negatives."""
    synonyms: bool = True
    """Also train English term → Korean term on the collection's synonym pairs."""
    seed: int = 13


class TrainSettings(_Settings):
    """One training run: a collection, a vocabulary, a model, an optimiser."""

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9-]*$")
    """Name of the model, also on the cluster: lower case, digits, hyphens."""
    collection: Path | None = None
    """A BEIR folder with the splits train and dev; without it the sample collection in the package."""
    vocabulary: VocabularySettings = VocabularySettings()
    model: ModelSettings = ModelSettings()
    training: TrainingSettings = TrainingSettings()


def read_settings(source: Path, changes: list[str] | None = None) -> TrainSettings:
    """Read a YAML file and apply `changes` such as "training.epochs=3" over it.

    Raises:
        UsageError: the file is missing or not YAML, a key is unknown, or a value is out of range; names file and key.
    """
    if not Path(source).is_file():
        raise UsageError(f"There is no config file {source}.", "The packaged ones are listed by: sparse-ko train --help")
    try:
        values = yaml.safe_load("\n".join(line for _, line in read_lines(source)))
    except yaml.YAMLError as failure:
        raise UsageError(f"{source} is not YAML: {' '.join(str(failure).split())}.") from failure
    if not isinstance(values, dict):
        raise UsageError(f"{source}: expected keys and values, found {type(values).__name__}.")
    for change in changes or []:
        _apply(values, change)
    try:
        return TrainSettings.model_validate(values)
    except ValidationError as failure:
        raise UsageError(f"{source}: {first_complaint(failure)}.") from failure


def _apply(values: dict[str, Any], change: str) -> None:
    path, equals, value = change.partition("=")
    if not equals or not path:
        raise UsageError(f"--set {change}: expected KEY=VALUE, for example --set training.epochs=3.")
    *parents, last = path.split(".")
    for parent in parents:
        values = values.setdefault(parent, {})
        if not isinstance(values, dict):
            raise UsageError(f"--set {change}: {parent} holds a value, not keys.")
    try:
        values[last] = yaml.safe_load(value)
    except yaml.YAMLError as failure:
        raise UsageError(f"--set {change}: the value is not YAML: {' '.join(str(failure).split())}.") from failure
