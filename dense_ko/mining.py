"""Hard negatives found by a bi-encoder itself: what it ranks high and nobody marked as an answer is what it has to learn next."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from dense_ko.retrieval import DenseIndex
from retrieval_ko.collection import Collection, parents_of
from retrieval_ko.pairs.mining import MiningReport, MiningSettings, mine, unmarked_answers
from retrieval_ko.records import TrainingPair

if TYPE_CHECKING:
    from dense_ko.encoder import BiEncoder

TEXTS_AT_ONCE = 1024
"""Queries that are encoded together."""


def mine_with_model(
    encoder: BiEncoder,
    collection: Collection,
    pairs: Sequence[TrainingPair],
    settings: MiningSettings,
    report: MiningReport,
    *,
    index: DenseIndex | None = None,
    group_of: Callable[[str], str] | None = None,
) -> Iterator[TrainingPair]:
    """Yield each pair with the negatives that the encoder ranks highest, under the rules of `retrieval_ko.pairs.mining`.

    Whatever scores 95 % of the best positive's cosine, or more, is held back unless the settings say otherwise (Moreira et al. 2024,
    arXiv 2407.15831): the higher a model ranks it, the likelier it is an answer that nobody marked.

    Args:
        encoder: what ranks.
        collection: what is searched.
        pairs: queries and their positives; negatives they had are replaced.
        settings: how many, and which are held back.
        report: is filled.
        index: of the collection by this encoder, where there is one already.
        group_of: passage id → what it is a part of; passages of a positive's group are no negatives.

    Raises:
        DataError: a positive is not in the collection.
    """
    known = index or DenseIndex.of(encoder, collection.passages.values())

    def rankings() -> Iterator[list[tuple[str, float]]]:
        for start in range(0, len(pairs), TEXTS_AT_ONCE):
            part = pairs[start : start + TEXTS_AT_ONCE]
            yield from known.rankings(encoder.encode_queries([pair.query_text for pair in part]), settings.depth)

    return mine(pairs, collection.passages, rankings(), settings, report, group_of=group_of, excluded=unmarked_answers(collection))


def pairs_of(encoder: BiEncoder, collection: Collection, split: str, index: DenseIndex) -> list[TrainingPair]:
    """Return a pair without negatives for each query of a split that has a relevant passage.

    Where judgements name parents, the passage of each relevant parent that the encoder scores highest is the positive; of equal ones the
    first.

    Raises:
        DataError: the collection has no such split.
    """
    relevant = collection.relevant(split)
    if collection.judged == "parent":
        relevant = _best_parts(encoder, collection, relevant, index)
    return [
        TrainingPair(query_id=query, query_text=collection.queries[query].text, positive_passages=passages)
        for query, passages in relevant.items()
    ]


def _best_parts(encoder: BiEncoder, collection: Collection, relevant: Mapping[str, list[str]], index: DenseIndex) -> dict[str, list[str]]:
    parts: dict[str, list[str]] = {}
    for passage, parent in parents_of(collection.passages.values()).items():
        parts.setdefault(parent, []).append(passage)
    vectors = encoder.encode_queries([collection.queries[query].text for query in relevant])

    def best(vector: np.ndarray, passages: list[str]) -> str:
        rows = np.array([index.rows[passage] for passage in passages])
        return passages[int(np.argmax(index.scores(vector, rows)))]

    return {
        query: [best(vector, parts[parent]) for parent in parents]
        for (query, parents), vector in zip(relevant.items(), vectors, strict=True)
    }
