"""MarginMSE: the teacher's lead, not its order."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from training_ko.losses.embedded import Embedded, masked_mean
from training_ko.losses.teacher import teacher_of


class MarginMse(nn.Module):
    """Squared difference between the student's and the teacher's lead of the positive.

    mean over (i, c ≥ 1) of ((s_i0 - s_ic) - (t_i0 - t_ic))², candidate 0 being the positive
    (Hofstätter et al. 2020, arXiv 2010.02666, eq. 4). The teacher must live on the student's scale: scores in [0, 1] are
    multiplied first (by 30 in OpenSearch's recipe), or the student shrinks its weights to fit.
    """

    def forward(self, batch: Embedded) -> Tensor:
        """Return the mean over all negatives that the teacher has scored along with their positive; 0 without any.

        Raises:
            DataError: the batch has no teacher's scores.
        """
        scored, teacher = teacher_of(batch, "margin-mse")
        student = batch.candidate_scores()
        difference = (student[:, :1] - student[:, 1:]) - (teacher[:, :1] - teacher[:, 1:])
        counted = scored[:, :1] & scored[:, 1:]
        return masked_mean(torch.where(counted, difference, 0.0).square(), counted)
