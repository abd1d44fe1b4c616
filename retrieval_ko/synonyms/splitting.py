"""A test list of terms that no training step sees, and the proof that it stays so."""

from __future__ import annotations

import random
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

from retrieval_ko.errors import DataError
from retrieval_ko.synonyms.cleaning import Clean
from retrieval_ko.synonyms.keys import english_key, korean_key, squeezed
from retrieval_ko.synonyms.names import is_common, is_of_common_nouns
from retrieval_ko.text import Morpheme

TEST_SIZE = 400
MOST_TEST_MORPHEMES = 3
MOST_TEST_WORDS = 2
LONGEST_TEST_TERM_CHARACTERS = 7

Side = tuple[str, object]
"""Language and key of one side of a pair, as compared between training and test."""


class Split(NamedTuple):
    """Training and test pairs, and what left training because a test pair shares a side with it."""

    training: list[Clean]
    test: list[Clean]
    withheld: list[Clean]


def sides(pair: Clean) -> set[Side]:
    """Return what must not stand on both sides of the split: each term by its letters and by its morphemes or words."""
    return {("ko", pair.ko_squeezed), ("ko", pair.ko_key), ("en", pair.en_squeezed), ("en", pair.en_key)}


def sides_of(ko: str, en: str, analysis: Sequence[Morpheme]) -> set[Side]:
    """Return the sides of a pair that was not cleaned; `analysis` is that of `ko`."""
    return {("ko", squeezed(ko)), ("ko", korean_key(analysis)), ("en", squeezed(en)), ("en", english_key(en))}


def field_of(pair: Clean) -> str:
    """Return the field that a pair counts for when the test list is balanced: its domain's first part, else its source."""
    return pair.domain.split("/")[0] or pair.source


def is_testable(pair: Clean, analysis: Sequence[Morpheme]) -> bool:
    """Tell whether a pair may stand in the test list: common Korean nouns, at most two English words, no name, no digit.

    Common: Kiwi's language model was trained on every morpheme of the Korean side.
    """
    return (
        not pair.source.startswith("cldr-")
        and len(analysis) <= MOST_TEST_MORPHEMES
        and len(pair.ko_squeezed) <= LONGEST_TEST_TERM_CHARACTERS
        and len(pair.en.split()) <= MOST_TEST_WORDS
        and all(character.isascii() and (character.isalpha() or character in " -'") for character in pair.en)
        and is_of_common_nouns(analysis)
        and all(is_common(morpheme.form) for morpheme in analysis if morpheme.tag == "NNG")
    )


def split(pairs: Iterable[Clean], is_candidate: Callable[[Clean], bool], size: int, seed: int) -> Split:
    """Draw a test list, the same share of every field as far as it reaches, and withhold what shares a side with it.

    Raises:
        DataError: there are not enough candidates.
    """
    pairs = list(pairs)
    uses = Counter(side for pair in pairs for side in sides(pair))
    fields: dict[str, list[Clean]] = defaultdict(list)
    for pair in sorted(pairs):
        if all(uses[side] == 1 for side in sides(pair)) and is_candidate(pair):
            fields[field_of(pair)].append(pair)
    available = sum(map(len, fields.values()))
    if available < size:
        raise DataError(
            f"The test list wants {size:,} common and unambiguous pairs; there are {available:,}.",
            f"Give more sources, or a smaller list: --test-size {available // 2}",
        )
    for name, members in fields.items():
        random.Random(f"{seed} {name}").shuffle(members)
    test: list[Clean] = []
    while len(test) < size:
        for name in sorted(fields):
            if fields[name] and len(test) < size:
                test.append(fields[name].pop())
    return withhold(pairs, test)


def withhold(pairs: Iterable[Clean], test: list[Clean]) -> Split:
    """Return `pairs` without those that are test pairs or share a side with one."""
    held = {side for pair in test for side in sides(pair)}
    chosen = set(test)
    training: list[Clean] = []
    withheld: list[Clean] = []
    for pair in pairs:
        if pair not in chosen:
            (withheld if sides(pair) & held else training).append(pair)
    return Split(training, sorted(test), withheld)
