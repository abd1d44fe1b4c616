"""Markdown as reports need it."""

from __future__ import annotations

from collections.abc import Sequence


def cell(text: str) -> str:
    """Return a text as it may stand in a table's cell: on one line, its bars escaped."""
    return " ".join(text.replace("|", "\\|").split())


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a table whose first column is set left and the others right, with a line break at its end."""

    def line(cells: Sequence[str]) -> str:
        return "| " + " | ".join(cell(text) for text in cells) + " |\n"

    return line(header) + line(["---", *["--:"] * (len(header) - 1)]) + "".join(line(row) for row in rows)
