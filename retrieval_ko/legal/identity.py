"""What identifies a law, checked where it enters: id, name, date in force, annex numbers."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from retrieval_ko.errors import DataError
from retrieval_ko.text import normalize

_ID = re.compile(r"[0-9A-Za-z][0-9A-Za-z-]{0,63}$")


def required(path: Path, fields: Mapping[str, Any], name: str, *, is_id: bool = False) -> str:
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


def annex_label(kind: object, number: object, branch: object) -> str:
    """Return `별표 1의2` for ("별표", "0001", "02"), and `별표` where it is the only one (number 0000)."""
    main, sub = (int(value) if isinstance(value, str) and value.isdigit() else 0 for value in (number, branch))
    label = kind if isinstance(kind, str) and kind else "별표"
    return label + (f" {main}" if main else "") + (f"의{sub}" if sub else "")
