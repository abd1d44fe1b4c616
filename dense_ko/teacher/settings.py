"""What a teacher's training run is told, beside what every run is told (`training_ko.settings`)."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal, Self, TypeVar

from pydantic import Field, model_validator

from retrieval_ko.errors import UsageError
from retrieval_ko.terms import Tokenization
from training_ko.settings import RankingSettings, RunSettings, Settings, TrainingSettings, read_settings

SettingsType = TypeVar("SettingsType", bound=Settings)
PRESETS = Path(__file__).parent / "presets"


class TeacherLoraSettings(Settings):
    """Low-rank adapters on a frozen base; they are written to lora_config.json and restored exactly."""

    r: int = Field(default=32, ge=1)
    """Rank."""
    alpha: int = Field(default=64, ge=1)
    """An adapter's output is multiplied by alpha / r."""
    dropout: float = Field(default=0.1, ge=0, lt=1)
    """Of what goes into an adapter."""
    targets: list[str] | None = None
    """Names of the linear layers that get one; None: those that are usual for the architecture."""


class TeacherModelSettings(Settings):
    """The cross-encoder: a pre-trained one, or a small one from scratch."""

    base: str | None = None
    """A folder or a name on the hub: a re-ranker, an encoder, or the model of a `sparse-ko pretrain` run. None: from scratch."""
    vocabulary: Path | None = None
    """From scratch: a tokenizer's folder, as `sparse-ko vocab train` writes it."""
    layers: int = Field(default=2, ge=1, le=24)
    """From scratch: attention layers."""
    dimensions: int = Field(default=128, ge=16, le=1024)
    """From scratch: of a token's vector."""
    heads: int = Field(default=4, ge=1, le=16)
    """From scratch: of an attention layer."""
    mark_matches: bool = True
    """From scratch: tell the network which tokens query and passage share (MarkedBERT, Boualili et al. 2020); it would need millions of
    pairs to learn that a word means itself."""
    max_tokens: int = Field(default=256, ge=16)
    """Where a query and its passage together are cut, the longer of them first."""
    lora: TeacherLoraSettings | None = None
    """None: every weight is trained."""

    @model_validator(mode="after")
    def _parts_fit(self) -> Self:
        if (self.base is None) == (self.vocabulary is None):
            raise ValueError("name either base (a model's folder or name) or vocabulary (a tokenizer's folder, for a model from scratch)")
        if self.lora and self.base is None:
            raise ValueError("lora: adapters learn on a pre-trained base, and a model from scratch has none")
        if self.dimensions % self.heads:
            raise ValueError(f"{self.dimensions} dimensions cannot be shared among {self.heads} heads")
        return self


class TeacherLossSettings(Settings):
    """How labels become a loss."""

    form: Literal["bce", "softmax"] = "bce"
    """bce: every pair is relevant or not, by itself, so that the logit of a pair means the same for every query.
    softmax: the positive against its own list, for lists in which negatives are many."""
    positive_weight: float | None = Field(default=None, gt=0)
    """bce: what a positive counts; None: as much as its negatives together, so that "nothing is relevant" is no way out."""
    temperature: float = Field(default=1.0, gt=0)
    """softmax: logits are divided by it."""


class TeacherTrainingSettings(TrainingSettings):
    """The optimiser; a batch is counted in lists: one positive and its negatives."""

    epochs: float = Field(default=3, gt=0)
    batch_size: int = Field(default=16, ge=2)
    """Lists a step, over all processes: each a query, a positive and its negatives."""
    hard_negatives: int = Field(default=4, ge=0)
    learning_rate: float = Field(default=2e-5, gt=0)
    """At its highest. 2e-5 for a pre-trained base, 5e-4 for a model from scratch."""
    eval_queries: int = Field(default=200, ge=1)
    """Dev queries whose candidates are re-ranked then, at most: the same ones each time."""
    max_samples: int | None = Field(default=None, ge=1)
    """Training queries, at most, drawn by a hash of the query; None: all."""


class RerankSettings(Settings):
    """What dev is measured on: BM25's best passages, put in the teacher's order."""

    depth: int = Field(default=20, ge=2, le=1000)
    """Passages a query."""
    tokenization: Tokenization = Tokenization.BIGRAM
    """How BM25 cuts text; bigrams need no Kiwi."""


class TeacherSettings(RunSettings):
    """One training run of a teacher."""

    model: TeacherModelSettings = TeacherModelSettings.model_construct(base=None)
    loss: TeacherLossSettings = TeacherLossSettings()
    training: TeacherTrainingSettings = TeacherTrainingSettings()
    rerank: RerankSettings = RerankSettings()

    def complaints(self) -> Iterator[str]:
        """Yield what contradicts itself in the settings, each with its key in front."""
        if not self.model.base and not self.model.vocabulary:
            yield "model: name base (a model's folder or name) or vocabulary (a tokenizer's folder, for a model from scratch)"
        if self.ranking != RankingSettings():
            yield "ranking: it is for encoders; a teacher's loss is in `loss`"
        if not self.training.hard_negatives + self.training.random_negatives:
            yield "training.hard_negatives: a teacher learns what is relevant from what is not; set training.hard_negatives"
        yield from super().complaints()


def preset_names(folder: Path = PRESETS) -> list[str]:
    """Return the names of the presets in a folder."""
    return sorted(path.stem for path in folder.glob("*.yaml"))


def read_preset(name: str, changes: dict[str, Any], settings_type: type[SettingsType], folder: Path = PRESETS) -> SettingsType:
    """Return the settings of a YAML file, or of a preset by name, with values over it.

    Args:
        name: of a preset, or a path.
        changes: key such as "training.epochs" → value; None is left out.
        settings_type: what is read.
        folder: of the presets.

    Raises:
        UsageError: there is no such file and no such preset, or a key or value is wrong.
    """
    import json

    source = Path(name) if Path(name).is_file() else folder / f"{name}.yaml"
    if not source.is_file():
        raise UsageError(f"There is no file {name}, and no preset of that name.", f"Presets: {', '.join(preset_names(folder))}")
    words = [f"{key}={json.dumps(value, ensure_ascii=False)}" for key, value in changes.items() if value is not None]  # JSON is YAML
    return read_settings(source, words, settings_type)
