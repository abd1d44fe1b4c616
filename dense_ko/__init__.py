"""LexDPR: a dense bi-encoder for Korean legal text, trained and searched beside the sparse encoder."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dense_ko.templates import TemplateMode

if TYPE_CHECKING:
    from dense_ko.encoder import BiEncoder, get_bi_encoder

__all__ = ["BiEncoder", "TemplateMode", "get_bi_encoder"]


def __getattr__(name: str) -> object:
    """Load the encoder's module when it is first asked for: machines that only search have no torch."""
    if name in __all__:
        from dense_ko import encoder

        return getattr(encoder, name)
    raise AttributeError(f"module 'dense_ko' has no attribute {name!r}")
