"""Regularisers and losses of a sparse encoder, one a module, and their weighted sum; ranking losses are in `training_ko.losses`."""

from sparse_ko.losses.anti_collapse import AntiCollapse
from sparse_ko.losses.df_flops import DfFlops
from sparse_ko.losses.flops import Flops
from sparse_ko.losses.l1 import L1
from sparse_ko.losses.synonym import SynonymLoss
from sparse_ko.losses.weighted_sum import WeightedSum

__all__ = ["L1", "AntiCollapse", "DfFlops", "Flops", "SynonymLoss", "WeightedSum"]
