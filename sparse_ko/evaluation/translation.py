"""Do a Korean term and its English one meet? Cosine, translations among the heaviest terms, retrieval of one side by the other."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from scipy.sparse import csr_matrix

from retrieval_ko.errors import DataError
from retrieval_ko.records import SynonymPair

if TYPE_CHECKING:
    from sparse_ko.model import SparseEncoder

TOP = (10, 20, 50)
"""Among how many of a term's heaviest pieces its translation is looked for."""
SHOWN_TERMS = 5
_HANGUL, _LATIN = re.compile("[가-힣]"), re.compile("[A-Za-z]")


@dataclass(frozen=True)
class TranslatedPair:
    """A pair of the list, as the encoder sees it."""

    pair: SynonymPair
    cosine: float
    control_cosine: float
    """Of the Korean side with the English side of another pair."""
    english_rank: int | None
    """The place of the English side among all English sides, asked with the Korean one; None: not found."""
    korean_rank: int | None
    english_terms: list[str]
    """The heaviest pieces in Latin letters that the Korean side activates."""
    korean_terms: list[str]


def translate(encoder: SparseEncoder, pairs: Sequence[SynonymPair], seed: int = 0) -> list[TranslatedPair]:
    """Return each pair of a list as the encoder sees it.

    Cosines and heaviest terms are those of both sides encoded as passages, since an encoder whose query is a table expands only those. For
    ranks one side is the query and the others the passages.

    Args:
        encoder: what is measured.
        pairs: a list that training did not see, two pairs at least.
        seed: of the control, in which every Korean side gets the English side of another pair.

    Raises:
        DataError: there are less than two pairs.
    """
    if len(pairs) < 2:
        raise DataError(f"A list of synonyms needs two pairs at least to have a control; this one has {len(pairs)}.")
    korean_texts, english_texts = [pair.ko for pair in pairs], [pair.en for pair in pairs]
    korean, english = encoder.encode_document(korean_texts), encoder.encode_document(english_texts)
    others = _others(len(pairs), seed)
    cosines, controls = _cosines(korean, english), _cosines(korean, english[others])
    english_ranks = _ranks(encoder.encode_query(korean_texts), english)
    korean_ranks = _ranks(encoder.encode_query(english_texts), korean)
    english_terms, korean_terms = _terms_in(_LATIN, encoder, korean), _terms_in(_HANGUL, encoder, english)
    return [
        TranslatedPair(pair, *rest)
        for pair, *rest in zip(
            pairs, cosines.tolist(), controls.tolist(), english_ranks, korean_ranks, english_terms, korean_terms, strict=True
        )
    ]


def translation_facts(encoder: SparseEncoder, translated: Sequence[TranslatedPair]) -> dict[str, Any]:
    """Return the means over the list, as JSON values.

    cosine, control_cosine     means
    above_control              share of pairs whose cosine is above that of their control; equal ones count half
    korean_to_english, …       mrr, recall@1, recall@10 among all sides of the list
    translation_in_top         direction → k → all pieces, any piece of the translation among the k heaviest of the term
    """
    cosines = np.array([row.cosine for row in translated])
    controls = np.array([row.control_cosine for row in translated])
    korean = [row.pair.ko for row in translated]
    english = [row.pair.en for row in translated]
    return {
        "pairs": len(translated),
        "cosine": round(float(cosines.mean()), 4),
        "control_cosine": round(float(controls.mean()), 4),
        "above_control": round(float(np.mean((cosines > controls) + 0.5 * (cosines == controls))), 4),
        "korean_to_english": _rank_facts([row.english_rank for row in translated]),
        "english_to_korean": _rank_facts([row.korean_rank for row in translated]),
        "translation_in_top": {
            "korean_to_english": _in_top(encoder, korean, english),
            "english_to_korean": _in_top(encoder, english, korean),
        },
    }


def _others(size: int, seed: int) -> npt.NDArray[np.int64]:
    """Return for each of `size` places another one, each once: the places in a random ring, and each one's next."""
    ring = np.random.default_rng(seed).permutation(size)
    others = np.empty(size, dtype=np.int64)
    others[ring] = np.roll(ring, -1)
    return others


def _cosines(first: csr_matrix, second: csr_matrix) -> npt.NDArray[np.float64]:
    """Return the cosine of each row with the row beside it; 0 where one is empty."""
    dots = np.asarray(first.multiply(second).sum(axis=1), dtype=np.float64).ravel()
    norms = np.sqrt(np.asarray(first.power(2).sum(axis=1)).ravel() * np.asarray(second.power(2).sum(axis=1)).ravel())
    cosines: npt.NDArray[np.float64] = np.divide(dots, norms, out=np.zeros_like(dots), where=norms > 0)
    return cosines


def _ranks(queries: csr_matrix, passages: csr_matrix) -> list[int | None]:
    """Return at which place each query finds the passage of its own number; equal scores stand by number, 0 is not found."""
    scores = (queries @ passages.T).toarray()
    ranks: list[int | None] = []
    for number, row in enumerate(scores):
        own = row[number]
        ranks.append(1 + int((row > own).sum()) + int((row[:number] == own).sum()) if own > 0 else None)
    return ranks


def _rank_facts(ranks: Sequence[int | None]) -> dict[str, float]:
    found = [rank for rank in ranks if rank is not None]
    return {
        "mrr": round(sum(1 / rank for rank in found) / len(ranks), 4),
        "recall@1": round(sum(rank <= 1 for rank in found) / len(ranks), 4),
        "recall@10": round(sum(rank <= 10 for rank in found) / len(ranks), 4),
    }


def _in_top(encoder: SparseEncoder, terms: Sequence[str], translations: Sequence[str]) -> dict[str, dict[str, float]]:
    vectors = encoder.encode_document(terms)
    wanted = [set(encoder.tokenizer(text, add_special_tokens=False)["input_ids"]) for text in translations]
    facts = {}
    for size in TOP:
        heaviest = [set(_heaviest(vectors, row)[:size].tolist()) for row in range(vectors.shape[0])]
        every = [bool(pieces) and pieces <= top for pieces, top in zip(wanted, heaviest, strict=True)]
        some = [bool(pieces & top) for pieces, top in zip(wanted, heaviest, strict=True)]
        facts[str(size)] = {"all": round(float(np.mean(every)), 4), "any": round(float(np.mean(some)), 4)}
    return facts


def _heaviest(vectors: csr_matrix, row: int) -> npt.NDArray[np.int32]:
    here = slice(vectors.indptr[row], vectors.indptr[row + 1])
    return np.asarray(vectors.indices[here][np.lexsort((vectors.indices[here], -vectors.data[here]))])


def _terms_in(letters: re.Pattern[str], encoder: SparseEncoder, vectors: csr_matrix) -> list[list[str]]:
    """Return the heaviest pieces of each row that are written in `letters`."""
    found = []
    for row in encoder.to_tokens(vectors):
        found.append([token for token in row if letters.search(token)][:SHOWN_TERMS])
    return found
