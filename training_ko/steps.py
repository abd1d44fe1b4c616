"""Which steps a run still has to take."""

from __future__ import annotations

from collections.abc import Iterator

from torch.utils.data import Sampler
from transformers import Trainer


class StepsToCome(Sampler[int]):
    """The numbers of the steps that a run still has to take; its length is that of the whole run, as the trainer counts."""

    def __init__(self, trainer: Trainer) -> None:
        self._trainer = trainer

    def __iter__(self) -> Iterator[int]:
        return iter(range(self._trainer.state.global_step, len(self)))

    def __len__(self) -> int:
        return len(self._trainer.train_dataset)
