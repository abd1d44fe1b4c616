"""Which tokens of a batch are hidden: drawn by seed and number of the batch, so that a resumed run hides the same."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from retrieval_ko.errors import UsageError
from sparse_ko.pretraining.settings import MaskingSettings

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

NOT_HIDDEN = -100
"""The label of a token that is not asked for (torch's `ignore_index`)."""
SHOWN_AS_MASK, SHOWN_AS_ANOTHER = 0.8, 0.1


class Masking:
    """Hides a share of the tokens of a batch.

    Args:
        tokenizer: whose special tokens are never hidden.
        settings: how much, and whether words go whole.
        seed: of the run.

    Raises:
        UsageError: the tokenizer has no mask token, or is no WordPiece and words are to go whole.
    """

    def __init__(self, tokenizer: PreTrainedTokenizerFast, settings: MaskingSettings, seed: int) -> None:
        if tokenizer.mask_token_id is None:
            raise UsageError("The tokenizer has no mask token.", "Take a masked language model, not a generating one.")
        if settings.whole_words and type(tokenizer.backend_tokenizer.model).__name__ != "WordPiece":
            raise UsageError(
                "masking.whole_words: only a WordPiece tokenizer says where a word goes on.", "--set masking.whole_words=false"
            )
        pieces = tokenizer.convert_ids_to_tokens(list(range(len(tokenizer))))
        self._mask = int(tokenizer.mask_token_id)
        self._pad = int(tokenizer.pad_token_id)
        self._special = torch.zeros(len(tokenizer), dtype=torch.bool)
        self._special[tokenizer.all_special_ids] = True
        self._ordinary = (~self._special).nonzero().flatten()
        self._goes_on = torch.tensor([piece.startswith("##") for piece in pieces])
        self._settings = settings
        self._seed = seed

    def __call__(self, ids: Tensor, number: int) -> dict[str, Tensor]:
        """Return what the model reads and what it is asked.

        Args:
            ids: shape [rows, tokens], int64.
            number: of the batch; the same number hides the same.

        Returns:
            input_ids, attention_mask and labels (the id where a token is hidden, else -100), all of the shape of `ids`.
        """
        # a hash, since torch's generator looks at 32 bits of its seed only
        mixed = hashlib.blake2b(f"{self._seed}:{number}".encode(), digest_size=4).digest()
        generator = torch.Generator().manual_seed(int.from_bytes(mixed))
        hidden = self._draw(ids, generator)
        labels = ids.where(hidden, torch.tensor(NOT_HIDDEN))
        fate = torch.rand(ids.shape, generator=generator)
        others = self._ordinary[torch.randint(len(self._ordinary), ids.shape, generator=generator)]
        shown = ids.where(~(hidden & (fate < SHOWN_AS_MASK)), torch.tensor(self._mask))
        shown = shown.where(~(hidden & (fate >= SHOWN_AS_MASK) & (fate < SHOWN_AS_MASK + SHOWN_AS_ANOTHER)), others)
        return {"input_ids": shown, "attention_mask": (ids != self._pad).long(), "labels": labels}

    def _draw(self, ids: Tensor, generator: torch.Generator) -> Tensor:
        """Return which tokens are hidden: of each row the share nearest to what is asked, at least one."""
        special = self._special[ids]
        starts = ~(self._goes_on[ids] & self._settings.whole_words) | special
        # a piece that would go on with a special token or with nothing is a word by itself
        starts[:, 0] = True
        starts[:, 1:] |= special[:, :-1]
        words = starts.long().cumsum(dim=1) - 1
        drawn = torch.rand(ids.shape, generator=generator).gather(1, words).masked_fill(special, 2.0)
        order = drawn.sort(dim=1, stable=True).indices
        wanted = ((~special).sum(dim=1, keepdim=True) * self._settings.share).round().long().clamp(min=1)
        place = order.argsort(dim=1)
        hidden = (place < wanted) & ~special
        if not self._settings.whole_words:
            return hidden
        # the word at the border goes whole: all of its pieces, or it is left out when others are there
        touched = torch.zeros_like(ids).scatter_add_(1, words, hidden.long())
        length = torch.zeros_like(ids).scatter_add_(1, words, (~special).long())
        whole = (touched * 2 >= length) & (touched > 0)
        if (none := ~whole.any(dim=1)).any():
            whole[none] = touched[none] > 0
        return whole.gather(1, words) & ~special
