"""Texts that say almost the same: character 8-gram containment, of two texts and among hundreds of thousands."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy import sparse

from retrieval_ko.text import normalize

SHINGLE_SIZE = 8
NEAR_DUPLICATE_CONTAINMENT = 0.5
"""Above it two texts are near-duplicates: more than half of the shorter one's 8-grams stand in the other."""

_PREFIX_SHARE = 0.6
"""How many of a text's shingles, rarest first, look for its near-duplicates; see `near_duplicates`."""


class NearDuplicate(NamedTuple):
    """Two texts by their places in the two lists, and how much of the shorter one stands in the other."""

    left: int
    right: int
    containment: float


def _letters(text: str) -> str:
    return "".join(normalize(text).split())


def shingles(text: str) -> frozenset[str]:
    """Return the character 8-grams of a text, white space left out; a shorter text is one shingle, an empty one none."""
    letters = _letters(text)
    if len(letters) < SHINGLE_SIZE:
        return frozenset({letters} if letters else ())
    return frozenset(letters[start : start + SHINGLE_SIZE] for start in range(len(letters) - SHINGLE_SIZE + 1))


def containment(left: frozenset[str], right: frozenset[str]) -> float:
    """Return the share of the smaller set of shingles that the other holds too, 0 to 1."""
    smaller = min(len(left), len(right))
    return len(left & right) / smaller if smaller else 0.0


def near_duplicates(lefts: Sequence[str], rights: Sequence[str]) -> Iterator[NearDuplicate]:
    """Yield every pair of a text of `lefts` and one of `rights` whose containment is above 0.5, in the order of `lefts`.

    Exact, without comparing all with all. Where more than half of a text's n shingles stand in another one, a subset of s of them has
    more than s - n/2 there. So the rarest 0.6 n shingles of the smaller text find every candidate, and the common ones (여부, 한 사례),
    which half of all issues share, are never looked up.
    """
    lefts_of, rights_of = _shingle_matrices(lefts, rights)
    by_shingle = [matrix.tocsc() for matrix in (lefts_of, rights_of)]
    frequency = np.diff(by_shingle[0].indptr) + np.diff(by_shingle[1].indptr)
    sizes = [np.diff(matrix.indptr) for matrix in (lefts_of, rights_of)]

    found: dict[int, dict[int, float]] = {}
    for smaller_is_left in (True, False):
        small, large = (0, 1) if smaller_is_left else (1, 0)
        rows = (lefts_of, rights_of)[small]
        for number in range(rows.shape[0]):
            own = rows.indices[rows.indptr[number] : rows.indptr[number + 1]]
            for other in _candidates(own, frequency, by_shingle[large], sizes[large], len(own)):
                left, right = (number, other) if smaller_is_left else (other, number)
                share = _shared(lefts_of, left, rights_of, right) / len(own)
                if share > NEAR_DUPLICATE_CONTAINMENT:
                    found.setdefault(left, {})[right] = share
    for left in sorted(found):
        for right in sorted(found[left]):
            yield NearDuplicate(left, right, found[left][right])


def _candidates(own: np.ndarray, frequency: np.ndarray, postings: sparse.csc_array, sizes: np.ndarray, size: int) -> list[int]:
    """Return the texts that may hold more than half of `own`, among those that are at least as long."""
    if not size:
        return []
    prefix = own[np.argsort(frequency[own], kind="stable")[: int(np.ceil(_PREFIX_SHARE * size))]]
    starts, ends = postings.indptr[prefix], postings.indptr[prefix + 1]
    holders = np.concatenate([postings.indices[start:end] for start, end in zip(starts, ends, strict=True)])
    if not len(holders):
        return []
    others, counts = np.unique(holders, return_counts=True)
    enough = (counts > len(prefix) - NEAR_DUPLICATE_CONTAINMENT * size) & (sizes[others] >= size)
    return [int(other) for other in others[enough]]


def _shared(lefts: sparse.csr_array, left: int, rights: sparse.csr_array, right: int) -> int:
    one = lefts.indices[lefts.indptr[left] : lefts.indptr[left + 1]]
    other = rights.indices[rights.indptr[right] : rights.indptr[right + 1]]
    return len(np.intersect1d(one, other, assume_unique=True))


def _shingle_matrices(lefts: Sequence[str], rights: Sequence[str]) -> tuple[sparse.csr_array, sparse.csr_array]:
    """Return which text holds which shingle, shape [texts, shingles] each, over the shingles of both."""
    hashes = [[_shingle_hashes(text) for text in texts] for texts in (lefts, rights)]
    flat = np.concatenate([np.empty(0, dtype=np.uint64), *hashes[0], *hashes[1]])
    known, numbers = np.unique(flat, return_inverse=True)
    matrices, start = [], 0
    for rows in hashes:
        pointers = np.concatenate([[0], np.cumsum([len(row) for row in rows], dtype=np.int64)])
        columns = numbers[start : start + pointers[-1]].astype(np.int32)
        start += int(pointers[-1])
        matrices.append(sparse.csr_array((np.ones(len(columns), dtype=np.int8), columns, pointers), shape=(len(rows), len(known))))
    return matrices[0], matrices[1]


def _shingle_hashes(text: str) -> npt.NDArray[np.uint64]:
    """Return the shingles of a text as 64-bit numbers, sorted, each once.

    Among 10 million shingles two share a number once in 370,000 runs.
    """
    points = np.frombuffer(_letters(text).encode("utf-32-le"), dtype=np.uint32).astype(np.uint64)
    count = len(points) - SHINGLE_SIZE + 1
    if count < 1:
        points = np.concatenate([points, np.zeros(SHINGLE_SIZE - len(points), dtype=np.uint64)]) if len(points) else points
        count = min(len(points), 1)
    hashes = np.zeros(max(count, 0), dtype=np.uint64)
    for offset in range(SHINGLE_SIZE if count else 0):
        hashes = _mixed(hashes ^ points[offset : offset + count])
    return np.unique(hashes)


def _mixed(values: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint64]:
    """Return SplitMix64's finaliser of each number (Steele et al. 2014), so that numbers that are alike end up far apart."""
    values = values + np.uint64(0x9E3779B97F4A7C15)
    values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return values ^ (values >> np.uint64(31))
