"""Which script a character is of."""

from __future__ import annotations

import unicodedata

SCRIPTS = ("hangul", "latin", "hanja", "digits", "other")


def script_of(char: str) -> str | None:
    """Return the script of a character: hangul, latin, hanja, digits, other; None for white space and punctuation."""
    if "가" <= char <= "힣" or "ᄀ" <= char <= "ᇿ" or "ㄱ" <= char <= "ㆎ":
        return "hangul"
    category = unicodedata.category(char)
    if category == "Nd":
        return "digits"
    if not category.startswith("L"):
        return None
    name = unicodedata.name(char, "")
    if name.startswith(("LATIN", "FULLWIDTH LATIN")):
        return "latin"
    return "hanja" if name.startswith("CJK") else "other"
