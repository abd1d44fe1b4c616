"""Texts as rows of equal length, written to disk while they are read: memory does not grow with the corpus, and no token is padding.

A row is [CLS] and max_tokens - 1 tokens of texts that follow each other, each closed by [SEP]; a text may go on in the next row.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from retrieval_ko.errors import DataError
from retrieval_ko.files import new_file

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

Rows = NDArray[np.uint32]
"""Token ids, shape [rows, max_tokens]."""
_TEXTS_AT_ONCE = 1_000


def pack(tokenizer: PreTrainedTokenizerFast, texts: Iterable[str], max_tokens: int) -> Iterator[Rows]:
    """Yield packed rows, a few at a time; the last one may end in padding.

    Args:
        tokenizer: with [CLS], [SEP] and [PAD], or what it has in their place.
        texts: read as they are needed.
        max_tokens: length of a row.
    """
    begin = tokenizer.cls_token_id if tokenizer.cls_token_id is not None else tokenizer.bos_token_id
    end = tokenizer.sep_token_id if tokenizer.sep_token_id is not None else tokenizer.eos_token_id
    room = max_tokens - 1
    held: list[int] = []
    for ids in _ids(tokenizer, texts):
        held += ids
        held.append(end)
        full = len(held) // room
        if full:
            yield _rows(held[: full * room], begin, room)
            held = held[full * room :]
    if held:
        yield _rows(held + [tokenizer.pad_token_id] * (room - len(held)), begin, room)


def _rows(ids: list[int], begin: int, room: int) -> Rows:
    body = np.array(ids, dtype=np.uint32).reshape(-1, room)
    return np.concatenate([np.full((len(body), 1), begin, dtype=np.uint32), body], axis=1)


def _ids(tokenizer: PreTrainedTokenizerFast, texts: Iterable[str]) -> Iterator[list[int]]:
    batch: list[str] = []
    for text in texts:
        batch.append(text)
        if len(batch) == _TEXTS_AT_ONCE:
            yield from tokenizer(batch, add_special_tokens=False, truncation=False, verbose=False)["input_ids"]
            batch = []
    if batch:
        yield from tokenizer(batch, add_special_tokens=False, truncation=False, verbose=False)["input_ids"]


def write_rows(target: Path, rows: Iterable[Rows]) -> None:
    """Write packed rows one after the other, whole or not at all."""
    with new_file(target) as temporary, temporary.open("wb") as file:
        for part in rows:
            file.write(part.tobytes())


def open_rows(source: Path, max_tokens: int) -> Rows:
    """Return the rows of a file of `write_rows`, mapped into memory rather than read.

    Raises:
        DataError: it is empty, or no file of rows of this length.
    """
    size = source.stat().st_size
    if not size or size % (4 * max_tokens):
        raise DataError(f"{source} holds no rows of {max_tokens} tokens.", "Delete it; the run packs its texts anew.")
    rows: Rows = np.memmap(source, dtype=np.uint32, mode="r").reshape(-1, max_tokens)
    return rows
