"""Training pairs → one batch of a teacher: every pair of a query and a passage once, and which of them are one query's list."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import torch

from retrieval_ko.records import SynonymPair
from training_ko.collator import Collator, Drawn
from training_ko.data import Source
from training_ko.losses.features import Features

if TYPE_CHECKING:
    from dense_ko.teacher.model import CrossEncoderTeacher, Pair

_NOTHING = -1


class PairCollator(Collator):
    """Makes one process's share of a batch. To the whole-batch step a pair is a document, and there are no queries.

    Args:
        teacher: whose tokenizer it is.
    """

    def __init__(self, teacher: CrossEncoderTeacher) -> None:
        self._teacher = teacher

    def __call__(self, drawn: Sequence[Drawn], text_of: Callable[[str], str], terms: Sequence[SynonymPair] = ()) -> Features:
        """Return the features of a share; it may be empty."""
        pairs: dict[Pair, int] = {}
        lists = [[pairs.setdefault((one.example.query, text_of(passage)), len(pairs)) for passage in one.passages] for one in drawn]
        width = max(map(len, lists), default=0)
        candidates = [[*row, *[_NOTHING] * (width - len(row))] for row in lists]
        return Features(
            queries=None,
            documents=self._teacher.tokenize_pairs(list(pairs)) if pairs else None,
            document_keys=torch.tensor([_key(pair) for pair in pairs], dtype=torch.int64),
            positive=torch.tensor([row[0] for row in lists], dtype=torch.int64),
            candidates=torch.tensor(candidates, dtype=torch.int64).reshape(len(lists), width),
            relevant_keys=torch.empty(len(lists), 0, dtype=torch.int64),
        )


def _key(pair: Pair) -> int:
    """Return 63 bits that are the same for the same pair in every process."""
    digest = hashlib.blake2b(digest_size=8)
    for text in pair:
        encoded = text.encode("utf-8", "surrogatepass")
        digest.update(len(encoded).to_bytes(8) + encoded)
    return int.from_bytes(digest.digest()) >> 1


def limited(sources: Sequence[Source], max_samples: int | None) -> list[Source]:
    """Return the sources with so many queries at most, over all of them; which ones is a function of their texts alone.

    Args:
        sources: in their order, which stays; one that is left with nothing is dropped.
        max_samples: None: all.
    """
    if max_samples is None:
        return list(sources)
    kept = drawn_queries({one.query for source in sources for one in source.examples}, max_samples)
    parts = (replace(source, examples=[one for one in source.examples if one.query in kept]) for source in sources)
    return [source for source in parts if source.examples]


def drawn_queries(texts: Iterable[str], count: int) -> set[str]:
    """Return `count` texts, the same ones whatever their order, and of a larger count the smaller is a part."""

    def drawn(text: str) -> tuple[bytes, str]:
        return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest(), text

    return set(sorted(texts, key=drawn)[:count])
