"""A batch's loss and what it is made of."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

from torch import Tensor


class Part(NamedTuple):
    """One loss of a batch: its value before any weight, and its share of the total after it."""

    value: float
    share: float


@dataclass(frozen=True)
class LossParts:
    """A batch's loss.

    Args:
        total: the scalar that is minimised.
        parts: by name, those that are switched on.
        figures: what else the batch shows, by name, e.g. the mean number of active dimensions of its documents.
    """

    total: Tensor
    parts: dict[str, Part]
    figures: dict[str, float] = field(default_factory=dict)
