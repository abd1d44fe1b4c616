"""Ranking losses, one a module, and the step that computes any loss over the whole batch."""

from training_ko.losses.embedded import Embedded
from training_ko.losses.features import Features
from training_ko.losses.infonce import InfoNce
from training_ko.losses.kl_divergence import KlDivergence
from training_ko.losses.margin_mse import MarginMse
from training_ko.losses.margin_ranking import MarginRanking
from training_ko.losses.parts import LossParts, Part
from training_ko.losses.ranking import ranking_loss
from training_ko.losses.whole_batch import WholeBatch

__all__ = [
    "Embedded",
    "Features",
    "InfoNce",
    "KlDivergence",
    "LossParts",
    "MarginMse",
    "MarginRanking",
    "Part",
    "WholeBatch",
    "ranking_loss",
]
