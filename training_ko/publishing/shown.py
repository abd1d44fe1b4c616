"""Paths and commands as a stranger may read them: without the folders of the machine they were typed on."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from typing import Any

_PROGRAMS = {"sparse-ko": "sparse-ko", "lex-dpr": "lex-dpr", "sparse_ko_cli": "sparse-ko", "sparse_ko_cli.sparse": "sparse-ko"} | {
    "sparse_ko_cli.lexdpr": "lex-dpr"
}


def shown_text(text: str, folder: str = "") -> str:
    """Return a word without the folders before it where it is an absolute path, or KEY=PATH with one.

    Args:
        text: any.
        folder: what paths below it are shown relative to.
    """
    name, equals, value = text.partition("=")
    if equals and value.startswith("/"):
        return f"{name}={shown_text(value, folder)}"
    if not text.startswith("/") or any(char.isspace() for char in text) or len(PurePosixPath(text).parts) < 3:
        return text
    path = PurePosixPath(text)
    return str(path.relative_to(folder)) if folder and path.is_relative_to(folder) and path != PurePosixPath(folder) else path.name


def shown_values(values: Any, folder: str = "") -> Any:  # noqa: ANN401  any JSON value
    """Return JSON or YAML values in which every absolute path is shown."""
    if isinstance(values, dict):
        return {key: shown_values(value, folder) for key, value in values.items()}
    if isinstance(values, list):
        return [shown_values(value, folder) for value in values]
    return shown_text(values, folder) if isinstance(values, str) else values


def shown_command(argv: Sequence[str], folder: str = "") -> str:
    """Return the command as it is typed: the program's name instead of the interpreter, paths shown.

    Args:
        argv: as `retrieval_ko.runs.command_line.this_command` keeps it, the interpreter first.
        folder: it was typed in.
    """
    for place, word in enumerate(argv):
        program = _PROGRAMS.get(word) or _PROGRAMS.get(Path(word).name)
        if program:
            return shlex.join([program, *(shown_text(other, folder) for other in argv[place + 1 :])])
    return shlex.join([Path(word).name if place == 0 else shown_text(word, folder) for place, word in enumerate(argv)])
