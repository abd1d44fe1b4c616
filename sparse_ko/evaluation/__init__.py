"""A sparse encoder measured in process: quality by exact search, sparsity, time, translation, and where it fails."""

from sparse_ko.evaluation.measuring import MeasuredEncoder, evaluate_encoder, measure_encoder

__all__ = ["MeasuredEncoder", "evaluate_encoder", "measure_encoder"]
