"""Queries that a language model writes for passages: asked, read, filtered, and kept in a journal so that a stopped run goes on."""

from retrieval_ko.synthesis.backend import AnswerError, BackendError, TextGenerator
from retrieval_ko.synthesis.filters import QueryFilter
from retrieval_ko.synthesis.generation import Synthesis, generate_synthetic_qd_pairs

__all__ = ["AnswerError", "BackendError", "QueryFilter", "Synthesis", "TextGenerator", "generate_synthetic_qd_pairs"]
