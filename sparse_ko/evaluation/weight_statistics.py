"""What an encoder's weights look like: how many a text has, which terms most passages use, what particles and endings take up."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.sparse import csr_matrix

from retrieval_ko.text import morphemes, normalize

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

TOP_TERMS = 20
SAMPLED_TEXTS = 1000
SAMPLED_CHARACTERS = 1000
"""Of each text, so that Kiwi is done in seconds."""
FUNCTION_TAGS = ("J", "E")
"""Kiwi's particles (josa) and endings."""


def dimensions(weights: csr_matrix) -> dict[str, float]:
    """Return how many weights a row has that are not 0: mean, p10, p50, p90, max."""
    lengths = np.diff(weights.indptr)
    if not lengths.size:
        return dict.fromkeys(("mean", "p10", "p50", "p90", "max"), 0.0)
    shares = {f"p{share}": float(np.percentile(lengths, share)) for share in (10, 50, 90)}
    return {"mean": round(float(lengths.mean()), 2), **shares, "max": float(lengths.max())}


def top_terms(weights: csr_matrix, tokens: Sequence[str], size: int = TOP_TERMS) -> list[tuple[str, float]]:
    """Return the terms that most rows use, each with the share of rows, the most frequent first, equal ones by token."""
    counts = np.bincount(weights.indices, minlength=weights.shape[1])
    most = sorted(np.flatnonzero(counts).tolist(), key=lambda term: (-counts[term], tokens[term]))[:size]
    return [(str(tokens[term]), float(counts[term] / weights.shape[0])) for term in most]


class FunctionShare(NamedTuple):
    """What part of all weight stands on particles and endings, and on pieces of which the sample showed no use."""

    share: float
    unknown: float


def function_share(weights: csr_matrix, of_pieces: npt.NDArray[np.float64]) -> FunctionShare:
    """Return the share of weight on particles and endings.

    A piece's weight counts as far as the piece is one: Σ_j W_j · s_j / Σ_j W_j with W_j the weight of all rows on piece j.

    Args:
        weights: shape [texts, vocabulary].
        of_pieces: s, as `function_share_of_pieces` returns it.
    """
    of_terms = np.asarray(weights.sum(axis=0)).ravel()
    total = float(of_terms.sum())
    if not total:
        return FunctionShare(0.0, 0.0)
    unknown = np.isnan(of_pieces)
    share = float(of_terms @ np.where(unknown, 0.0, of_pieces)) / total
    return FunctionShare(round(share, 4), round(float(of_terms[unknown].sum()) / total, 4))


def function_share_of_pieces(tokenizer: PreTrainedTokenizerFast, texts: Sequence[str]) -> npt.NDArray[np.float64]:
    """Return how often each piece of the vocabulary is a particle or an ending where it is used, shape [vocabulary].

    A piece has no tag of its own: ##은 is a particle in 책은 and an ending in 먹은, and a part of a noun in 시은. So both, pieces and
    Kiwi's morphemes, are laid over the same texts: a use counts where all characters of the piece belong to morphemes tagged J* or E*
    alone. 했 (하 + 었) holds a stem, so it does not count. A piece that the texts never use has the share of its twin (에 that of ##에);
    NaN: they use neither. Special tokens are 0.

    Args:
        tokenizer: a fast one, for its offsets.
        texts: a sample; at most 1,000 of them are read, evenly drawn, 1,000 characters of each.
    """
    size = len(tokenizer)
    uses, as_function = np.zeros(size), np.zeros(size)
    for text in _sample(texts):
        marks = _function_marks(text)
        encoded = tokenizer(text, add_special_tokens=False, return_offsets_mapping=True, truncation=False, verbose=False)
        for piece, (start, end) in zip(encoded["input_ids"], encoded["offset_mapping"], strict=True):
            if start < end:
                uses[piece] += 1
                as_function[piece] += bool(marks[start:end].all())
    shares = np.divide(as_function, uses, out=np.full(size, np.nan), where=uses > 0)
    twins = _twins(tokenizer.convert_ids_to_tokens(list(range(size))))
    shares = np.where(np.isnan(shares), np.append(shares, np.nan)[twins], shares)
    shares[list(tokenizer.all_special_ids)] = 0.0
    return shares


def _twins(tokens: Sequence[str]) -> npt.NDArray[np.int64]:
    """Return for each token the number of the same letters at the other place, x for ##x and ##x for x; -1: there is none."""
    numbers = {token: number for number, token in enumerate(tokens)}
    return np.array([numbers.get(token[2:] if token.startswith("##") else f"##{token}", -1) for token in tokens], dtype=np.int64)


def share_over_limit(tokenizer: PreTrainedTokenizerFast, texts: Sequence[str], max_tokens: int) -> float:
    """Return the share of texts that are cut because they have more tokens than the encoder reads; at most 1,000 texts, evenly drawn."""
    drawn = texts[:: max(1, len(texts) // SAMPLED_TEXTS)][:SAMPLED_TEXTS]
    lengths = [len(tokenizer(text, truncation=False, verbose=False)["input_ids"]) for text in drawn]
    return round(sum(length > max_tokens for length in lengths) / len(lengths), 4) if lengths else 0.0


def _function_marks(text: str) -> npt.NDArray[np.bool_]:
    """Return for each character whether it belongs to particles and endings alone."""
    function, content = np.zeros(len(text), dtype=bool), np.zeros(len(text), dtype=bool)
    for morpheme in morphemes(text):
        (function if morpheme.tag.startswith(FUNCTION_TAGS) else content)[morpheme.start : morpheme.end] = True
    return function & ~content


def _sample(texts: Sequence[str]) -> list[str]:
    step = max(1, len(texts) // SAMPLED_TEXTS)
    return [normalize(text)[:SAMPLED_CHARACTERS] for text in texts[::step][:SAMPLED_TEXTS]]
