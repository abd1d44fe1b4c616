"""Vectors of the pieces from their company: PPMI of windowed co-occurrence counts, cut to a few hundred dimensions by SVD.

Levy, Goldberg and Dagan 2015 (Improving Distributional Similarity with Lessons Learned from Word Embeddings): on a corpus of this size
such counts are as good as word2vec, take minutes on a CPU, and have no random start. An encoder that is built from scratch begins
with them instead of random directions.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix
from scipy.sparse.linalg import svds
from tokenizers import Tokenizer

from retrieval_ko.errors import DataError, ModelError, UsageError
from retrieval_ko.files import new_file
from sparse_ko.vocabulary.audit import special_ids
from sparse_ko.vocabulary.sources import count_lines, read_texts, text_files
from sparse_ko.vocabulary.tokenizer import read_tokenizer, tokenizer_file
from training_ko.piece_vectors import CARD, TENSOR, load_embeddings

__all__ = ["co_occurrences", "embed_pieces", "load_embeddings", "positive_pmi", "truncated_svd"]

WINDOW = 5
"""Pieces to each side that count as company; a Korean eojeol has two or three."""
SMOOTHING = 0.75
"""Exponent of the context counts: without it rare contexts get the highest PMI (Levy et al. 2015, 3.2.1)."""
SHORTEST_AXIS = 1e-6
"""A singular value below this share of the largest is rounding, and its axis noise."""
DENSE_ROWS = 2_000
"""Up to here all axes are worked out: ARPACK, used above, draws random vectors where two axes are of one length."""
_TEXTS_AT_ONCE = 2_000
_PAIRS_AT_ONCE = 10_000_000
"""Pairs that are counted in memory before they are added to the matrix: 80 MB."""


def co_occurrences(rows: Iterable[Sequence[int] | NDArray[np.int64]], size: int, window: int = WINDOW) -> csr_matrix:
    """Return how often two pieces stand at most `window` apart, shape [size, size], symmetric, counts as float32.

    Args:
        rows: piece ids of one text each; a negative id stands for a piece that is company to none, but takes its place in the window.
        size: of the vocabulary.
        window: pieces to each side.
    """
    total = _counted([], size)
    waiting: list[NDArray[np.int64]] = []
    held = 0
    for row in rows:
        ids = np.asarray(row, dtype=np.int64)
        for distance in range(1, min(window, len(ids) - 1) + 1):
            left, right = ids[:-distance], ids[distance:]
            both = (left >= 0) & (right >= 0)
            waiting.append(left[both] * size + right[both])
            held += len(waiting[-1])
        if held >= _PAIRS_AT_ONCE:
            total = csr_matrix(total + _counted(waiting, size))
            waiting, held = [], 0
    total = csr_matrix(total + _counted(waiting, size))
    return csr_matrix(total + total.T)


def _counted(pairs: list[NDArray[np.int64]], size: int) -> csr_matrix:
    keys, counts = np.unique(np.concatenate([*pairs, np.zeros(0, dtype=np.int64)]), return_counts=True)
    return csr_matrix((counts.astype(np.float32), (keys // size, keys % size)), shape=(size, size))


def positive_pmi(counts: csr_matrix, smoothing: float = SMOOTHING) -> csr_matrix:
    """Return max(0, ln(P(i, j) / (P(i) · P'(j)))) of every pair that was counted, P' smoothed: P'(j) ∝ n(j)^smoothing.

    Args:
        counts: of pairs, shape [pieces, pieces].
        smoothing: 1 leaves the context counts as they are.
    """
    pairs = counts.tocoo()
    of_piece = np.asarray(counts.sum(axis=1), dtype=np.float64).ravel()
    of_context = np.asarray(counts.sum(axis=0), dtype=np.float64).ravel() ** smoothing
    of_context /= max(of_context.sum(), 1e-12)
    association = np.log(pairs.data / (of_piece[pairs.row] * of_context[pairs.col]))
    kept = association > 0
    return csr_matrix((association[kept].astype(np.float32), (pairs.row[kept], pairs.col[kept])), shape=counts.shape)


def truncated_svd(matrix: csr_matrix, dimensions: int) -> NDArray[np.float32]:
    """Return U · √Σ of the largest singular values, shape [rows, dimensions], the same for the same matrix.

    The Lanczos iteration starts from a fixed vector, and of the two signs of an axis the one is taken whose largest entry is
    positive. √Σ, not Σ, as Levy et al. 2015 found better.

    Raises:
        UsageError: fewer rows than dimensions.
    """
    if dimensions >= min(matrix.shape):
        raise UsageError(
            f"{matrix.shape[0]:,} pieces have no {dimensions:,} dimensions.", "Choose fewer with --dimensions, or a larger vocabulary."
        )
    if matrix.shape[0] <= DENSE_ROWS:
        left, lengths, _ = np.linalg.svd(matrix.toarray().astype(np.float64))
    else:
        start = np.cos(np.arange(min(matrix.shape)))  # no axis of a vocabulary is orthogonal to it
        left, lengths, _ = svds(matrix.astype(np.float64), k=dimensions, v0=start)
    order = np.argsort(-lengths, kind="stable")[:dimensions]
    left, lengths = left[:, order], lengths[order]
    largest = np.abs(left).argmax(axis=0)
    signs = np.where(left[largest, np.arange(dimensions)] < 0, -1.0, 1.0)
    lengths = np.where(lengths > SHORTEST_AXIS * max(lengths[0], 1e-12), lengths, 0.0)
    # by rows: safetensors writes the bytes as they lie
    vectors: NDArray[np.float32] = np.ascontiguousarray(left * signs * np.sqrt(lengths), dtype=np.float32)
    vectors[np.diff(matrix.indptr) == 0] = 0.0  # rounding, of a row without an entry
    return vectors


def embed_pieces(
    tokenizer: Path,
    sources: Sequence[Path],
    dimensions: int,
    out: Path,
    *,
    window: int = WINDOW,
    share: float = 1.0,
    on_progress: Callable[[int, int], None] | None = None,
) -> dict[str, Any]:
    """Learn the vectors of a tokenizer's pieces and write them as safetensors.

    Args:
        tokenizer: a tokenizer.json or its folder.
        sources: as of `train_vocabulary`.
        dimensions: of a vector.
        out: the file; `vectors`, shape [pieces, dimensions], and the pieces in its metadata.
        window: pieces to each side.
        share: of the lines to read, drawn by hash.
        on_progress: told (lines read, lines in all).

    Returns:
        What was counted: pieces, pieces with a vector, pairs, dimensions.

    Raises:
        UsageError: there are not more pieces than dimensions.
        ModelError: there is no tokenizer.
        DataError: a source is missing or damaged, or holds no two pieces beside each other.
    """
    from safetensors.numpy import save_file

    read_tokenizer(tokenizer)
    loaded = Tokenizer.from_file(str(tokenizer_file(tokenizer)))
    loaded.no_truncation()
    loaded.no_padding()
    vocabulary = loaded.get_vocab(with_added_tokens=True)
    pieces = sorted(vocabulary, key=vocabulary.__getitem__)
    if [vocabulary[piece] for piece in pieces] != list(range(len(pieces))):
        raise ModelError(f"The ids of {tokenizer} have gaps.", "`sparse-ko vocab prune` numbers them anew.")
    if dimensions >= len(pieces):
        raise UsageError(f"{len(pieces):,} pieces have no {dimensions:,} dimensions.", "Choose fewer with --dimensions.")
    files = text_files(sources)
    lines = count_lines(files)
    texts = read_texts(files, share, (lambda done: on_progress(done, lines)) if on_progress else None)
    counts = co_occurrences(_rows(loaded, texts, special_ids(loaded)), len(pieces), window)
    if not counts.nnz:
        raise DataError(f"{', '.join(map(str, sources))}: no two pieces stand beside each other.")
    vectors = truncated_svd(positive_pmi(counts), dimensions)
    card = json.dumps({"window": window, "pieces": pieces}, ensure_ascii=False)
    with new_file(Path(out)) as temporary:
        save_file({TENSOR: vectors}, temporary, metadata={CARD: card})  # one entry: safetensors writes several in any order
    known = int((np.abs(vectors).sum(axis=1) > 0).sum())
    return {"pieces": len(pieces), "with_vector": known, "pairs": int(counts.nnz), "dimensions": dimensions}


def _rows(tokenizer: Tokenizer, texts: Iterable[str], special: set[int]) -> Iterator[NDArray[np.int64]]:
    hidden = np.array(sorted(special), dtype=np.int64)
    batch: list[str] = []

    def encoded() -> Iterator[NDArray[np.int64]]:
        for encoding in tokenizer.encode_batch(batch, add_special_tokens=False):
            ids = np.array(encoding.ids, dtype=np.int64)
            yield np.where(np.isin(ids, hidden), -1, ids)

    for text in texts:
        batch.append(text)
        if len(batch) == _TEXTS_AT_ONCE:
            yield from encoded()
            batch.clear()
    yield from encoded()
