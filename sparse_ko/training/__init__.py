"""One training run: batches, losses over the whole batch, the best checkpoint by nDCG@10 on dev.

data.py        where pairs come from, and in which order their batches come
collator.py    pairs → tokens and keys
batches.py     the batch of every step, for every process
arguments.py   settings → transformers.TrainingArguments
trainer.py     transformers.Trainer over the whole-batch loss
measurement.py nDCG@10 and active dimensions on dev
recording.py   events, progress, and the end of a run whose loss is no number
checkpoints.py what is needed to resume, written whole
run.py         all of it together: `train`
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sparse_ko.training.recording import DEV_METRIC

if TYPE_CHECKING:
    from sparse_ko.training.run import TrainedModel, train

__all__ = ["DEV_METRIC", "TrainedModel", "train"]


def __getattr__(name: str) -> object:
    """Load the trainer when it is first asked for: pretraining needs the recorder alone."""
    if name in ("TrainedModel", "train"):
        from sparse_ko.training import run

        return getattr(run, name)
    raise AttributeError(f"module 'sparse_ko.training' has no attribute {name!r}")
