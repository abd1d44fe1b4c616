"""What a distillation run is told: a teacher, candidates, three losses, and everything a bi-encoder's run is told (`dense_ko.settings`)."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from dense_ko.settings import DenseRankingSettings, DenseTrainSettings
from training_ko.settings import Settings

PRESETS = Path(__file__).parent / "presets"


class CandidateSettings(Settings):
    """The passages of which the teacher says how well each answers the query."""

    k: int = Field(default=16, ge=2, le=256)
    """Candidates a query, its positives among them: mined negatives, hardest first, then random ones."""
    filter_share: float | None = Field(default=0.95, gt=0)
    """A negative whose probability by the teacher is above this share of its best positive's may be an answer that nobody marked, and is
    left out (as in Moreira et al. 2024, arXiv 2407.15831); None: never."""
    own: int = Field(default=0, ge=0)
    """Of the negatives, how many are those that the teacher itself ranks highest; they come first. Only an ensemble can rank."""
    spare: int = Field(default=4, ge=0)
    """Negatives that are scored beyond k, to stand in for those left out."""
    batch_size: int = Field(default=32, ge=1)
    """Pairs that go through the teacher at once; halved where memory is too small."""
    max_samples: int | None = Field(default=None, ge=1)
    """Training queries, at most, drawn by a hash of the query; None: all."""


class DistillationLossSettings(Settings):
    """The losses; targets are raw cosines in [-1, 1] (`dense_ko.distillation.losses` says why)."""

    temperature: float = Field(default=0.2, gt=0)
    """τ of the student's cosines."""
    teacher_temperature: float = Field(default=1.0, gt=0)
    """τ of the teacher's logits; higher makes its lists flatter."""
    kl_weight: float = Field(default=1.0, gt=0)
    contrastive_weight: float = Field(default=0.3, ge=0)
    contrastive_margin: float = Field(default=0.7, ge=0, le=2)
    """How far the mean cosine of a query's answers should lead that of its negatives."""
    negative_penalty_weight: float = Field(default=0.4, ge=0)
    negative_ceiling: float = Field(default=0.15, ge=-1, le=1)
    """Cosines of negatives up to here cost nothing."""
    in_batch_weight: float = Field(default=0.0, ge=0)
    """Of τ · InfoNCE over the whole batch, by the labels; 0 as published; a student from scratch then learns from its lists alone."""
    in_batch_temperature: float = Field(default=0.05, gt=0)
    marks: Literal["labels", "teacher"] = "labels"
    """Who says which candidates are answers, for the last two losses."""
    teacher_threshold: float = 0.0
    """Where the teacher does: from which logit on; 0 is a probability of ½."""


class DistillSettings(DenseTrainSettings):
    """One distillation run. `data` names pair files with mined negatives; the teacher's scores are written beside them."""

    teacher: str = Field(min_length=1)
    """A folder of `lex-dpr teacher train` or `lex-dpr teacher fit`, or a re-ranker with one label by folder or name."""
    candidates: CandidateSettings = CandidateSettings()
    distillation: DistillationLossSettings = DistillationLossSettings()

    def complaints(self) -> Iterator[str]:
        """Yield what contradicts itself in the settings, each with its key in front."""
        yield from super().complaints()
        if self.ranking != DenseRankingSettings():
            yield "ranking: what a student learns from a teacher is set in `distillation`"
        if self.training.hard_negatives or self.training.random_negatives:
            yield "training.hard_negatives: how many candidates a query has is candidates.k"
        if not self.data or any(source.pairs is None for source in self.data):
            yield "data: candidates stand in pair files; write one with `sparse-ko data mine` and name it: data: [{pairs: train}]"

    def of_student(self, scored: dict[tuple[Path, str], str]) -> DenseTrainSettings:
        """Return the settings of the student's run over scored pair files.

        Args:
            scored: (collection, pair file's name) → name of the scored one.
        """
        changes: dict[str, Any] = {
            "data": [place.model_copy(update={"pairs": scored[place.collection, place.pairs or ""]}) for place in self.data],
            "ranking": DenseRankingSettings(loss="kl", temperature=self.distillation.temperature),
            "training": self.training.model_copy(update={"hard_negatives": self.candidates.k - 1}),
        }
        return self.model_copy(update=changes)
