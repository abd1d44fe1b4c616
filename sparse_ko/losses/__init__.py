"""Losses and regularisers, one a module, and the step that computes them over the whole batch."""

from sparse_ko.losses.anti_collapse import AntiCollapse
from sparse_ko.losses.df_flops import DfFlops
from sparse_ko.losses.embedded import Embedded
from sparse_ko.losses.features import Features
from sparse_ko.losses.flops import Flops
from sparse_ko.losses.infonce import InfoNce
from sparse_ko.losses.kl_divergence import KlDivergence
from sparse_ko.losses.l1 import L1
from sparse_ko.losses.margin_mse import MarginMse
from sparse_ko.losses.margin_ranking import MarginRanking
from sparse_ko.losses.synonym import SynonymLoss
from sparse_ko.losses.weighted_sum import LossParts, Part, WeightedSum
from sparse_ko.losses.whole_batch import WholeBatch

__all__ = [
    "L1",
    "AntiCollapse",
    "DfFlops",
    "Embedded",
    "Features",
    "Flops",
    "InfoNce",
    "KlDivergence",
    "LossParts",
    "MarginMse",
    "MarginRanking",
    "Part",
    "SynonymLoss",
    "WeightedSum",
    "WholeBatch",
]
