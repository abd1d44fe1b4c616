"""A SPLADE-style sparse encoder for Korean: vocabulary, model, training, evaluation."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sparse_ko.model import SparseEncoder, TokenMatch

__all__ = ["SparseEncoder", "TokenMatch"]


def __getattr__(name: str) -> object:
    """Load the model's module when it is first asked for: machines that only search have no torch."""
    if name in __all__:
        from sparse_ko import model

        return getattr(model, name)
    raise AttributeError(f"module 'sparse_ko' has no attribute {name!r}")
