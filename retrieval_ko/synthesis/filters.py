"""Which of the queries that a model wrote are fit for training; every query that is not is counted under its reason."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Iterable

from retrieval_ko.bm25 import Bm25Index
from retrieval_ko.pairs.near_duplicates import NEAR_DUPLICATE_CONTAINMENT, SHINGLE_SIZE, shingles
from retrieval_ko.records import Passage
from retrieval_ko.text import normalize

KOREAN_SHARE = 0.8
"""A query is Korean where more of its letters are Hangul (requirement M39)."""

SHORTEST_CHARACTERS, LONGEST_CHARACTERS = 4, 100
"""White space counted. 이혼 alone finds everything and nothing; beyond 100 a query is a summary."""

COPIED_SHARE = 0.6
"""A query more of whose 8-grams stand in the passage is a copy, from which an encoder learns what BM25 knows already."""

ROUND_TRIP_DEPTH = 100
"""How far down BM25 may list the passage. Not 10: the filter is for inventions; a query in everyday words, which BM25 ranks low, is what
training needs most."""

REASONS = (
    "not_korean",
    "copies_title",
    "length",
    "mentions_the_text",
    "copies_passage",
    "known_query",
    "duplicate",
    "near_duplicate",
    "not_found_by_bm25",
    "surplus",
)

_POINTS_AT_THE_TEXT = re.compile(
    r"(?<!\w)(?:(?:이|본|위|해당|주어진|제시된|다음)\s?(?:글|문서|본문|지문|텍스트|내용)|본문)(?=$|\W|은|는|이|가|을|를|에|의|과|와|에서)"
)


def korean_share(text: str) -> float:
    """Return the share of Hangul among the letters of a text, 0 to 1; 0 where it has no letter. Digits and punctuation do not count."""
    letters = [char for char in unicodedata.normalize("NFC", text) if unicodedata.category(char).startswith("L")]
    hangul = sum(1 for char in letters if "가" <= char <= "힣" or "ㄱ" <= char <= "ㆎ" or "ᄀ" <= char <= "ᇿ")
    return hangul / len(letters) if letters else 0.0


def _letters(text: str) -> str:
    """Return what two spellings of one query share: letters and digits, lower case."""
    return "".join(char for char in normalize(text).casefold() if char.isalnum())


class _SeenQueries:
    """The queries so far, by their letters and by their 8-grams."""

    def __init__(self) -> None:
        self._letters: set[str] = set()
        self._holders: dict[str, list[int]] = {}
        self._sizes: list[int] = []

    def add(self, query: str) -> None:
        self._letters.add(_letters(query))
        grams = shingles(_letters(query))
        for gram in grams:
            self._holders.setdefault(gram, []).append(len(self._sizes))
        self._sizes.append(len(grams))

    def has(self, query: str) -> bool:
        return _letters(query) in self._letters

    def has_near(self, query: str) -> bool:
        grams = shingles(_letters(query))
        shared = Counter(holder for gram in grams for holder in self._holders.get(gram, ()))
        return any(count / min(len(grams), self._sizes[holder]) > NEAR_DUPLICATE_CONTAINMENT for holder, count in shared.items())


class QueryFilter:
    """Decides about queries one by one; what it has accepted it does not accept again.

    Args:
        index: BM25 over all passages of the collection; None: no round trip.
        known_queries: queries that the collection has already. A synthetic one that repeats one of dev or test would leak it.
    """

    def __init__(self, index: Bm25Index | None = None, known_queries: Iterable[str] = ()) -> None:
        self._index = index
        self._known = _SeenQueries()
        self._accepted = _SeenQueries()
        for query in known_queries:
            self._known.add(query)

    def rejection(self, query: str, passage: Passage) -> str | None:
        """Return why `query` is unfit for `passage`, one of `REASONS`; None: it is fit, and from now on known."""
        reason = self._reason(query, passage)
        if reason is None:
            self._accepted.add(query)
        return reason

    def _reason(self, query: str, passage: Passage) -> str | None:
        if korean_share(query) <= KOREAN_SHARE:
            return "not_korean"
        if passage.title and _letters(query) == _letters(passage.title):
            return "copies_title"
        if not SHORTEST_CHARACTERS <= len(query) <= LONGEST_CHARACTERS:
            return "length"
        if _POINTS_AT_THE_TEXT.search(query):
            return "mentions_the_text"
        if _copied_share(query, passage) > COPIED_SHARE:
            return "copies_passage"
        if self._known.has(query) or self._known.has_near(query):
            return "known_query"
        if self._accepted.has(query):
            return "duplicate"
        if self._accepted.has_near(query):
            return "near_duplicate"
        if self._index is not None and passage.id not in {found for found, _ in self._index.rank(query, ROUND_TRIP_DEPTH)}:
            return "not_found_by_bm25"
        return None


def _copied_share(query: str, passage: Passage) -> float:
    """Return the share of the query's 8-grams that stand in the passage; 0 for a query that has none: two words of a text are no copy."""
    letters = _letters(query)
    if len(letters) < SHINGLE_SIZE:
        return 0.0
    grams = shingles(letters)
    return len(grams & shingles(_letters(passage.passage_text))) / len(grams)
