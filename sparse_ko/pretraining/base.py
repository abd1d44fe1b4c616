"""The model that pre-training starts from: a pre-trained one, or a new one."""

from __future__ import annotations

import logging
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch

from retrieval_ko.errors import ModelError
from sparse_ko.forms.pretrained import load_masked_language_model
from sparse_ko.pretraining.settings import PretrainSettings
from sparse_ko.pretraining.trainer import unigram_log_likelihood
from sparse_ko.vocabulary import build_tokenizer, learn_vocabulary, load_tokenizer
from sparse_ko.vocabulary.embeddings import load_embeddings
from sparse_ko.vocabulary.sources import TextFile, read_texts

if TYPE_CHECKING:
    from torch import Tensor
    from transformers import PreTrainedModel, PreTrainedTokenizerFast

logger = logging.getLogger(__name__)

WEIGHT_SPREAD = 0.02
"""Standard deviation of a new model's weights (BERT)."""


def starting_model(settings: PretrainSettings, files: Sequence[TextFile]) -> tuple[PreTrainedModel, PreTrainedTokenizerFast]:
    """Return the model and the tokenizer that a run starts with; a new model's weights depend on the seed alone.

    Args:
        settings: of the run.
        files: what the vocabulary is learnt from where none is named.

    Raises:
        ModelError: the base, the vocabulary or the vectors cannot be used.
    """
    if settings.model.base:
        model, tokenizer = load_masked_language_model(settings.model.base)
        limit = getattr(model.config, "max_position_embeddings", settings.model.max_tokens)
        if settings.model.max_tokens > limit:
            raise ModelError(
                f"{settings.model.base} reads {limit} tokens, not {settings.model.max_tokens}.", f"--set model.max_tokens={limit}"
            )
        tokenizer.model_max_length = settings.model.max_tokens
        return model, tokenizer
    if settings.vocabulary.source:
        tokenizer = load_tokenizer(settings.vocabulary.source, settings.model.max_tokens)
    else:
        logger.info("learning a vocabulary of %d pieces", settings.vocabulary.size)
        tokenizer = build_tokenizer(
            learn_vocabulary(read_texts(files, settings.share), settings.vocabulary.size), settings.model.max_tokens
        )
    return _new_model(settings, tokenizer), tokenizer


def start_at_frequencies(model: PreTrainedModel, counts: Tensor) -> None:
    """Let a new model begin by guessing every token by its frequency, which it would else spend its first steps on.

    Args:
        model: with a bias in its head.
        counts: of each id in the training rows, shape [vocabulary].
    """
    with torch.no_grad():
        model.get_output_embeddings().bias.copy_(unigram_log_likelihood(counts))


def _new_model(settings: PretrainSettings, tokenizer: PreTrainedTokenizerFast) -> PreTrainedModel:
    from transformers import BertConfig, BertForMaskedLM

    shape = settings.model
    torch.manual_seed(settings.training.seed)
    model = BertForMaskedLM(
        BertConfig(
            vocab_size=len(tokenizer),
            hidden_size=shape.dimensions,
            num_hidden_layers=shape.layers,
            num_attention_heads=shape.heads,
            intermediate_size=4 * shape.dimensions,
            max_position_embeddings=shape.max_tokens,
            pad_token_id=tokenizer.pad_token_id,
            initializer_range=WEIGHT_SPREAD,
        )
    )
    if shape.embeddings:
        vectors = load_embeddings(shape.embeddings, tokenizer.convert_ids_to_tokens(list(range(len(tokenizer)))))
        if vectors.shape[1] != shape.dimensions:
            raise ModelError(
                f"{shape.embeddings} holds vectors of {vectors.shape[1]} dimensions, the model has {shape.dimensions}.",
                f"--set model.dimensions={vectors.shape[1]}, or write it anew with `sparse-ko vocab embed --dimensions {shape.dimensions}`",
            )
        known = vectors.norm(dim=1) > 0
        with torch.no_grad():  # of the length that random rows have
            model.get_input_embeddings().weight[known] = vectors[known] * WEIGHT_SPREAD * math.sqrt(shape.dimensions)
    return model
