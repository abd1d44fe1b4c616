"""What identifies a law, checked where it enters: id, name, date in force, annex numbers."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from retrieval_ko.compressed import Readable
from retrieval_ko.errors import DataError
from retrieval_ko.text import normalize

_ID = re.compile(r"[0-9A-Za-z][0-9A-Za-z-]{0,63}$")


def required(path: Readable, fields: Mapping[str, Any], name: str, *, is_id: bool = False) -> str:
    """Return the text of a field that a law cannot do without.

    Raises:
        DataError: it is missing, empty, not text, or, with `is_id`, no id (letters, digits, hyphens).
    """
    value = fields.get(name)
    text = normalize(value) if isinstance(value, str) else ""
    if not text:
        raise DataError(f"{path}: has no {name}.")
    if is_id and not _ID.match(text):
        raise DataError(f"{path}: the {name} {text[:40]!r} is no id (letters, digits and hyphens).")
    return text


def iso_date(value: object) -> str:
    """Return 2025-10-01 for `20251001` and `2025-10-01`; empty where there is no date."""
    digits = re.sub(r"\D", "", value) if isinstance(value, str) else ""
    return f"{digits[:4]}-{digits[4:6]}-{digits[6:]}" if len(digits) == 8 else ""


_DATE = r"(\d{4})\s?[.ㆍ·]\s?(\d{1,2})\s?[.ㆍ·]\s?(\d{1,2})"
_SUPPLEMENT_HEADING = re.compile(rf"\s*부\s?칙\s?(\([^<]{{0,200}})?[<＜][^<>]{{0,80}}?{_DATE}")
_INSERTED = re.compile(rf"\[\s?본\s?조\s?신\s?설\s?[<〈]?\s?{_DATE}|\[\s?제\d{{1,4}}조[^\[\]]{{0,40}}에서\s?이동[^\[\]]{{0,80}}?{_DATE}")


def first_supplement(lines: Iterable[str]) -> str:
    """Return the date of the first 부칙 among `lines`, ISO: when a law was enacted or last wholly revised.

    `부칙(양식산업발전법) <제16568호,2019.8.27>` belongs to a law that changed this one; it counts only where there is no other.
    """
    of_another = ""
    for line in lines:
        if "칙" in line[:8] and (found := _SUPPLEMENT_HEADING.match(line)):
            date = _iso(found.groups()[1:])
            if not found[1]:
                return date
            of_another = of_another or date
    return of_another


def inserted_date(line: str) -> str:
    """Return 2011-01-01 for `[본조신설 2011. 1. 1.]` and for `[제5조에서 이동 <2011.1.1>]`; empty for other lines."""
    found = _INSERTED.search(line) if "[" in line else None
    return _iso([part for part in found.groups() if part]) if found else ""


def _iso(parts: Sequence[str]) -> str:
    year, month, day = parts
    return f"{year}-{int(month):02}-{int(day):02}"


def annex_label(kind: object, number: object, branch: object) -> str:
    """Return `별표 1의2` for ("별표", "0001", "02"), and `별표` where it is the only one (number 0000)."""
    main, sub = (int(value) if isinstance(value, str) and value.isdigit() else 0 for value in (number, branch))
    label = kind if isinstance(kind, str) and kind else "별표"
    return label + (f" {main}" if main else "") + (f"의{sub}" if sub else "")
