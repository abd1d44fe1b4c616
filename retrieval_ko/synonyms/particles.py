"""Which particle follows a word: 임대인이, 검색을, model을, search를."""

from __future__ import annotations

import re

_PAIRS = (("은", "는"), ("이", "가"), ("을", "를"), ("과", "와"), ("으로", "로"), ("이나", "나"), ("이랑", "랑"), ("이라도", "라도"))
_ALTERNATIVES = {form: pair for pair in _PAIRS for form in pair}
_HANGUL_START, _HANGUL_END, _FINALS, _RIEUL = 0xAC00, 0xD7A3, 28, 8
_CLOSED_ENGLISH = re.compile(r"(?:[lmn]|ng|le|[aeiouy][mnl]e|(?<![aeiouy])[aeiou](?:p|t|k|ck|c)|oo[kpt]|ea[dt])$")
_CLOSED_LETTERS = frozenset("LMNR")
"""Letters whose Korean name ends in a consonant: 엘, 엠, 엔, 알."""


def final_of(word: str) -> int:
    """Return the number of the final consonant with which a word ends when read in Korean, 0 for none, 8 for ㄹ.

    Hangul is exact. English is read by spelling, as it is commonly written in Hangul (deposit 디파짓, rent 렌트, model 모델);
    a word in capitals by the names of its letters.
    """
    last = word[-1]
    if _HANGUL_START <= ord(last) <= _HANGUL_END:
        return (ord(last) - _HANGUL_START) % _FINALS
    if word.split()[-1].isupper():
        return {"L": _RIEUL, "R": _RIEUL}.get(last, 1 if last in _CLOSED_LETTERS else 0)
    if not _CLOSED_ENGLISH.search(word.casefold()):
        return 0
    return _RIEUL if re.search(r"(l|le)$", word.casefold()) else 1


def particle_after(word: str, particle: str) -> str:
    """Return the form of a particle that fits after a word; a particle of one form stays as it is."""
    if particle not in _ALTERNATIVES:
        return particle
    closed, open_ = _ALTERNATIVES[particle]
    final = final_of(word)
    if (closed, open_) == ("으로", "로") and final == _RIEUL:
        return open_
    return closed if final else open_
