"""Which passages answer a query, whatever the judgements name: passages, or the parents that passages are parts of."""

from __future__ import annotations

from retrieval_ko.collection import Collection, parents_of


def answers_of(collection: Collection, split: str) -> dict[str, list[str]]:
    """Return the passages that answer each query of a split; where judgements name parents, all passages of the relevant ones.

    Raises:
        DataError: the collection has no such split.
    """
    relevant = collection.relevant(split)
    if collection.judged == "passage":
        return relevant
    parts: dict[str, list[str]] = {}
    for passage, parent in parents_of(collection.passages.values()).items():
        parts.setdefault(parent, []).append(passage)
    return {query: [passage for parent in parents for passage in parts[parent]] for query, parents in relevant.items()}
