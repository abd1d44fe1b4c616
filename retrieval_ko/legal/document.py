"""A file as fields and lines, before anyone knows what kind of document it is."""

from __future__ import annotations

import json
import unicodedata
from dataclasses import dataclass, field
from typing import Any

import yaml

from retrieval_ko.compressed import Readable
from retrieval_ko.errors import DataError
from retrieval_ko.files import read_lines

MARKDOWN = ".md"
FRONT_MATTER_FENCE = "---"


@dataclass(frozen=True, slots=True)
class Document:
    """A JSON object, or the front matter of a Markdown file and the lines below it. All text is in NFC."""

    path: Readable
    fields: dict[str, Any]
    body: list[str] = field(default_factory=list)


def load(path: Readable) -> Document:
    """Read one file: Markdown by its suffix, everything else as JSON.

    Raises:
        DataError: the file cannot be read, is not UTF-8, not JSON, or its front matter is missing, cut off or not YAML.
    """
    lines = [unicodedata.normalize("NFC", line) for _, line in read_lines(path)]
    return _markdown(path, lines) if path.suffix.lower() == MARKDOWN else _json(path, "\n".join(lines))


def _json(path: Readable, text: str) -> Document:
    try:
        value = json.loads(text)
        if "\\u" in text:  # escapes can hold jamo, which NFC of the file does not see, and halves of a character
            value = json.loads(unicodedata.normalize("NFC", json.dumps(value, ensure_ascii=False)).encode())
    except json.JSONDecodeError as failure:
        raise DataError(f"{path}, line {failure.lineno}, column {failure.colno}: not JSON ({failure.msg}).") from failure
    except UnicodeEncodeError as failure:
        raise DataError(f"{path}: holds \\u escapes that are half a character.") from failure
    except RecursionError as failure:
        raise DataError(f"{path}: JSON nested too deeply to be a document.") from failure
    if not isinstance(value, dict):
        raise DataError(f"{path}: expected a JSON object, found {type(value).__name__}.")
    return Document(path, value)


def _markdown(path: Readable, lines: list[str]) -> Document:
    if not lines or lines[0].rstrip() != FRONT_MATTER_FENCE:
        raise DataError(f"{path}, line 1: Markdown without front matter (expected '{FRONT_MATTER_FENCE}').")
    try:
        end = next(number for number, line in enumerate(lines[1:], start=1) if line.rstrip() == FRONT_MATTER_FENCE)
    except StopIteration:
        raise DataError(f"{path}: the front matter has no end; the file is cut off.") from None
    try:
        # BaseLoader leaves every scalar a string: 000012 stays an id, it does not become the octal 10.
        fields = yaml.load("\n".join(lines[1:end]), Loader=getattr(yaml, "CBaseLoader", yaml.BaseLoader))
    except yaml.YAMLError as failure:
        mark = getattr(failure, "problem_mark", None)
        where = f", line {mark.line + 2}" if mark else ""
        raise DataError(f"{path}{where}: the front matter is not YAML ({getattr(failure, 'problem', None) or failure}).") from failure
    except RecursionError as failure:
        raise DataError(f"{path}: front matter nested too deeply.") from failure
    if not isinstance(fields, dict):
        raise DataError(f"{path}: expected fields in the front matter, found {type(fields).__name__}.")
    return Document(path, fields, lines[end + 1 :])
