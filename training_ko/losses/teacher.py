"""A teacher's scores of a batch's candidates."""

from __future__ import annotations

import torch
from torch import Tensor

from retrieval_ko.errors import DataError
from training_ko.losses.embedded import Embedded


def teacher_of(batch: Embedded, loss: str) -> tuple[Tensor, Tensor]:
    """Return which candidates the teacher has scored, bool [B, C], and its scores, float [B, C], 0 where there is none.

    Raises:
        DataError: the batch has no teacher's scores.
    """
    if batch.teacher is None:
        raise DataError(
            f"The loss {loss} learns from a teacher's scores, and the training pairs have none.",
            "Add them to the pairs file, or choose another loss: --set ranking.loss=infonce",
        )
    scored = batch.teacher.isfinite() & (batch.candidates >= 0)
    return scored, torch.where(scored, batch.teacher, 0.0).to(batch.queries.dtype)
