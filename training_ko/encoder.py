"""What the trainer asks of an encoder, sparse or dense."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Protocol

if TYPE_CHECKING:
    from torch import Tensor, nn


class TrainableEncoder(Protocol):
    """Texts in, vectors with gradient out."""

    @property
    def module(self) -> nn.Module:
        """The network with every parameter."""

    @property
    def query_table(self) -> nn.Parameter | None:
        """Weights that a query's own tokens have, with a learning rate of their own; None where a network reads queries."""

    def tokenize(self, texts: Sequence[str], kind: Literal["query", "document"], max_tokens: int | None = None) -> dict[str, Tensor]:
        """Return what the network reads, on the CPU, cut and padded to the longest."""

    def embed(self, features: dict[str, Tensor], kind: Literal["query", "document"]) -> Tensor:
        """Return vectors with gradient, shape [texts, V]."""

    def constrain(self) -> None:
        """Set weights to 0 that an optimiser's step made negative though they must not be."""

    def save(self, folder: Path) -> None:
        """Write the encoder, whole or not at all."""
