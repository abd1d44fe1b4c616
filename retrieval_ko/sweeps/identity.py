"""A sweep's id, and the line in its file that keeps it."""

from __future__ import annotations

import re
import secrets
from pathlib import Path

import yaml

from retrieval_ko.errors import UsageError
from retrieval_ko.files import write_text

_ALPHABET = "abcdefghjkmnpqrstuvwxyz23456789"
"""Without what is read as something else: i, l, o, 0, 1."""
_LINE = re.compile(r"^sweep_id[ \t]*:[^\n#]*?([ \t]*(?:#[^\n]*)?)$", re.MULTILINE)


def new_sweep_id(name: str) -> str:
    """Return an id that no other sweep has, for all that is known of chance: the name and six characters."""
    return f"{name}-{''.join(secrets.choice(_ALPHABET) for _ in range(6))}"


def write_sweep_id(source: Path, sweep_id: str) -> None:
    """Write a sweep's id into its file, and change nothing else: comments, order and spelling stay.

    Args:
        source: the sweep's YAML file.
        sweep_id: replaces the one that is there; else it becomes the first key.

    Raises:
        UsageError: the file is written in a way that has no place for a line.
    """
    text = source.read_bytes().decode("utf-8-sig")
    before = yaml.safe_load(text)
    ending = "\r\n" if "\r\n" in text else "\n"
    plain = text.replace("\r\n", "\n")
    if "sweep_id" in before:
        changed = _LINE.sub(lambda match: f"sweep_id: {sweep_id}{match[1]}", plain, count=1)
    else:
        lines = plain.split("\n")
        place = _first_key(lines)
        lines.insert(place, f"sweep_id: {sweep_id}")
        changed = "\n".join(lines)
    try:
        after = yaml.safe_load(changed)
    except yaml.YAMLError:
        after = None
    if after != {**before, "sweep_id": sweep_id}:
        raise UsageError(
            f"{source}: the sweep's id could not be written into it.",
            f"Write the keys one a line, and this line first: sweep_id: {sweep_id}",
        )
    write_text(source, changed.replace("\n", ending))


def _first_key(lines: list[str]) -> int:
    """Return the number of the first line that is neither blank, a comment, a directive nor a beginning of a document."""
    for number, line in enumerate(lines):
        if line.strip() and not line.startswith(("#", "%", "---")):
            return number
    return len(lines)
