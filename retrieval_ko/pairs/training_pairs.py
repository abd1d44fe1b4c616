"""Pair files: one query a line with the passages that answer it and passages that do not.

{"query_id", "query_text", "positive_passages": [ids], "hard_negatives": [ids], "random_negatives": [ids], "meta": {…}}
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

from pydantic import ValidationError

from retrieval_ko.collection import first_complaint
from retrieval_ko.errors import DataError
from retrieval_ko.files import read_jsonl, write_jsonl
from retrieval_ko.records import TrainingPair


def read_pairs(source: Path) -> Iterator[TrainingPair]:
    """Yield the pairs of a file in its order.

    Raises:
        DataError: a line is damaged, has no query or no positive, or names a passage as positive and negative. Names the line.
    """
    for number, row in read_jsonl(source):
        try:
            pair = TrainingPair.model_validate(row)
        except ValidationError as failure:
            raise DataError(f"{source}, line {number}: {first_complaint(failure)}.") from failure
        both = set(pair.positive_passages) & {*pair.hard_negatives, *pair.random_negatives}
        if both:
            raise DataError(f"{source}, line {number}: {min(both)!r} is a positive and a negative of the same query.")
        yield pair


def write_pairs(target: Path, pairs: Iterable[TrainingPair]) -> int:
    """Write pairs, one a line, whole or not at all, and return how many."""
    return write_jsonl(target, (pair.model_dump(exclude_defaults=True) for pair in pairs))
