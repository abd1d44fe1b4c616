"""When two terms are the same term: keys that ignore case, spacing, plurals and endings."""

from __future__ import annotations

import re
from collections.abc import Sequence

from retrieval_ko.text import Morpheme, normalize

_ENGLISH_WORD = re.compile(r"[^\W_]+(?:[+#]+|'(?!s\b)[^\W_]+)?")
_NO_PLURAL = ("ss", "us", "is", "as", "os")
_LEFT_OUT_TAGS = ("J", "E", "SF", "SP", "SS", "SE", "SO", "SW")
_FUNCTION_WORDS = frozenset({"a", "an", "the", "to"})

Key = tuple[str, ...]


def squeezed(term: str) -> str:
    """Return a term in NFC and lower case without white space, hyphens and middle dots: 검색 엔진 = 검색엔진."""
    return re.sub(r"[\s\-‐-―·ㆍ_]", "", normalize(term)).casefold()


def singular(word: str) -> str:
    """Return an English word in lower case without its plural ending, by spelling alone: contracts → contract, bodies → body."""
    word = word.casefold()
    if len(word) > 4 and word.endswith("ies"):
        return word[:-3] + "y"
    if len(word) > 4 and word.endswith(("ches", "shes", "sses", "xes")):
        return word[:-2]
    if len(word) > 3 and word.endswith("s") and not word.endswith(_NO_PLURAL):
        return word[:-1]
    return word


def english_key(term: str) -> Key:
    """Return the words of an English term, lower case and singular, articles and `to` left out unless nothing else is there."""
    words = [singular(word) for word in _ENGLISH_WORD.findall(normalize(term).replace("’", "'"))]
    return tuple(word for word in words if word not in _FUNCTION_WORDS) or tuple(words)


def korean_key(analysis: Sequence[Morpheme]) -> Key:
    """Return the morphemes of a Korean term without particles, endings and punctuation; of a term of nothing else, all of them."""
    forms = [morpheme.form.casefold() for morpheme in analysis if not morpheme.tag.startswith(_LEFT_OUT_TAGS)]
    return tuple(forms or [morpheme.form for morpheme in analysis])
