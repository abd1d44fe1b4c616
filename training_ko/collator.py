"""Examples → tokens, keys and places: what `sparse_ko.losses` reads of a batch."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Literal, Protocol

import torch
from torch import Tensor

from retrieval_ko.records import SynonymPair
from training_ko.data import Example
from training_ko.known_texts import KnownTexts
from training_ko.losses.features import Features

_NOTHING = -1


@dataclass(frozen=True, slots=True)
class Drawn:
    """An example as a step reads it: `passages` are its positive and the negatives drawn for it, ids."""

    example: Example
    passages: tuple[str, ...]


class Tokenizes(Protocol):
    """What the collator needs of an encoder."""

    def tokenize(self, texts: Sequence[str], kind: Literal["query", "document"], max_tokens: int | None = None) -> dict[str, Tensor]:
        """Return the tokens of texts, cut and padded to the longest."""
        ...


class Collator:
    """Makes one process's share of a batch: every text once, its queries' own passages as places, known answers as keys.

    Args:
        encoder: whose tokenizer it is.
        max_query_tokens: where a query is cut; None: where a passage is.
        with_scores: whether a teacher's scores go along.
    """

    def __init__(self, encoder: Tokenizes, max_query_tokens: int | None = None, *, with_scores: bool = False) -> None:
        self._encoder = KnownTexts(encoder)
        self._max_query_tokens = max_query_tokens
        self._with_scores = with_scores

    def __call__(self, drawn: Sequence[Drawn], text_of: Callable[[str], str], terms: Sequence[SynonymPair] = ()) -> Features:
        """Return the features of a share; it may be empty."""
        texts: dict[str, int] = {}
        places = [[texts.setdefault(text_of(passage), len(texts)) for passage in one.passages] for one in drawn]
        relevant = [[_key(text_of(passage)) for passage in one.example.relevant] for one in drawn]
        scores = [[one.example.scores.get(passage, math.nan) for passage in one.passages] for one in drawn]
        return Features(
            queries=self._encoder.tokenize([one.example.query for one in drawn], "query", self._max_query_tokens) if drawn else None,
            documents=self._encoder.tokenize(list(texts), "document") if drawn else None,
            document_keys=torch.tensor([_key(text) for text in texts], dtype=torch.int64),
            positive=torch.tensor([row[0] for row in places], dtype=torch.int64),
            candidates=_table(places, _NOTHING, torch.int64),
            relevant_keys=_table(relevant, _NOTHING, torch.int64),
            teacher=_table(scores, math.nan, torch.float32) if self._with_scores else None,
            korean=self._encoder.tokenize([pair.ko for pair in terms], "document") if terms else None,
            english=self._encoder.tokenize([pair.en for pair in terms], "document") if terms else None,
        )


def _key(text: str) -> int:
    """Return 63 bits that are the same for the same text in every process and on every machine."""
    return int.from_bytes(hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest()) >> 1


def _table(rows: Sequence[Sequence[float]], filler: float, dtype: torch.dtype) -> Tensor:
    """Return rows of different lengths as one tensor, filled up with `filler`."""
    width = max(map(len, rows), default=0)
    return torch.tensor([[*row, *[filler] * (width - len(row))] for row in rows], dtype=dtype).reshape(len(rows), width)


def count_cut(lengths: Iterable[int], limit: int) -> int:
    """Return how many texts have more tokens than `limit`."""
    return sum(length > limit for length in lengths)


def token_counts(tokenizer: Callable[..., dict[str, list[list[int]]]], texts: Iterable[str], at_once: int = 1000) -> Iterable[int]:
    """Yield the number of tokens of each text, uncut, [CLS] and [SEP] included."""
    rest = iter(texts)
    while some := list(islice(rest, at_once)):
        yield from map(len, tokenizer(some, truncation=False, padding=False)["input_ids"])
