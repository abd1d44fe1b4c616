"""What any training run needs to know, read from one YAML file and checked before anything starts."""

from __future__ import annotations

import difflib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal, Self, TypeVar, get_args

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from retrieval_ko.collection import first_complaint
from retrieval_ko.errors import UsageError
from retrieval_ko.files import read_lines


class Settings(BaseModel):
    """Settings of which every key is known; the text below a field is its documentation (docs/configs.md)."""

    model_config = ConfigDict(extra="forbid", protected_namespaces=(), use_attribute_docstrings=True)


SettingsType = TypeVar("SettingsType", bound=Settings)


class RankingSettings(Settings):
    """The ranking loss. α of the weighted sum is `weight`."""

    loss: Literal["infonce", "margin", "margin-mse", "kl"] = "infonce"
    """margin-mse and kl learn from a teacher's scores, which the pairs must bring."""
    weight: float = Field(default=1.0, gt=0)
    """α: multiplies the ranking loss."""
    temperature: float = Field(default=1.0, gt=0)
    """Of InfoNCE and KL: scores are divided by it. Dot products are not cosines: 1, or more."""
    margin: float = Field(default=0.1, ge=0)
    """Of the loss `margin`: by how much a positive must score above every negative."""
    in_batch: bool = True
    """Whether the passages of the other pairs of a batch are negatives too."""

    @property
    def needs_teacher(self) -> bool:
        """Whether the loss learns from a teacher's scores."""
        return self.loss in ("margin-mse", "kl")


class TrainingSettings(Settings):
    """The optimiser and the losses."""

    epochs: float = Field(default=10, gt=0)
    """How often all pairs are gone through; 0.5 is half of them."""
    max_steps: int | None = Field(default=None, ge=1)
    """Instead of epochs."""
    batch_size: int = Field(default=64, ge=2)
    """Pairs a step, over all processes; all other passages of a batch are negatives, so a larger batch is a harder task."""
    chunk_size: int | None = Field(default=None, ge=1)
    """Texts that go through the encoder at once. Less memory, the same loss but for rounding (gradient caching); None: all."""
    hard_negatives: int = Field(default=0, ge=0)
    """Mined negatives a pair (`sparse-ko data mine`)."""
    random_negatives: int = Field(default=0, ge=0)
    """Random negatives a pair, from the mined pairs."""
    learning_rate: float = Field(default=1e-3, gt=0)
    """At its highest. 1e-3 for a static body, 2e-5 for a pre-trained one."""
    query_learning_rate: float | None = Field(default=None, gt=0)
    """Of the query table; None: learning_rate."""
    schedule: Literal["cosine", "linear", "constant"] = "cosine"
    """How the learning rate falls after its warm-up: to 0, or not at all."""
    warmup_ratio: float = Field(default=0.1, ge=0, lt=1)
    """Share of all steps in which the learning rate rises from 0."""
    weight_decay: float = Field(default=0.01, ge=0)
    """Of AdamW; biases, LayerNorm and the query table have none."""
    max_grad_norm: float = Field(default=1.0, gt=0)
    """A longer gradient is cut to this length."""
    precision: Literal["auto", "fp32", "bf16", "fp16"] = "auto"
    """auto: bf16 on a GPU that has it, else fp16 on a GPU, fp32 on a CPU."""
    eval_steps: int | None = Field(default=None, ge=1)
    """Steps between two measurements on dev, each of which may become the best checkpoint; None: at the end of every epoch."""
    eval_queries: int = Field(default=1000, ge=1)
    """Dev queries that are asked then, at most: the same ones each time."""
    eval_passages: int | None = Field(default=None, ge=100)
    """Passages that are searched then: all relevant ones, and others drawn by hash up to this number. None: all."""
    save_steps: int | None = Field(default=None, ge=1)
    """Steps between two checkpoints to resume from; None: with each measurement."""
    patience: int | None = Field(default=None, ge=1)
    """Stop after so many measurements without a better one; None: never. Counted once λ is warmed up and the targets are met."""
    loggers: list[Literal["tensorboard", "wandb"]] = []
    """Beside events.jsonl, which is always written. wandb stays offline unless WANDB_MODE says otherwise."""
    seed: int = Field(default=13, ge=0)
    """Of the first weights, the order of the pairs, the negatives drawn and dropout."""


class DataSettings(Settings):
    """One source of training pairs."""

    collection: Path
    """A BEIR folder; left out, it is the run's own."""
    split: str = "train"
    """Whose judgements are the pairs."""
    pairs: str | None = None
    """Name of a file in its pairs/ instead (`sparse-ko data mine` writes one), with negatives."""
    weight: float = Field(default=1.0, gt=0)
    """How often a batch comes from here, relative to the number of its pairs."""


