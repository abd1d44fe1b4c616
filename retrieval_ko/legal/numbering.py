"""How Korean law counts: 항 by ①, 호 by 1. and 1의2., 목 by 가., articles by 제3조의2."""

from __future__ import annotations

import re

_CIRCLED = "".join(map(chr, [*range(0x2460, 0x2474), *range(0x3251, 0x3260), *range(0x32B1, 0x32C0)]))
"""① to ㊿: Unicode keeps them in three blocks."""

CIRCLED_CLASS = f"[{_CIRCLED}]"
"""The same as a class of a regular expression."""

ARTICLE_NUMBER = r"제\d+(?:-\d+)?조(?:의\d+)?"
"""제3조, 제3조의2, and 제1-1조 as rules of the financial authorities count (chapter, article)."""

_ARTICLE_PARTS = re.compile(r"제(?:(\d+)-)?(\d+)조(?:의(\d+))?")

_INITIALS = (0, 2, 3, 5, 6, 7, 9, 11, 12, 14, 15, 16, 17, 18)
_VOWELS = (0, 4, 8, 13, 18, 20)
SUBITEM_LABELS = "".join(chr(0xAC00 + (initial * 21 + vowel) * 28) for vowel in _VOWELS for initial in _INITIALS)
"""가 나 다 … 하 거 너 … 허 고 …: the order in which 목 are counted."""


def circled(number: int) -> str:
    """Return ① for 1; above 50, where Unicode has none, (51)."""
    return _CIRCLED[number - 1] if 1 <= number <= len(_CIRCLED) else f"({number})"


def number_of(mark: str) -> int | None:
    """Return 1 for ①, or None where `mark` is no circled number."""
    return _CIRCLED.index(mark) + 1 if len(mark) == 1 and mark in _CIRCLED else None


def article_number(number: str, branch: str = "") -> str:
    """Return `제3조의2` for ("3", "2") and `제3조` for ("3", "")."""
    return f"제{int(number)}조" + (f"의{int(branch)}" if branch and int(branch) else "")


def item_order(number: str) -> tuple[int, ...]:
    """Return (1, 2) for `1의2`, so that items can be compared."""
    return tuple(int(part) for part in re.findall(r"\d+", number))


def article_order(number: str) -> tuple[int, int, int]:
    """Return (0, 3, 2) for `제3조의2` and (1, 4, 0) for `제1-4조`, so that articles can be compared."""
    found = _ARTICLE_PARTS.match(number)
    chapter, main, branch = (int(part or 0) for part in found.groups()) if found else (0, 0, 0)
    return chapter, main, branch
