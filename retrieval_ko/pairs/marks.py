"""What augmentation never touches: article numbers, amounts, dates, law names, quoted titles."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence

from retrieval_ko.text import Morpheme

Span = tuple[int, int]

_MARK = re.compile(r"(?:제\s?)?[0-9][0-9.,]*\s?(?:[가-힣]{1,3}의\s?[0-9]+|[가-힣%]{0,3})")
_WORD = re.compile(r"\S+")
_QUOTED = re.compile(r"「[^」]*」|『[^』]*』|\"[^\"]*\"|“[^”]*”")
_LAW_WORD = re.compile(r"(?:법|법률|시행령|시행규칙|규칙|규정|조례|헌법)(?:상|에서|에|의|은|는|이|을|를|과|와|으로|도)*[.,?!]*$")
_COUNTERS = frozenset({"한", "두", "세", "네", "석", "넉", "다섯", "여섯", "일곱", "여덟", "아홉", "열", "스무"})
_CITATION = re.compile(r"(?:제\s?)?[0-9]+\s?(?:조|항|호)")
_MOST_WORDS_OF_A_LAW_NAME = 8


def marks(text: str) -> Counter[str]:
    """Count the numbers of a text with their units, white space left out: 제3조의2, 제1항, 10만원, 2020년."""
    return Counter("".join(mark.split()) for mark in _MARK.findall(text))


def protected_spans(text: str, analysis: Sequence[Morpheme]) -> list[Span]:
    """Return the stretches of a text that must stay as they are, in characters, in order; they may overlap.

    Protected are words with a digit or a number word (오백만 원, 두 달), words that end like a law's name (주택임대차보호법, 시행령 제3조),
    what stands before a citation up to the last particle (가족관계의 등록 등에 관한 법률 제3조: all of it), and quoted titles.
    """
    words = [match.span() for match in _WORD.finditer(text)]
    spans = [match.span() for match in _QUOTED.finditer(text)]
    for place, (start, end) in enumerate(words):
        word = text[start:end]
        inside = [morpheme for morpheme in analysis if start <= morpheme.start < end]
        has_number = any(character.isdigit() for character in word) or any(morpheme.tag in {"NR", "SN"} for morpheme in inside)
        if has_number or _LAW_WORD.search(word):
            spans.append((start, end))
        if inside and (inside[-1].tag in {"NR", "SN"} or (inside[-1].form in _COUNTERS and inside[-1].tag == "MM")):
            spans += [(start, end), *words[place + 1 : place + 2]]
        if _CITATION.match(word) and place:
            spans.append((_start_of_law_name(text, words, place), end))
    return sorted(spans)


def _start_of_law_name(text: str, words: Sequence[Span], place: int) -> int:
    """Return where the name of the law begins that a citation cites, as far back as it may reach."""
    first = max(0, place - _MOST_WORDS_OF_A_LAW_NAME)
    for before in range(place - 1, first - 1, -1):
        start, end = words[before]
        word = text[start:end]
        if word.endswith((",", ".", "?", "!")):
            return words[before + 1][0]
    return words[first][0]


def is_protected(start: int, end: int, spans: Sequence[Span]) -> bool:
    """Tell whether a stretch overlaps a protected one."""
    return any(start < right and left < end for left, right in spans)
