"""The part of a dev split that is measured while a run goes: always the same queries and passages."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import replace

from retrieval_ko.collection import Collection, parents_of


def dev_part(collection: Collection, split: str, queries: int, passages: int | None = None) -> Collection:
    """Return a collection with a part of a split, drawn by a hash of the ids.

    Args:
        collection: with the split.
        split: whose queries are asked.
        queries: that are asked, at most.
        passages: that are searched, at most, but never fewer than the relevant ones; None: all.

    Raises:
        DataError: the collection has no such split.
    """
    asked = set(_drawn(collection.relevant(split), queries))
    judgements = {query: grades for query, grades in collection.judgements[split].items() if query in asked}
    searched = collection.passages
    if passages is not None and passages < len(searched):
        relevant = _relevant_passages(collection, judgements)
        others = _drawn((passage for passage in searched if passage not in relevant), max(passages - len(relevant), 0))
        kept = relevant.union(others)
        searched = {passage: record for passage, record in searched.items() if passage in kept}
    return replace(collection, passages=searched, judgements={split: judgements})


def _relevant_passages(collection: Collection, judgements: Mapping[str, Mapping[str, int]]) -> set[str]:
    judged = {name for grades in judgements.values() for name, grade in grades.items() if grade > 0}
    if collection.judged == "passage":
        return judged
    return {passage for passage, parent in parents_of(collection.passages.values()).items() if parent in judged}


def _drawn(ids: Iterable[str], count: int) -> list[str]:
    """Return `count` of the ids, the same ones whatever else there is."""
    return sorted(ids, key=lambda name: (hashlib.blake2b(name.encode(), digest_size=8).digest(), name))[:count]
