"""What a pre-training run needs to know; read by `training_ko.settings.read_settings`."""

from __future__ import annotations

from pathlib import Path
from typing import Literal, Self

from pydantic import Field, model_validator

from sparse_ko.settings import VocabularySettings
from training_ko.settings import Settings, TrainingSettings


class PretrainModelSettings(Settings):
    """The model that is trained: a new one, or one that goes on from a pre-trained one."""

    base: str | None = None
    """A masked language model to go on from: a folder, or a name on the hub. It brings its own size and vocabulary."""
    layers: int = Field(default=4, ge=1, le=24)
    """Attention layers of a new one."""
    dimensions: int = Field(default=256, ge=16, le=1024)
    """Of a token's vector."""
    heads: int = Field(default=4, ge=1, le=16)
    """Of an attention layer."""
    max_tokens: int = Field(default=256, ge=16, le=512)
    """Length of a row. The encoder made of it reads no longer texts."""
    embeddings: Path | None = None
    """A file of `sparse-ko vocab embed` that the pieces start with; None: random."""

    @model_validator(mode="after")
    def _parts_fit(self) -> Self:
        if self.dimensions % self.heads:
            raise ValueError(f"{self.dimensions} dimensions cannot be shared among {self.heads} heads")
        if self.base and self.embeddings:
            raise ValueError("base and embeddings exclude each other: a pre-trained model has its own vectors")
        return self


class MaskingSettings(Settings):
    """What is hidden. Of the hidden tokens 80 % become [MASK], 10 % another token, 10 % stay (Devlin et al. 2019, 3.1)."""

    share: float = Field(default=0.3, gt=0, le=0.9)
    """Of a row's tokens. 30 %, twice BERT's: a small model learns more from a row (Wettig et al. 2023, arXiv 2202.08005)."""
    whole_words: bool = False
    """Hide all pieces of a word together, so that 보증금 ##을 is not guessed from its particle. WordPiece only."""


class OptimiserSettings(Settings):
    """How long and how fast; the fields mean what they mean in `sparse-ko train`."""

    epochs: float = Field(default=1, gt=0)
    """How often all rows are gone through."""
    max_steps: int | None = Field(default=None, ge=1)
    """Instead of epochs."""
    batch_size: int = Field(default=32, ge=1)
    """Rows a step, over all processes."""
    learning_rate: float = Field(default=5e-4, gt=0)
    """At its highest. 5e-4 for a new model, 5e-5 for a pre-trained one."""
    schedule: Literal["cosine", "linear", "constant"] = "linear"
    """How the learning rate falls after its warm-up."""
    warmup_ratio: float = Field(default=0.06, ge=0, lt=1)
    """Share of all steps in which the learning rate rises from 0."""
    weight_decay: float = Field(default=0.01, ge=0)
    """Of AdamW."""
    max_grad_norm: float = Field(default=1.0, gt=0)
    """A longer gradient is cut to this length."""
    precision: Literal["auto", "fp32", "bf16", "fp16"] = "auto"
    """auto: bf16 on a GPU that has it, else fp16 on a GPU, fp32 on a CPU."""
    eval_steps: int = Field(default=500, ge=1)
    """Steps between two measurements on the held-out passages."""
    eval_rows: int = Field(default=256, ge=1)
    """Held-out rows that are measured then, at most."""
    save_steps: int = Field(default=500, ge=1)
    """Steps between two checkpoints to resume from."""
    loggers: list[Literal["tensorboard", "wandb"]] = Field(default=[])
    """Beside events.jsonl, which is always written."""
    seed: int = Field(default=13, ge=0)
    """Of the first weights, the order of the rows, what is hidden, and dropout."""

    def as_training(self) -> TrainingSettings:
        """Return the same values as the settings that `training_ko.arguments` reads, whose batches hold two pairs at least."""
        shared = self.model_dump(include=set(TrainingSettings.model_fields))
        return TrainingSettings(**{**shared, "batch_size": max(self.batch_size, 2)})


class PretrainSettings(Settings):
    """One pre-training run: texts, a vocabulary, a model, what is hidden, an optimiser."""

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9-]*$")
    """Name of the run: lower case, digits, hyphens."""
    sources: list[Path] = Field(default=[])
    """Collections, whose passages are read, and files of texts; empty: the sample collection in the package."""
    share: float = Field(default=1.0, gt=0, le=1)
    """Of the texts to read, drawn by hash."""
    held_out: float = Field(default=0.02, gt=0, lt=1)
    """Share of the texts that is measured on and never trained on, drawn by hash of the text."""
    vocabulary: VocabularySettings = VocabularySettings(size=16_000)
    """Of a new model: a folder of `sparse-ko vocab train`, or learnt from the sources."""
    model: PretrainModelSettings = PretrainModelSettings()
    masking: MaskingSettings = MaskingSettings()
    training: OptimiserSettings = OptimiserSettings()

    @model_validator(mode="after")
    def _a_base_brings_its_vocabulary(self) -> Self:
        if self.model.base and self.vocabulary.source:
            raise ValueError("vocabulary.source: the pre-trained model of model.base brings its own vocabulary")
        return self
