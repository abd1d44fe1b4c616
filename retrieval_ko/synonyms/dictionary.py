"""Synonym pairs to look things up in: by Korean term, by English term, and every term that a text holds, matched on morphemes."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from retrieval_ko.records import SynonymPair
from retrieval_ko.synonyms.keys import Key, english_key, korean_key, singular, squeezed
from retrieval_ko.text import Morpheme, morphemes, morphemes_of_many, normalize

_NOMINAL_TAGS = ("NN", "XSN", "XPN", "XR", "SL", "SO", "MM")
_TAGS_AFTER_A_NOUN = ("J", "VCP", "XSV", "XSA", "SF", "SP", "SS", "SE", "SO")
_HYPHENS = frozenset("-‐‑")


class Match(NamedTuple):
    """A term that stands in a text from `start` to `end` (characters), and what may stand there instead."""

    start: int
    end: int
    replacements: tuple[str, ...]


class SynonymDictionary:
    """Korean and English terms and their counterparts, by keys that ignore case, spacing, particles and plurals.

    Args:
        pairs: the training list; never the test list of the same folder.
    """

    def __init__(self, pairs: Iterable[SynonymPair]) -> None:
        self.pairs = list(pairs)
        self._by_letters: dict[str, list[SynonymPair]] = defaultdict(list)
        self._by_korean: dict[Key, list[SynonymPair]] = defaultdict(list)
        self._by_english: dict[Key, list[SynonymPair]] = defaultdict(list)
        self._korean_terms: dict[Key, list[str]] = defaultdict(list)
        self._english_terms: dict[Key, list[str]] = defaultdict(list)
        for pair, analysis in zip(self.pairs, morphemes_of_many(normalize(pair.ko) for pair in self.pairs), strict=True):
            english = english_key(pair.en)
            for side in {squeezed(pair.ko), squeezed(pair.en)}:
                self._by_letters[side].append(pair)
            self._by_korean[korean_key(analysis)].append(pair)
            self._by_english[english].append(pair)
            if english and analysis and all(morpheme.tag.startswith(_NOMINAL_TAGS) for morpheme in analysis):
                _add(self._korean_terms[_forms(analysis)], query_form(pair.en, pair.source))
                _add(self._english_terms[english], pair.ko)
        self._longest_korean = max(map(len, self._korean_terms), default=0)
        self._longest_english = max(map(len, self._english_terms), default=0)

    def lookup(self, term: str) -> list[SynonymPair]:
        """Return the pairs of a Korean or English term, in the order of the list."""
        term = normalize(term)
        found = {id(pair) for pair in self._by_letters.get(squeezed(term), ())}
        found |= {id(pair) for pair in self._by_korean.get(korean_key(morphemes(term)), ())}
        found |= {id(pair) for pair in self._by_english.get(english_key(term), ())}
        return [pair for pair in self.pairs if id(pair) in found]

    def matches(self, text: str, analysis: Sequence[Morpheme]) -> list[Match]:
        """Return the terms of a text that do not overlap, longest first where they would, in text order.

        A term matches only as a whole word: 검색 in 검색을 and 검색 모델, not in 검색엔진, whose morphemes are joined. Verbs never match:
        their endings would be lost.

        Args:
            text: in NFC.
            analysis: Kiwi's morphemes of `text`.
        """
        found: list[Match] = []
        position = 0
        while position < len(analysis):
            match, length = self._longest_at(text, analysis, position)
            if match:
                found.append(match)
            position += length
        return found

    def _longest_at(self, text: str, analysis: Sequence[Morpheme], start: int) -> tuple[Match | None, int]:
        if not _starts_word(text, analysis[start].start):
            return None, 1
        reach = max(self._longest_korean, 2 * self._longest_english)
        for end in range(min(len(analysis), start + reach), start, -1):
            window = analysis[start:end]
            if not _ends_word(text, analysis, end):
                continue
            if window[0].tag == "SL" and all(morpheme.tag == "SL" or morpheme.form in _HYPHENS for morpheme in window):
                replacements = self._english_terms.get(tuple(singular(m.form) for m in window if m.tag == "SL"), [])
            else:
                replacements = self._korean_terms.get(_forms(window), []) if _is_nominal(window) else []
            if replacements:
                return Match(window[0].start, window[-1].end, tuple(replacements)), end - start
        return None, 1


def query_form(en: str, source: str) -> str:
    """Return an English term as one types it into a query: lower case, but for abbreviations and CLDR's names of countries."""
    if source.startswith("cldr-") and not source.startswith("cldr-units"):
        return en
    return " ".join(word.lower() if word[1:].islower() else word for word in en.split())


def _add(terms: list[str], term: str) -> None:
    if term not in terms:
        terms.append(term)


def _forms(analysis: Iterable[Morpheme]) -> Key:
    return tuple(morpheme.form.casefold() for morpheme in analysis)


def _is_nominal(window: Iterable[Morpheme]) -> bool:
    return all(morpheme.tag.startswith(_NOMINAL_TAGS) for morpheme in window)


def _starts_word(text: str, start: int) -> bool:
    return start == 0 or not (text[start - 1].isalnum() or text[start - 1] in _HYPHENS)


def _ends_word(text: str, analysis: Sequence[Morpheme], end: int) -> bool:
    """Tell whether a word ends before the morpheme `end`: white space, punctuation, a particle, the plural 들, or 하다 follows."""
    if end == len(analysis):
        return True
    last, following = analysis[end - 1], analysis[end]
    if following.start < last.end:
        return False
    if following.start > last.end or text[last.end].isspace():
        return True
    if following.form in _HYPHENS or following.tag.startswith(("SN", "SL")):
        return False
    return following.tag.startswith(_TAGS_AFTER_A_NOUN) or (following.tag, following.form) == ("XSN", "들")
