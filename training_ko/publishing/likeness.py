"""Does a published folder answer as the model did? Vectors of the sample's passages and queries, side by side."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from retrieval_ko.errors import ModelError

if TYPE_CHECKING:
    from numpy.typing import NDArray

LOWEST_COSINE = 0.999
"""Below it rounding has changed what a text is; fp16 keeps 11 bits, so that a sound model stays above 0.99999."""


@dataclass(frozen=True)
class Likeness:
    """How far two models' vectors of the same texts are apart."""

    texts: int
    largest_deviation: float
    """Of one weight or component."""
    lowest_cosine: float
    """Of a text's two vectors."""


def compare(before: NDArray[np.float32], after: NDArray[np.float32]) -> Likeness:
    """Return how far vectors moved; where both are zero they are alike, where one is they are not.

    Args:
        before: of the source, shape [texts, dimensions].
        after: of what was written, of the same shape.

    Raises:
        ModelError: the shapes differ, a number is none, or a vector's cosine is below `LOWEST_COSINE`.
    """
    if before.shape != after.shape:
        raise ModelError(f"The folder that was written has vectors of the shape {after.shape}, the model {before.shape}.")
    first, second = before.astype(np.float64), after.astype(np.float64)
    if not (np.isfinite(first).all() and np.isfinite(second).all()):
        raise ModelError("A vector of a sample passage holds something that is no finite number.", "Train the model anew.")
    lengths = np.linalg.norm(first, axis=1), np.linalg.norm(second, axis=1)
    products = lengths[0] * lengths[1]
    both_zero = (lengths[0] == 0) & (lengths[1] == 0)
    cosines = np.where(both_zero, 1.0, (first * second).sum(axis=1) / np.where(products == 0, 1.0, products))
    found = Likeness(len(first), float(np.abs(first - second).max(initial=0.0)), float(min(1.0, cosines.min(initial=1.0))))
    if found.lowest_cosine < LOWEST_COSINE:
        worst = int(cosines.argmin())
        raise ModelError(
            f"The folder that was written does not answer as the model does: the cosine of sample text {worst} is {cosines[worst]:.5f} "
            f"(at least {LOWEST_COSINE}), the largest deviation of a weight {found.largest_deviation:.3g}.",
            "This model does not bear rounding: publish it with --precision fp32.",
        )
    return found
