"""The ranking loss that a run's settings name."""

from __future__ import annotations

from torch import nn

from training_ko.losses.infonce import InfoNce
from training_ko.losses.kl_divergence import KlDivergence
from training_ko.losses.margin_mse import MarginMse
from training_ko.losses.margin_ranking import MarginRanking
from training_ko.settings import RankingSettings


def ranking_loss(settings: RankingSettings) -> nn.Module:
    """Return the ranking loss that the settings name."""
    match settings.loss:
        case "infonce":
            return InfoNce(settings.temperature, in_batch=settings.in_batch)
        case "margin":
            return MarginRanking(settings.margin, in_batch=settings.in_batch)
        case "margin-mse":
            return MarginMse()
        case "kl":
            return KlDivergence(settings.temperature)
