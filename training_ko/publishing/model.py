"""What publishing asks of an encoder; `sparse_ko.publishing` and `dense_ko.publishing` answer."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


@dataclass(frozen=True)
class PublishedModel:
    """A model's folder, loaded."""

    kind: str
    """In a card's first sentence, such as "A sparse encoder (doc-only)"."""
    facts: tuple[tuple[str, str], ...]
    """What it is: name and value."""
    library: str
    """The hub's `library_name`: what loads the folder."""
    tags: tuple[str, ...]
    usage: Callable[[str, str | None], str]
    """(folder, its name on the hub or None for the packaged one) → Markdown."""
    vectors: Callable[[Sequence[str], Sequence[str]], NDArray[np.float32]]
    """(passages, queries) → their vectors, shape [texts, dimensions]."""


@dataclass(frozen=True)
class Publisher:
    """How a kind of model is loaded, and what its folder says of itself."""

    load: Callable[[Path], PublishedModel]
    card: str
    """Name of the JSON file that says the precision."""
