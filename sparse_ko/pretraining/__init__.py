"""Masked-language-model pre-training: what gives a small encoder its idea of Korean before it sees a query.

settings.py   a run's YAML
base.py       the model it starts from: built from scratch, or a named one
packing.py    passages as rows of max_tokens, on disk
masking.py    which tokens are hidden, drawn by the number of the step
trainer.py    transformers.Trainer over steps
run.py        all of it together: `pretrain`
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sparse_ko.pretraining.settings import PretrainSettings

if TYPE_CHECKING:
    from sparse_ko.pretraining.run import PretrainedModel, pretrain

__all__ = ["PretrainSettings", "PretrainedModel", "pretrain"]


def __getattr__(name: str) -> object:
    """Load torch and the trainer when they are first asked for."""
    if name in ("PretrainedModel", "pretrain"):
        from sparse_ko.pretraining import run

        return getattr(run, name)
    raise AttributeError(f"module 'sparse_ko.pretraining' has no attribute {name!r}")
