"""What a sparse encoder's training run needs to know beside what every run does (`training_ko.settings`)."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from training_ko import settings as training_settings
from training_ko.settings import RunSettings, Settings

QUERY_TABLE_FORMS = ("doc-only", "lexical-floor")
"""Forms whose queries are weights over their own tokens: no network, nothing to make sparse."""


class VocabularySettings(Settings):
    """The vocabulary of an encoder that is built from scratch; a pre-trained one brings its own."""

    size: int = Field(default=12_000, ge=5_500, le=50_000)
    """Pieces at most. OpenSearch's `sparse_vector` field takes ids up to 32,767."""
    sample_characters: int = Field(default=5_000_000, ge=10_000)
    """Characters that it is learnt from at most, a quarter of them from the training queries. Kiwi takes a minute or two."""
    source: Path | None = None
    """A folder with a tokenizer.json made by `sparse-ko vocab train`; None: learnt from the collection."""


class LexicalFloorSettings(Settings):
    """BM25 inside the encoder: w_j(d) = bm25tf_j(d)·(1 + tanh u_j(d)) + γ·expansion_j(d), with u = γ = 0 before training."""

    k1: float = Field(default=1.2, gt=0)
    """How much a further occurrence of a term adds; 0: nothing."""
    b: float = Field(default=0.75, ge=0, le=1)
    """How much a long passage is held against its terms; 0: not at all."""
    lead: list[Annotated[float, Field(gt=-1, lt=1)]] = Field(default=[], max_length=8)
    """How much more than by BM25, as a share, a token of a static body weighs that stands first in a passage: at its 1st, 2nd, 3rd, 4th,
    5th or 6th, 7th or 8th, 9th to 16th place, further on; training moves the numbers, and apart for different passages. Titles stand
    first. []: places are nothing to it. [0]: they may become something."""


class ModelSettings(Settings):
    """The encoder: how a text is scored, and what reads it."""

    form: Literal["siamese", "doc-only", "lexical-floor"] = "siamese"
    """siamese: one network for queries and passages; doc-only: a query is a table of learnable weights over its own tokens;
    lexical-floor: as doc-only, and a passage starts at BM25's weights."""
    body: Literal["static", "transformer"] = "static"
    """What reads a text where nothing pre-trained is named. static: an embedding and a head, no attention; transformer: a small BERT."""
    base: str | None = None
    """A pre-trained masked language model instead: a folder, or a name on the hub such as klue/bert-base."""
    layers: int = Field(default=2, ge=1, le=24)
    """Attention layers; the static body has none, whatever this says."""
    dimensions: int = Field(default=256, ge=32, le=1024)
    """Length of the hidden vectors of a model built from scratch."""
    heads: int = Field(default=4, ge=1, le=16)
    """Attention heads, which share the dimensions."""
    synonym_pull: float = Field(default=1.0, ge=0)
    """How far the two sides of a synonym pair are drawn together before training; 1: as strong as a word's own direction."""
    neighbour_pull: float = Field(default=2.0, ge=0)
    """How far a word is drawn to its six nearest neighbours together, by Kiwi's morpheme embeddings; 0 leaves them out."""
    embeddings: Path | None = None
    """A file of `sparse-ko vocab embed` (PPMI-SVD) whose vectors the pieces of a static lexical floor start with; None: random ones."""
    activation: Literal["log1p", "log1p-twice"] = "log1p"
    """Of a dimension: log1p(relu(x)) (SPLADE) or log1p(log1p(relu(x))) (the ℓ0 activation)."""
    lexical_floor: LexicalFloorSettings = LexicalFloorSettings()
    content_only: bool = False
    """Pieces that Kiwi nearly always reads as a particle, an ending, a copula or punctuation weigh nothing, in passages and in queries, and
    don't count as length; so the floor is the BM25 of content morphemes, not of all. For the lexical floor."""
    query_max_df: float = Field(default=1.0, gt=0, le=1)
    """Tokens that a larger share of the passages has weigh nothing in a query that is a table; 1: all of them weigh something."""
    max_tokens: int = Field(default=256, ge=16, le=512)
    """Where a passage is cut, [CLS] and [SEP] included. The ML Commons tokenizer never passes more than 512."""
    max_query_tokens: int = Field(default=64, ge=8, le=512)
    """Where a query is cut."""

    @model_validator(mode="after")
    def _heads_share_the_dimensions(self) -> Self:
        if self.body == "transformer" and self.dimensions % self.heads:
            raise ValueError(f"{self.dimensions} dimensions cannot be shared among {self.heads} heads")
        return self

    @model_validator(mode="after")
    def _a_pretrained_model_brings_its_embeddings(self) -> Self:
        if self.base and self.embeddings:
            raise ValueError("embeddings are for a model built from scratch; base names a pre-trained one, which has its own")
        if self.embeddings and (self.form != "lexical-floor" or self.body != "static"):
            raise ValueError("embeddings are read by the static body of the lexical floor alone; here the vectors start lexical")
        return self


class SynonymSettings(Settings):
    """How the collection's Korean–English pairs are used. β of the weighted sum is `weight`."""

    file: Path | None = None
    """Further pairs, beside those of the collections (`sparse-ko data synonyms build` writes such a file)."""
    as_pairs: bool = True
    """English term → Korean term as training pairs among the others."""
    weight: float = Field(default=0.0, ge=0)
    """Of the cross-lingual loss: 1 - cos of the two sides' vectors, averaged. configs/weighted-sum.yaml takes 0.1."""
    batch_size: int = Field(default=32, ge=1)
    """Pairs of terms a step."""


