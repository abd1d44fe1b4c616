"""What a bi-encoder's training run needs to know beside what every run does (`training_ko.settings`)."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import Field, field_validator, model_validator

from dense_ko.published_keys import translated
from dense_ko.templates import PREFIXES, TemplateMode
from training_ko import settings as training_settings
from training_ko.settings import RankingSettings, RunSettings, Settings, TrainingSettings

MAKE_A_VOCABULARY = "sparse-ko vocab train --input FILE --size 16000 --out DIR"


class LoraSettings(Settings):
    """Low-rank adapters: a pre-trained body stays as it is, and some hundredth of its weights is trained beside it."""

    r: int = Field(default=16, ge=1, le=512)
    """Rank of the two matrices that are added to each target."""
    alpha: float = Field(default=32, gt=0)
    """What they are multiplied by, divided by r."""
    dropout: float = Field(default=0.05, ge=0, lt=1)
    """Of what goes into them."""
    targets: list[str] | None = None
    """Names of the linear layers, such as [query, value]; None: those of the queries and values of the attention, found in the network."""

    @field_validator("targets")
    @classmethod
    def _some_targets(cls, targets: list[str] | None) -> list[str] | None:
        if targets == []:
            raise ValueError("no layer would be trained; leave it out to have them found")
        return targets


class DenseModelSettings(Settings):
    """The bi-encoder: one network for queries and passages."""

    base: str | None = None
    """A pre-trained encoder: a folder, a name on the hub (BM-K/KoSimCSE-roberta-multitask) or an alias (ko-simcse). None: from scratch."""
    vocabulary: Path | None = None
    """From scratch: a folder with a tokenizer.json made by `sparse-ko vocab train`."""
    pretrained: Path | None = None
    """From scratch: a model of `sparse-ko pretrain`, whose body and tokenizer are taken; layers, dimensions and heads are then its own."""
    embeddings: Path | None = None
    """From scratch: a file of `sparse-ko vocab embed` (PPMI-SVD) whose directions the pieces start with; None: random ones."""
    layers: int = Field(default=2, ge=0, le=24)
    """From scratch: attention layers. 0: a bag of token vectors, which trains in minutes on two cores."""
    dimensions: int = Field(default=256, ge=16, le=1024)
    """From scratch: length of the vectors."""
    heads: int = Field(default=4, ge=1, le=16)
    """From scratch: attention heads, which share the dimensions."""
    template: TemplateMode | None = None
    """What stands before queries and passages; None: what the base was trained with, nothing from scratch."""
    pooling: Literal["mean", "cls"] | None = None
    """How a text's token vectors become one; None: as the base does it, else mean."""
    normalize: bool = True
    """Whether vectors have length 1, so that a dot product is a cosine. The temperature 0.05 is for cosines."""
    max_query_tokens: int = Field(default=128, ge=8, le=8192)
    """Where a query is cut, special tokens and template included."""
    max_passage_tokens: int = Field(default=512, ge=16, le=8192)
    """Where a passage is cut. The ML Commons tokenizer never passes more than 512."""
    lora: LoraSettings | None = None
    """Train adapters only; None: every weight."""

    @field_validator("template")
    @classmethod
    def _a_template_with_prefixes(cls, template: TemplateMode | None) -> TemplateMode | None:
        if template is not None and template not in PREFIXES:
            raise ValueError("the prompts of a model folder are taken where no template is named; leave it out")
        return template

    @model_validator(mode="after")
    def _heads_share_the_dimensions(self) -> Self:
        if self.from_scratch and self.layers and self.dimensions % self.heads:
            raise ValueError(f"{self.dimensions} dimensions cannot be shared among {self.heads} heads")
        return self

    @property
    def from_scratch(self) -> bool:
        """Whether every weight starts anew."""
        return self.base is None and self.pretrained is None


class DenseRankingSettings(RankingSettings):
    """The ranking loss over cosines."""

    temperature: float = Field(default=0.05, gt=0)
    """Of InfoNCE and KL: scores are divided by it, so 0.05 is what sentence-transformers calls a scale of 20. For cosines; 0.02 to 0.1."""


class DenseTrainingSettings(TrainingSettings):
    """The optimiser, with the published defaults of LexDPR."""

    epochs: float = Field(default=3, gt=0)
    """How often all pairs are gone through; 0.5 is half of them."""
    learning_rate: float = Field(default=2e-5, gt=0)
    """At its highest. 2e-5 for a pre-trained body, 1e-4 to 5e-4 with adapters, 1e-3 from scratch."""


class GuardSettings(Settings):
    """False negatives: what a guide scores above the positive, less a margin, is no negative (GISTEmbed, arXiv 2402.16829)."""

    guide: str | None = None
    """Who judges: a folder or a name on the hub, `self` (as it is trained) or `teacher` (the pair files' scores). None: no guard."""
    margin: float = 0.0
    """A passage is left out where guide(q, d) > guide(q, d⁺) - margin, in the guide's scores. Above 0: also those that are worse by less
    than that. 0: those that are better than the positive. Below 0: those that are better by more than that; with `self` take -0.05, since
    at 0 the encoder would never be told of its mistakes."""
    relative: bool = False
    """Whether the margin is a share of the positive's score instead: guide(q, d) > guide(q, d⁺) · (1 - margin)."""


class DenseTrainSettings(RunSettings):
    """One training run of a bi-encoder."""

    model: DenseModelSettings = DenseModelSettings()
    ranking: DenseRankingSettings = DenseRankingSettings()
    training: DenseTrainingSettings = DenseTrainingSettings()
    guard: GuardSettings = GuardSettings()

    @model_validator(mode="before")
    @classmethod
    def _published_keys(cls, values: Any) -> Any:  # noqa: ANN401  what a person wrote, not checked yet
        return translated(values) if isinstance(values, dict) else values

    def own_complaints(self) -> Iterator[str]:
        """Yield what contradicts itself in the settings of a bi-encoder, each with its key in front."""
        model = self.model
        if model.base and (model.vocabulary or model.pretrained):
            yield "model.base: a pre-trained encoder brings its own vocabulary and body; leave out vocabulary and pretrained"
        if model.pretrained and model.vocabulary:
            yield "model.vocabulary: the model of model.pretrained brings its own"
        if model.embeddings and not model.from_scratch:
            yield "model.embeddings: they are for a model built from scratch; a pre-trained one has its own"
        if model.from_scratch and model.vocabulary is None:
            yield f"model.vocabulary: a model from scratch needs a tokenizer's folder; make one: {MAKE_A_VOCABULARY} (or name model.base)"
        if model.lora and model.from_scratch:
            yield "model.lora: adapters leave the body as it is, and one from scratch has learnt nothing; name model.base, or leave it out"
        if not model.normalize and self.ranking.loss in ("infonce", "kl") and self.ranking.temperature < 1:
            yield "ranking.temperature: it is for cosines; without model.normalize set 1 or more"
        if self.guard.guide is None and (self.guard.margin or self.guard.relative):
            yield "guard.margin: nobody judges; set guard.guide, for example to self"


def read_settings(source: Path, changes: list[str] | None = None) -> DenseTrainSettings:
    """Read a config of `lex-dpr train` and apply `changes` such as "training.epochs=3" over it.

    Raises:
        UsageError: see `training_ko.settings.read_settings`.
    """
    return training_settings.read_settings(source, changes, DenseTrainSettings)