class RunSettings(Settings):
    """What every training run has, whatever it trains."""

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9-]*$")
    """Name of the model, also on the cluster: lower case, digits, hyphens."""
    collection: Path | None = None
    """A BEIR folder with the splits train and dev; without it the sample collection in the package."""
    dev_split: str = "dev"
    """Of that collection: what decides which checkpoint is the best."""
    data: list[DataSettings] = []
    """Where the pairs come from; empty: the train split of `collection`."""
    ranking: RankingSettings = RankingSettings()
    training: TrainingSettings = TrainingSettings()

    @model_validator(mode="before")
    @classmethod
    def _own_collection(cls, values: Any) -> Any:  # noqa: ANN401  what a person wrote, not checked yet
        if isinstance(values, dict) and values.get("collection") and isinstance(values.get("data"), list):
            own = {"collection": values["collection"]}
            return values | {"data": [own | source if isinstance(source, dict) else source for source in values["data"]]}
        return values

    @model_validator(mode="after")
    def _fit_together(self) -> Self:
        for complaint in self.complaints():
            raise ValueError(complaint)
        return self

    def own_complaints(self) -> Iterator[str]:
        """Yield what contradicts itself in the settings that a kind of run adds, each with its key in front."""
        yield from ()

    def complaints(self) -> Iterator[str]:
        """Yield what contradicts itself in the settings, each with its key in front."""
        negatives = self.training.hard_negatives + self.training.random_negatives
        if not self.ranking.in_batch and not negatives:
            yield "ranking.in_batch: false leaves a query no negatives; set training.hard_negatives or training.random_negatives"
        if self.ranking.needs_teacher and not negatives:
            yield f"ranking.loss: {self.ranking.loss} compares a query's own passages; set training.hard_negatives"
        yield from self.own_complaints()
        if negatives and not any(source.pairs for source in self.data):
            yield (
                "training.hard_negatives: negatives stand in pair files, and data names none; write one with `sparse-ko data mine` "
                "and name it: data: [{collection: DIR, pairs: train}]"
            )
        if self.data and self.collection is None:
            yield "collection: data says what to train on; collection must say where the best checkpoint is measured"


def read_settings(source: Path, changes: list[str] | None, settings_type: type[SettingsType]) -> SettingsType:
    """Read a YAML file and apply `changes` such as "training.epochs=3" over it.

    Raises:
        UsageError: the file is missing or not YAML, a key is unknown, a value is out of range or contradicts another;
            names file and key.
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
        return settings_type.model_validate(values)
    except ValidationError as failure:
        complaint = _complaint(failure, settings_type)
        raise UsageError(f"{source}: {complaint}{'' if complaint.endswith('?') else '.'}") from failure


def _complaint(failure: ValidationError, settings_type: type[Settings]) -> str:
    error = failure.errors()[0]
    where = ".".join(str(part) for part in error["loc"])
    if error["type"] == "extra_forbidden":
        nearest = _nearest_key(where, settings_type)
        return f"{where}: there is no such key" + (f"; did you mean {nearest}?" if nearest else "")
    if error["type"] == "value_error":  # from a validator above: it says itself what is meant
        return ": ".join(filter(None, (where, str(error["ctx"]["error"]))))
    return first_complaint(failure)


def known_keys(settings_type: type[Settings], prefix: str = "") -> Iterator[str]:
    """Yield every key with its path, such as training.epochs, in the order of the schema."""
    for name, field in settings_type.model_fields.items():
        yield prefix + name
        if nested := settings_in(field.annotation):
            yield from known_keys(nested, f"{prefix}{name}.")


def settings_in(annotation: Any) -> type[Settings] | None:  # noqa: ANN401  any type
    """Return the settings class that a field holds, by itself or in a list."""
    if isinstance(annotation, type) and issubclass(annotation, Settings):
        return annotation
    return next((found for inner in get_args(annotation) if (found := settings_in(inner))), None)


def _nearest_key(unknown: str, settings_type: type[Settings]) -> str | None:
    """Return the key that was probably meant: one beside it that is spelt alike, else one of the same name elsewhere, else any alike."""
    keys = list(known_keys(settings_type))
    path = ".".join(part for part in unknown.split(".") if not part.isdigit())
    parent, _, name = path.rpartition(".")
    beside = [key for key in keys if key.rpartition(".")[0] == parent]
    for near in difflib.get_close_matches(path, beside, 1, 0.75):
        return near
    for key in keys:
        if key.rpartition(".")[2] == name:
            return key
    return next(iter(difflib.get_close_matches(path, keys, 1, 0.6)), None)


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