class SparsitySettings(Settings):
    """The regularisers, and the dial."""

    weight: float = Field(default=1.0, gt=0)
    """γ of the weighted sum: multiplies both regularisers."""
    document: Literal["flops", "df-flops", "l1"] = "flops"
    """On passages, positives and negatives together."""
    query: Literal["flops", "l1"] = "flops"
    """On queries, in the siamese form."""
    document_weight: float = Field(default=1e-3, ge=0)
    """λ of the passages; where a target is given, where the controller starts."""
    query_weight: float = Field(default=1e-3, ge=0)
    """λ of the queries; not used where a query is a table over its own tokens."""
    l0_threshold: int = Field(default=0, ge=0)
    """FLOPS counts only passages with more active dimensions than this."""
    regularised: Literal["weights", "expansion"] = "weights"
    """What the passages' regulariser sees. expansion: only what the lexical floor adds to a passage's own tokens, which then keep their
    weight: a passage that training never saw is found by them."""
    hold: float = Field(default=0.0, ge=0)
    """How strongly the lexical floor's own tokens are held at BM25's weights: the weight of the mean square of what u has learnt. With
    regularised: expansion."""
    sampled_dimensions: int = Field(default=0, ge=0)
    """Dimensions that a step computes beside those of its queries, drawn anew each step; the regulariser counts each for all that were
    not drawn, so its gradient is right on average. 0: the whole vocabulary. A static body trains several times as fast with it."""
    warmup: float = Field(default=1 / 3, ge=0, le=1)
    """Share of all steps in which λ grows quadratically from 0."""
    anti_collapse: float = Field(default=0.0, ge=0)
    """Weight of the term that keeps a text from having no active dimension at all."""
    target_doc_dims: float | None = Field(default=None, gt=0)
    """Active dimensions a passage that the controller steers to."""
    target_query_dims: float | None = Field(default=None, gt=0)
    """Active dimensions a query that the controller steers to."""

    @model_validator(mode="after")
    def _a_controller_starts_above_0(self) -> Self:
        for target, weight in (("target_doc_dims", "document_weight"), ("target_query_dims", "query_weight")):
            if getattr(self, target) is not None and not getattr(self, weight):
                raise ValueError(f"{target} multiplies {weight} up or down, which must not be 0")
        return self


class TrainSettings(RunSettings):
    """One training run of a sparse encoder."""

    vocabulary: VocabularySettings = VocabularySettings()
    model: ModelSettings = ModelSettings()
    synonyms: SynonymSettings = SynonymSettings()
    sparsity: SparsitySettings = SparsitySettings()

    def own_complaints(self) -> Iterator[str]:
        """Yield what contradicts itself in the settings, each with its key in front."""
        if self.model.form in QUERY_TABLE_FORMS and self.sparsity.target_query_dims is not None:
            yield f"sparsity.target_query_dims: a query of the form {self.model.form} has its own tokens as dimensions"
        if self.model.form != "lexical-floor":
            if self.sparsity.regularised == "expansion":
                yield f"sparsity.regularised: only the lexical floor has an expansion apart, not the form {self.model.form}"
            if self.model.content_only:
                yield f"model.content_only: only the lexical floor leaves pieces out, not the form {self.model.form}"
        if self.model.lexical_floor.lead and (self.model.form != "lexical-floor" or self.model.body != "static" or self.model.base):
            yield "model.lexical_floor.lead: only the static body of the lexical floor takes it; a transformer knows places by itself"
        if self.sparsity.regularised == "expansion" and self.synonyms.weight:
            yield "sparsity.regularised=expansion does not go with synonyms.weight: the cross-lingual loss compares whole vectors"
        if self.sparsity.hold and self.sparsity.regularised != "expansion":
            yield "sparsity.hold: what it holds is known with sparsity.regularised=expansion alone"
        if self.sparsity.sampled_dimensions:
            yield from self._against_sampling()
        if self.model.base and self.vocabulary.source:
            yield "vocabulary.source: the pre-trained model of model.base brings its own vocabulary"
        if self.ranking.needs_teacher and self.synonyms.as_pairs:
            yield f"synonyms.as_pairs: pairs of terms have no teacher's scores, which {self.ranking.loss} needs; set it to false"

    def _against_sampling(self) -> Iterator[str]:
        if self.model.form not in QUERY_TABLE_FORMS:
            yield f"sparsity.sampled_dimensions: a query of the form {self.model.form} may weigh any dimension, so all must be computed"
        for key, on in (
            ("sparsity.document: df-flops counts documents in every dimension", self.sparsity.document == "df-flops"),
            ("synonyms.weight: the cross-lingual loss compares whole vectors", self.synonyms.weight > 0),
            ("sparsity.anti_collapse: whether a text has any dimension at all is seen in all of them", self.sparsity.anti_collapse > 0),
        ):
            if on:
                yield f"sparsity.sampled_dimensions does not go with {key}"


def read_settings(source: Path, changes: list[str] | None = None) -> TrainSettings:
    """Read a config of `sparse-ko train` and apply `changes` such as "training.epochs=3" over it.

    Raises:
        UsageError: see `training_ko.settings.read_settings`.
    """
    return training_settings.read_settings(source, changes, TrainSettings)
