"""Dropping a passage's light weights by the rules of neural-search's ingest processor, so that client and cluster store the same.

The processor reckons in 32-bit floats (neural-search 3.6, `util/prune/PruneUtils.java`), and so does `Pruning.apply`: a weight on the
very threshold falls to the same side. Where several tokens weigh the same and only some of them fit into `top_k` or `alpha_mass`, the
node's choice follows the order of a Java hash map; ours follows the order of the weights it is given.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import fsum
from typing import TYPE_CHECKING, Any, Literal, TypeVar

import numpy as np
from pydantic import BaseModel, ConfigDict, model_validator

from retrieval_ko.errors import UsageError

if TYPE_CHECKING:
    from numpy.typing import NDArray

PruneType = Literal["none", "max_ratio", "abs_value", "alpha_mass", "top_k"]
Key = TypeVar("Key", str, int)


class Pruning(BaseModel):
    """What is dropped of a passage's weights.

    none        nothing
    max_ratio   what is lighter than `ratio` times the heaviest, 0 ≤ ratio < 1
    abs_value   what is lighter than `ratio`, ratio > 0
    alpha_mass  all but the heaviest that together hold no more than `ratio` of the sum, 0 ≤ ratio < 1; a passage whose heaviest
                weight alone holds more is left with nothing, as the processor does it
    top_k       all but the `ratio` heaviest, a whole number
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    type: PruneType = "none"
    ratio: float | None = None

    @model_validator(mode="after")
    def _fitting_ratio(self) -> Pruning:
        if self.type == "none":
            if self.ratio is not None:
                raise ValueError("pruning of the type none has no ratio")
            return self
        if self.ratio is None:
            raise ValueError(f"pruning of the type {self.type} needs a ratio")
        fits = {
            "max_ratio": 0 <= self.ratio < 1,
            "alpha_mass": 0 <= self.ratio < 1,
            "abs_value": self.ratio > 0,
            "top_k": self.ratio >= 1 and self.ratio == int(self.ratio),
        }
        if not fits[self.type]:
            raise ValueError(f"{self.ratio:g} is no ratio for {self.type}")
        return self

    @classmethod
    def parse(cls, text: str) -> Pruning:
        """Read what a command line says: `none`, or a type and its ratio as in `max_ratio:0.1`.

        Raises:
            UsageError: it says something else.
        """
        name, _, ratio = text.partition(":")
        try:
            return cls.model_validate({"type": name, "ratio": float(ratio) if ratio else None})
        except ValueError as failure:
            raise UsageError(
                f"{text!r} says nothing that can be pruned by.", "Write none, max_ratio:0.1, abs_value:0.2, alpha_mass:0.9 or top_k:120."
            ) from failure

    def processor_settings(self) -> dict[str, Any]:
        """Return what the ingest processor is told; nothing where nothing is dropped."""
        if self.ratio is None:
            return {}
        return {"prune_type": self.type, "prune_ratio": int(self.ratio) if self.type == "top_k" else self.ratio}

    def apply(self, weights: Mapping[Key, float]) -> dict[Key, float]:
        """Return the weights that stay, in their order; all must be > 0."""
        if self.ratio is None or not weights:
            return dict(weights)
        values = np.fromiter(weights.values(), dtype=np.float32, count=len(weights))
        kept = self._kept(values)
        return {key: weight for (key, weight), stays in zip(weights.items(), kept, strict=True) if stays}

    def _kept(self, values: NDArray[np.float32]) -> NDArray[np.bool_]:
        """Return which of the values stay, shape [values]."""
        assert self.ratio is not None
        ratio = np.float32(self.ratio)
        if self.type in ("max_ratio", "abs_value"):
            threshold = ratio if self.type == "abs_value" else ratio * values.max()
            return np.greater_equal(values, threshold)
        heaviest_first = np.argsort(-values, kind="stable")
        if self.type == "top_k":
            enough = int(self.ratio)
        else:
            mass = np.cumsum(values[heaviest_first], dtype=np.float32)  # one after the other, as the processor adds them
            enough = int(np.count_nonzero(mass <= ratio * np.float32(fsum(values))))
        kept = np.zeros(len(values), dtype=np.bool_)
        kept[heaviest_first[:enough]] = True
        return kept
