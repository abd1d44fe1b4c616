"""Tokens of texts that were read before: an article that a hundred questions cite is tokenised once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal

import torch

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    from torch import Tensor

_PLAIN = {"input_ids", "attention_mask"}
MOST_TOKENS = 200_000_000
"""Tokens that are kept, 4 bytes each; further texts are tokenised whenever they are read."""


class KnownTexts:
    """An encoder's `tokenize`, with a memory.

    Args:
        encoder: with `tokenize`, and a `tokenizer` that pads on the right. Features other than ids and mask are passed on as they come.
    """

    def __init__(self, encoder: Any) -> None:  # noqa: ANN401  whatever a collator takes
        self._encoder = encoder
        self._known: dict[tuple[str, int | None, str], npt.NDArray[np.int32]] = {}
        self._tokens = 0
        self._plain = True

    def tokenize(self, texts: Sequence[str], kind: Literal["query", "document"], max_tokens: int | None = None) -> dict[str, Tensor]:
        """Return what the encoder's own `tokenize` returns, ids and mask int64, shape [texts, longest]."""
        new = [text for text in dict.fromkeys(texts) if (kind, max_tokens, text) not in self._known] if self._plain else []
        full = self._tokens >= MOST_TOKENS
        if new and not full:
            self._plain = self._learn(new, kind, max_tokens)
        if not self._plain or (new and full) or not texts:
            features: dict[str, Tensor] = self._encoder.tokenize(texts, kind, max_tokens)
            return features
        rows = [self._known[kind, max_tokens, text] for text in texts]
        ids = torch.full((len(rows), max(map(len, rows), default=0) or 1), self._padding, dtype=torch.int64)
        mask = torch.zeros_like(ids)
        for place, row in enumerate(rows):
            ids[place, : len(row)] = torch.from_numpy(row)
            mask[place, : len(row)] = 1
        return {"input_ids": ids, "attention_mask": mask}

    def _learn(self, texts: Sequence[str], kind: Literal["query", "document"], max_tokens: int | None) -> bool:
        """Keep the tokens of texts and return whether ids and mask are all that they have."""
        features: dict[str, Tensor] = self._encoder.tokenize(texts, kind, max_tokens)
        if set(features) != _PLAIN:
            return False
        lengths = features["attention_mask"].sum(dim=1).tolist()
        for text, row, length in zip(texts, features["input_ids"].to(torch.int32).numpy(), lengths, strict=True):
            self._known[kind, max_tokens, text] = row[:length].copy()
        self._tokens += sum(lengths)
        return True

    @property
    def _padding(self) -> int:
        return getattr(getattr(self._encoder, "tokenizer", None), "pad_token_id", None) or 0
