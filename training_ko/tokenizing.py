"""Texts to padded ids, by the tokenizer's own library: transformers' wrapper takes longer to convert the ids than they take to be found."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch

if TYPE_CHECKING:
    from torch import Tensor
    from transformers import PreTrainedTokenizerFast


def tokenize(
    tokenizer: PreTrainedTokenizerFast, texts: Sequence[str], max_tokens: int, *, special_tokens: bool = True
) -> dict[str, Tensor]:
    """Return `input_ids` and `attention_mask`, int64, shape [texts, longest], as the tokenizer's own call would.

    Args:
        tokenizer: a fast one that cuts and pads on the right.
        texts: any number.
        max_tokens: where a text is cut, special tokens included.
        special_tokens: whether [CLS] and [SEP] are put around a text.
    """
    backend = tokenizer.backend_tokenizer
    backend.enable_truncation(max_length=max_tokens)
    backend.no_padding()
    rows = [encoding.ids for encoding in backend.encode_batch(list(texts), add_special_tokens=special_tokens)]
    longest = max(map(len, rows), default=0) or 1
    ids = np.full((len(rows), longest), tokenizer.pad_token_id or 0, dtype=np.int64)
    mask = np.zeros((len(rows), longest), dtype=np.int64)
    for place, row in enumerate(rows):
        ids[place, : len(row)] = row
        mask[place, : len(row)] = 1
    return {"input_ids": torch.from_numpy(ids), "attention_mask": torch.from_numpy(mask)}
