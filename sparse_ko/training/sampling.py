"""Which dimensions a training step computes where a passage is scored against queries that are tables over their own tokens.

A ranking loss reads the dimensions of the batch's queries and no others, so leaving the others out changes nothing of it. A regulariser
that sums over the vocabulary needs them all; a sample of the others, each counted for as many as were not drawn, gives it without bias.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from sparse_ko.model import SparseEncoder
from sparse_ko.settings import TrainSettings
from training_ko.known_texts import KnownTexts

_SAMPLE = 3
"""Tells this draw from those of `training_ko.batches`, which have the same seed."""


class SampledDimensions:
    """A pure function of seed, step and the batch's queries: a resumed run and every process draw the same.

    Args:
        encoder: whose queries are tables.
        settings: of the run.
    """

    def __init__(self, encoder: SparseEncoder, settings: TrainSettings) -> None:
        self._texts = KnownTexts(encoder)
        self._vocabulary = len(encoder.tokenizer)
        self._max_query_tokens = settings.model.max_query_tokens
        self._count = settings.sparsity.sampled_dimensions
        self._seed = settings.training.seed

    def __call__(self, step: int, queries: Sequence[str]) -> tuple[Tensor, Tensor]:
        """Return the dimensions, int64 [C], rising, and how many each stands for, float [C].

        Args:
            step: counted from 0.
            queries: of the whole batch, over all processes.
        """
        asked = np.zeros(self._vocabulary, dtype=bool)
        if queries:
            asked[self._texts.tokenize(queries, "query", self._max_query_tokens)["input_ids"].numpy().ravel()] = True
        others = np.flatnonzero(~asked)
        drawn = np.random.default_rng([self._seed, _SAMPLE, step]).choice(others, min(self._count, len(others)), replace=False)
        counts = np.ones(self._vocabulary, dtype=np.float32)
        if len(drawn):
            counts[drawn] = len(others) / len(drawn)
        asked[drawn] = True
        dimensions = np.flatnonzero(asked)
        return torch.from_numpy(dimensions), torch.from_numpy(counts[dimensions])
