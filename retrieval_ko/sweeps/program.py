"""What a sweep must know of the program whose runs its trials are."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True)
class Program:
    """A program with a command `train`.

    Args:
        name: sparse-ko or lex-dpr.
        command: what begins a trial; `train CONFIG --set … --out DIR` is written after it.
        presets: folder of the sweeps that come with the package.
        preset: the one that is taken where none is named.
        metrics: keys of what its runs measure on dev.
        keys: every key of its settings.
        find: called with a config's name, packaged or a path; returns its file, or raises `UsageError`.
        check: called with a config and changes (KEY=VALUE); raises `UsageError` where `train` would.
        renamed: other keys that a sweep may use → the program's.
        refused: keys that look right → what to write instead.
    """

    name: str
    command: tuple[str, ...]
    presets: Path
    preset: str
    metrics: Sequence[str]
    keys: Sequence[str]
    find: Callable[[str], Path]
    check: Callable[[str, list[str]], object]
    renamed: Mapping[str, str] = field(default_factory=dict)
    refused: Mapping[str, str] = field(default_factory=dict)
