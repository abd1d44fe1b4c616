"""Texts to padded ids, by the tokenizer's own library: transformers' wrapper takes longer to convert the ids than they take to be found."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

if TYPE_CHECKING:
    import numpy.typing as npt
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
    ids, lengths = _flat_ids(tokenizer, texts, max_tokens, special_tokens=special_tokens)
    return {"input_ids": padded(ids, lengths, tokenizer.pad_token_id or 0), "attention_mask": padded(np.ones_like(ids), lengths)}


def tokenize_to_pieces(tokenizer: PreTrainedTokenizerFast, texts: Sequence[str], max_tokens: int) -> dict[str, Tensor]:
    """Return the pieces of each text, each once, for a network to which their order is nothing.

    `input_ids`: the pieces, rising; `attention_mask`; `counts`: how often each stands in the text; `first_places`: where it stands first,
    [CLS] at 0. All int64, shape [texts, most pieces]; padding counts 0. A text is cut before its pieces are counted.

    Args:
        tokenizer: a fast one that cuts and pads on the right.
        texts: any number.
        max_tokens: where a text is cut, special tokens included.
    """
    ids, lengths = _flat_ids(tokenizer, texts, max_tokens)
    rows = np.repeat(np.arange(len(lengths)), lengths)
    pieces, first, counts = np.unique(rows * len(tokenizer) + ids, return_index=True, return_counts=True)
    rows, ids = np.divmod(pieces, len(tokenizer))
    first = first - (np.cumsum(lengths) - lengths)[rows]
    lengths = np.bincount(rows, minlength=len(lengths))
    return {
        "input_ids": padded(ids, lengths, tokenizer.pad_token_id or 0),
        "attention_mask": padded(np.ones_like(ids), lengths),
        "counts": padded(counts, lengths),
        "first_places": padded(first, lengths),
    }


def padded(values: npt.NDArray[Any], lengths: npt.NDArray[np.int64], filler: int = 0) -> Tensor:
    """Return rows that stand one behind the other as one tensor, int64, shape [rows, longest, at least 1].

    Args:
        values: shape [sum of lengths].
        lengths: of the rows.
        filler: behind the shorter ones.
    """
    width = int(lengths.max(initial=1))
    table = np.full((len(lengths), width), filler, dtype=np.int64)
    table[np.arange(width) < lengths[:, None]] = values
    return torch.from_numpy(table)


def _flat_ids(
    tokenizer: PreTrainedTokenizerFast, texts: Sequence[str], max_tokens: int, *, special_tokens: bool = True
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Return the ids of all texts, one text behind the other, and how many each has."""
    backend = tokenizer.backend_tokenizer
    backend.enable_truncation(max_length=max_tokens)
    backend.no_padding()
    rows = [encoding.ids for encoding in backend.encode_batch(list(texts), add_special_tokens=special_tokens)]
    lengths = np.fromiter(map(len, rows), dtype=np.int64, count=len(rows))
    return np.fromiter((token for row in rows for token in row), dtype=np.int64, count=int(lengths.sum())), lengths
