"""A sample of pairs for people to judge by reading."""

from __future__ import annotations

import random
from collections.abc import Iterable

from retrieval_ko.errors import UsageError
from retrieval_ko.records import SynonymPair

SAMPLE_SIZE = 200


def sample(pairs: Iterable[SynonymPair], size: int = SAMPLE_SIZE, seed: int = 0) -> list[SynonymPair]:
    """Draw `size` different pairs, each with the same chance, in random order; the order of `pairs` does not matter.

    Raises:
        UsageError: there are fewer pairs.
    """
    ordered = sorted(pairs, key=lambda pair: (pair.ko, pair.en, pair.source, pair.domain))
    if size > len(ordered):
        raise UsageError(f"A sample of {size:,} pairs was asked for; there are {len(ordered):,}.", f"--size {len(ordered)}")
    return random.Random(seed).sample(ordered, size)
