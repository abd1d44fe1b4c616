"""Texts that say almost the same: character 8-gram containment."""

from __future__ import annotations

from retrieval_ko.text import normalize

SHINGLE_SIZE = 8
NEAR_DUPLICATE_CONTAINMENT = 0.5
"""Above it two texts are near-duplicates: more than half of the shorter one's 8-grams stand in the other."""


def shingles(text: str) -> frozenset[str]:
    """Return the character 8-grams of a text, white space left out; a shorter text is one shingle, an empty one none."""
    letters = "".join(normalize(text).split())
    if len(letters) < SHINGLE_SIZE:
        return frozenset({letters} if letters else ())
    return frozenset(letters[start : start + SHINGLE_SIZE] for start in range(len(letters) - SHINGLE_SIZE + 1))


def containment(left: frozenset[str], right: frozenset[str]) -> float:
    """Return the share of the smaller set of shingles that the other holds too, 0 to 1."""
    smaller = min(len(left), len(right))
    return len(left & right) / smaller if smaller else 0.0
