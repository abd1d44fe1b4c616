"""Passages for an index that is to grow beyond its collection: the real ones first, then two real ones halved and joined."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

import numpy as np

from opensearch_ko.benchmark.scan import documents
from opensearch_ko.benchmark.schedule import shuffled
from opensearch_ko.cluster import Cluster
from opensearch_ko.encoding import PassageEncoder
from opensearch_ko.indexes import SPARSE_FIELD
from retrieval_ko.errors import DataError
from retrieval_ko.records import Passage

_FIELDS = ("title", "text", "passage", "morphemes", SPARSE_FIELD)
_PASSAGES_AT_ONCE = 256


@dataclass(frozen=True)
class StoredPassage:
    """What an index holds of a passage."""

    id: str
    texts: Mapping[str, str]
    """title, text and passage."""
    morphemes: Sequence[str]
    weights: Mapping[str, float]

    def source(self) -> dict[str, Any]:
        """Return the document."""
        return {**self.texts, "morphemes": " ".join(self.morphemes), SPARSE_FIELD: dict(self.weights)}


def passages_of_index(cluster: Cluster, index: str, most: int) -> list[StoredPassage]:
    """Read up to `most` passages of an index of ours, as they are stored.

    Raises:
        DataError: the index is empty, or its `_source` does not hold the weights.
    """
    read = [
        StoredPassage(
            id=passage,
            texts={name: source.get(name, "") for name in ("title", "text", "passage")},
            morphemes=source.get("morphemes", "").split(),
            weights=source.get(SPARSE_FIELD) or {},
        )
        for passage, source in islice(documents(cluster, index, _FIELDS), most)
    ]
    if not any(passage.weights for passage in read):
        raise DataError(f"The index {index} holds no passage with sparse weights in _source.", "Fill it first: sparse-ko index")
    return read


def passages_of_collection(
    passages: Iterable[Passage],
    encoder: PassageEncoder,
    content_terms: Callable[[str], list[str]],
    on_progress: Callable[[int], None] = lambda done: None,
) -> list[StoredPassage]:
    """Encode passages on this machine."""
    read: list[StoredPassage] = []
    waiting = iter(passages)
    while batch := list(islice(waiting, _PASSAGES_AT_ONCE)):
        weights = encoder.sparse([passage.passage_text for passage in batch])
        for passage, own in zip(batch, weights, strict=True):
            texts = {"title": passage.title, "text": passage.text, "passage": passage.passage_text}
            read.append(StoredPassage(passage.id, texts, content_terms(passage.passage_text), own))
        on_progress(len(read))
    return read


def growing(passages: Sequence[StoredPassage], total: int, seed: int = 0) -> Iterator[StoredPassage]:
    """Yield `total` passages: the real ones in an order of their ids' hashes, then synthetic ones without end.

    A synthetic passage has the texts of one real passage, and of the terms of two what a coin's toss for each takes: a term of both
    stays, a term of one stays half of the time. So a term stands in as large a share of the synthetic passages as of the real ones, a
    passage has as many terms on average, and weights are real weights; which terms stand together is half lost. A larger subset holds
    the smaller one.

    Raises:
        ValueError: there are fewer than two passages to make others of.
    """
    if len(passages) < 2 and total > len(passages):
        raise ValueError("synthetic passages are made of at least two real ones")
    by_id = {passage.id: passage for passage in passages}
    yield from (by_id[name] for name in shuffled(list(by_id), f"growth/{seed}")[:total])
    rng = np.random.default_rng(seed)
    for number in range(max(total - len(passages), 0)):
        first, second = (passages[place] for place in rng.choice(len(passages), size=2, replace=False))
        yield StoredPassage(
            id=f"synthetic-{number}",
            texts=first.texts,
            morphemes=_joined_terms(first.morphemes, second.morphemes, rng),
            weights=_joined_weights(first.weights, second.weights, rng),
        )


def _joined_weights(first: Mapping[str, float], second: Mapping[str, float], rng: np.random.Generator) -> dict[str, float]:
    """Toss a coin for each term of either: what it has on that side, and nothing where that side lacks it."""
    terms = sorted(first.keys() | second.keys())
    sides = (first if heads else second for heads in rng.random(len(terms)) < 0.5)
    return {term: side[term] for term, side in zip(terms, sides, strict=True) if term in side}


def _joined_terms(first: Sequence[str], second: Sequence[str], rng: np.random.Generator) -> list[str]:
    """Do the same with terms that repeat: a term occurs as often as on its side."""
    chosen = _joined_weights(Counter(first), Counter(second), rng)
    return [term for term, count in chosen.items() for _ in range(int(count))]
