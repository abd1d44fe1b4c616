"""The sparse model that comes with the package, which is meant where none is named."""

from __future__ import annotations

from pathlib import Path

from retrieval_ko.errors import ModelError

PACKAGED = Path(__file__).parent / "default_model"
"""Written by `sparse-ko publish --as-package`."""


def has_packaged_model() -> bool:
    """Return whether this installation brings a model."""
    return PACKAGED.is_dir()


def packaged_model() -> Path:
    """Return the folder of the packaged model.

    Raises:
        ModelError: this installation brings none; says how to come by one.
    """
    if not has_packaged_model():
        raise ModelError(
            f"No sparse model is named, and this installation comes without one ({PACKAGED} is missing).",
            "Train one (sparse-ko train static --out runs/NAME) and name its folder: --model runs/NAME/model, "
            "in Python SparseEncoder.load('runs/NAME/model').",
        )
    return PACKAGED
