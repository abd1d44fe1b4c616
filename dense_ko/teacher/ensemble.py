"""A teacher without a network: what BM25, earlier citations and, where they are named, encoders say, in one fitted sum.

logit(query, passage) = bias + Σ weight · signal. The weights are few (four, and one an encoder), so some hundred queries fit them; the
knowledge is in the training data that the signals look up. Its folder is one file, ensemble.json; it is bound to the collection and the
pair file it was fitted to.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import Field, ValidationError

from dense_ko.teacher.asked import Asked
from dense_ko.teacher.citations import NEIGHBOURS, Cited, CitedNeighbours
from dense_ko.teacher.signals import Bm25Signal, CitationSignal, Encodes, ModelSignal, Signal
from retrieval_ko.bm25 import Bm25Index, Ranking
from retrieval_ko.collection import Collection, first_complaint
from retrieval_ko.errors import DataError, ModelError
from retrieval_ko.files import folder_sha256, new_folder, read_json, sha256, write_json
from retrieval_ko.pairs.training_pairs import read_pairs
from retrieval_ko.records import Passage, TrainingPair
from retrieval_ko.terms import Tokenization
from training_ko.settings import Settings

CARD = "ensemble.json"
_AT_ONCE = 64
"""Queries whose candidates are scored together."""
_HOW_TO_MAKE_ONE = "An ensemble is made by: lex-dpr teacher fit --collection DIR --out DIR"

LoadModel = Callable[[str], Encodes]


class NamedModel(Settings):
    """An encoder that speaks in an ensemble."""

    path: str
    sha256: str
    scale: float = Field(gt=0)
    """What its scores are divided by."""


class EnsembleRecipe(Settings):
    """What an ensemble is made of, beside the collection."""

    pairs: str = "train"
    """Name of the pair file whose queries and citations it knows."""
    tokenization: Tokenization = Tokenization.BIGRAM
    """How BM25 and the neighbours cut text."""
    neighbours: int = Field(default=NEIGHBOURS, ge=1)
    """Similar training queries that speak for a query."""
    depth: int = Field(default=100, ge=2)
    """Passages that each signal proposes where the ensemble ranks by itself."""
    models: dict[str, NamedModel] = Field(default_factory=dict)


class EnsembleCard(Settings):
    """ensemble.json."""

    form: str = "ensemble"
    score: str = "logit"
    recipe: EnsembleRecipe
    collection: str
    pairs_sha256: str
    weights: dict[str, float]
    bias: float
    fitted: dict[str, Any] = Field(default_factory=dict)
    """What the fit saw and reached."""


@dataclass
class EnsembleTeacher:
    """Scores candidates by a weighted sum of signals.

    Args:
        signals: in the order of their weights.
        weights: of every name of every signal.
        bias: is added, so that sigmoid(logit) is about the share of answers among such candidates.
        depth: passages that each signal proposes where it ranks by itself.
    """

    signals: Sequence[Signal]
    weights: Mapping[str, float]
    bias: float = 0.0
    depth: int = 100
    out_of_memory: int = 0

    def score_candidates(
        self,
        asked: Sequence[Asked],
        passages: Mapping[str, Passage],
        batch_size: int = 32,
        *,
        on_progress: Callable[[int], None] | None = None,
    ) -> list[list[float]]:
        """Return a logit for every passage of every query; `passages` and `batch_size` are not read, the signals hold the collection."""
        weights = np.array([self.weights[name] for signal in self.signals for name in signal.names])
        logits: list[list[float]] = []
        done = 0
        for start in range(0, len(asked), _AT_ONCE):
            part = asked[start : start + _AT_ONCE]
            logits += [(values @ weights + self.bias).tolist() for values in self.values(part)]
            done += sum(len(one.passages) for one in part)
            if on_progress:
                on_progress(done)
        return logits

    def values(self, asked: Sequence[Asked]) -> list[np.ndarray]:
        """Return what the signals say, [candidates, signals] for each query."""
        return [np.concatenate(parts, axis=1) for parts in zip(*(signal.values(asked) for signal in self.signals), strict=True)]

    def proposed(self, query: str, text: str) -> list[str]:
        """Return the candidates that the signals bring up, each once."""
        return list(dict.fromkeys(passage for signal in self.signals for passage in signal.proposed(query, text, self.depth)))

    def rank(self, query: str, text: str, size: int) -> Ranking:
        """Return the best of what the signals bring up, with logits, best first, equal ones by id."""
        found = self.proposed(query, text)
        (logits,) = self.score_candidates([Asked(query, text, found)], {})
        return sorted(zip(found, logits, strict=True), key=lambda hit: (-hit[1], hit[0]))[:size]


def is_ensemble(name: Path | str) -> bool:
    """Return whether a folder holds an ensemble."""
    return (Path(name) / CARD).is_file()


def signals_of(
    recipe: EnsembleRecipe,
    collection: Collection,
    pairs: Iterable[TrainingPair],
    load_model: LoadModel | None = None,
    *,
    workers: int = 1,
    batch_size: int = 32,
    on_progress: Callable[[int], None] | None = None,
) -> list[Signal]:
    """Return the signals of a recipe over a collection.

    Args:
        recipe: what speaks.
        collection: whose passages are judged.
        pairs: the training queries and what they cite.
        load_model: path → encoder; needed where the recipe names models.
        workers: of BM25 and Kiwi.
        batch_size: texts that go through an encoder at once.
        on_progress: told how many passages are cut into terms.
    """
    groups = {query.id: str(query.metadata["group"]) for query in collection.queries.values() if query.metadata.get("group")}
    cited = (Cited(pair.query_id, pair.query_text, groups.get(pair.query_id, ""), tuple(pair.positive_passages)) for pair in pairs)
    neighbours = CitedNeighbours(cited, recipe.tokenization, recipe.neighbours, workers)
    index = Bm25Index(collection.passages.values(), tokenization=recipe.tokenization, workers=workers, on_progress=on_progress)
    signals: list[Signal] = [Bm25Signal(index), CitationSignal(neighbours, groups)]
    for name, model in recipe.models.items():
        if load_model is None:
            raise ModelError(f"The ensemble asks the encoder {model.path}, and nothing here can load it.")
        signals.append(ModelSignal(name, load_model(model.path), collection.passages, scale=model.scale, batch_size=batch_size))
    return signals


def save_ensemble(card: EnsembleCard, folder: Path) -> None:
    """Write ensemble.json into a folder of its own, whole or not at all."""
    with new_folder(folder) as target:
        write_json(target / CARD, card.model_dump(mode="json"))


def load_ensemble(
    folder: Path,
    collection: Collection,
    collection_folder: Path,
    load_model: LoadModel | None = None,
    *,
    workers: int = 1,
    on_progress: Callable[[int], None] | None = None,
) -> EnsembleTeacher:
    """Return an ensemble, bound to the collection it was fitted to.

    Raises:
        DataError: ensemble.json is damaged, or the pair file it was fitted to is missing or another one.
        ModelError: an encoder that it asks has changed.
    """
    try:
        card = EnsembleCard.model_validate(read_json(folder / CARD))
    except ValidationError as failure:
        raise DataError(f"{folder / CARD}: {first_complaint(failure)}.", _HOW_TO_MAKE_ONE) from failure
    source = pair_file(collection_folder, card.recipe.pairs)
    if sha256(source) != card.pairs_sha256:
        raise DataError(
            f"{folder} was fitted to other pairs of {card.collection} than {source}.",
            f"Fit it again: lex-dpr teacher fit --collection {collection_folder} --pairs {card.recipe.pairs} --out DIR",
        )
    for model in card.recipe.models.values():
        if Path(model.path).is_dir() and folder_sha256(Path(model.path)) != model.sha256:
            raise ModelError(f"The encoder {model.path} is not the one that {folder} was fitted with.", _HOW_TO_MAKE_ONE)
    pairs = list(read_pairs(source))
    signals = signals_of(card.recipe, collection, pairs, load_model, workers=workers, on_progress=on_progress)
    missing = [name for signal in signals for name in signal.names if name not in card.weights]
    if missing:
        raise DataError(f"{folder / CARD} has no weight for {', '.join(missing)}.", _HOW_TO_MAKE_ONE)
    return EnsembleTeacher(signals, card.weights, card.bias, card.recipe.depth)


def pair_file(collection_folder: Path, name: str) -> Path:
    """Return the path of a pair file.

    Raises:
        DataError: it is not there.
    """
    file = collection_folder / "pairs" / f"{name}.jsonl"
    if not file.is_file():
        known = ", ".join(sorted(path.stem for path in file.parent.glob("*.jsonl"))) or "none at all"
        raise DataError(
            f"There is no pair file {file}; the collection has: {known}.", f"Write one with: sparse-ko data mine {collection_folder}"
        )
    return file
