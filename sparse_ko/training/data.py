"""Where a sparse encoder's training pairs come from: what every run reads, and pairs of terms."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from retrieval_ko.collection import Collection, read_synonyms
from retrieval_ko.records import SynonymPair
from sparse_ko.settings import TrainSettings
from training_ko import data
from training_ko.data import Example, Source


def read_collection(settings: TrainSettings, otherwise: Path) -> Collection:
    """Return the collection of a run with the synonym pairs that the settings add; `otherwise` is read where they name none.

    Raises:
        DataError: the collection or the synonym file is damaged or missing.
    """
    collection = Collection.read(settings.collection or otherwise)
    if settings.synonyms.file:
        collection.synonyms = list(dict.fromkeys([*collection.synonyms, *read_synonyms(settings.synonyms.file)]))
    return collection


def read_sources(settings: TrainSettings, collection: Collection, others: Mapping[Path, Collection] | None = None) -> list[Source]:
    """Return everything that a run trains on, in the order of the settings, pairs of terms last.

    Args:
        settings: of the run.
        collection: `settings.collection`, read.
        others: the collections that `settings.data` names besides, read.

    Raises:
        DataError: a split or a pair file is missing or empty, names unknown passages, or has no negatives or scores where they are needed.
    """
    sources = data.read_sources(settings, collection, others)
    terms = synonym_pairs([collection, *(others or {}).values()]) if settings.synonyms.as_pairs else []
    return [*sources, synonym_source(terms)] if terms else sources


def synonym_pairs(collections: Iterable[Collection]) -> list[SynonymPair]:
    """Return the Korean–English pairs of all collections, each once."""
    return list(dict.fromkeys(SynonymPair(ko=pair.ko, en=pair.en) for collection in collections for pair in collection.synonyms))


def synonym_source(pairs: Sequence[SynonymPair]) -> Source:
    """Return pairs of terms as examples: the English term asks, all its Korean terms answer."""
    answers: dict[str, list[str]] = {}
    for pair in pairs:
        answers.setdefault(pair.en, []).append(pair.ko)
    examples = [Example("", pair.en, pair.ko, tuple(answers[pair.en])) for pair in pairs]
    return Source("synonyms", examples, text_of=str)
