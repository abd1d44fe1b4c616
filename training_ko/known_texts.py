"""Tokens of texts that were read before: an article that a hundred questions cite is tokenised once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from training_ko.tokenizing import padded

if TYPE_CHECKING:
    import numpy.typing as npt
    from torch import Tensor

_MASK = "attention_mask"
_FILLERS = {"input_ids": None, "counts": 0, "first_places": 0}
"""What is kept of a text, beside its length, and what stands in its padding; None: the tokenizer's own."""
MOST_TOKENS = 200_000_000
"""Numbers that are kept, 4 bytes each, three a piece of a static body; further texts are tokenised whenever they are read."""


class KnownTexts:
    """An encoder's `tokenize`, with a memory.

    Args:
        encoder: with `tokenize`, and a `tokenizer` that pads on the right. Where it has features other than those of
            `training_ko.tokenizing`, all are passed on as they come.
    """

    def __init__(self, encoder: Any) -> None:  # noqa: ANN401  whatever a collator takes
        self._encoder = encoder
        self._known: dict[tuple[str, int | None, str], npt.NDArray[np.int32]] = {}
        self._names: dict[str, list[str]] = {}
        """Of a kind of texts: its features, one a row of what is known."""
        self._tokens = 0
        self._plain = True

    def tokenize(self, texts: Sequence[str], kind: Literal["query", "document"], max_tokens: int | None = None) -> dict[str, Tensor]:
        """Return what the encoder's own `tokenize` returns, int64, shape [texts, longest]."""
        new = [text for text in dict.fromkeys(texts) if (kind, max_tokens, text) not in self._known] if self._plain else []
        full = self._tokens >= MOST_TOKENS
        if new and not full:
            self._plain = self._learn(new, kind, max_tokens)
        if not self._plain or (new and full) or not texts:
            features: dict[str, Tensor] = self._encoder.tokenize(texts, kind, max_tokens)
            return features
        rows = [self._known[kind, max_tokens, text] for text in texts]
        lengths = np.array([row.shape[1] for row in rows], dtype=np.int64)
        together = np.concatenate(rows, axis=1)
        found = {name: padded(values, lengths, self._filler(name)) for name, values in zip(self._names[kind], together, strict=True)}
        return found | {_MASK: padded(np.ones_like(together[0]), lengths)}

    def _learn(self, texts: Sequence[str], kind: Literal["query", "document"], max_tokens: int | None) -> bool:
        """Keep the tokens of texts and return whether all that they have is known to have a number for each token."""
        features: dict[str, Tensor] = self._encoder.tokenize(texts, kind, max_tokens)
        names = [name for name in _FILLERS if name in features]
        if set(features) != {*names, _MASK}:
            return False
        self._names[kind] = names
        lengths = features[_MASK].sum(dim=1).tolist()
        together = np.stack([features[name].numpy() for name in names]).astype(np.int32)
        for place, (text, length) in enumerate(zip(texts, lengths, strict=True)):
            self._known[kind, max_tokens, text] = together[:, place, :length].copy()
        self._tokens += sum(lengths) * len(names)
        return True

    def _filler(self, name: str) -> int:
        filler = _FILLERS[name]
        return (getattr(getattr(self._encoder, "tokenizer", None), "pad_token_id", None) or 0) if filler is None else filler
