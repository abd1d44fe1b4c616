"""A bi-encoder to be trained, out of settings and a collection: from a pre-trained one, from a pre-trained body, or from scratch."""

from __future__ import annotations

import logging
from pathlib import Path

from dense_ko.adapters import attach_lora, has_adapters, merge
from dense_ko.encoder import BiEncoder
from dense_ko.loading import load_parts, position_limit
from dense_ko.model_record import ModelRecord
from dense_ko.registry import resolve
from dense_ko.scratch import new_body, pretrained_body, scratch_tokenizer
from dense_ko.settings import DenseModelSettings, DenseTrainSettings
from dense_ko.stock import bi_encoder_around
from dense_ko.templates import Prefixes, TemplateMode, prefixes_of
from retrieval_ko.collection import Collection
from retrieval_ko.errors import UsageError

logger = logging.getLogger(__name__)


def build_bi_encoder(settings: DenseTrainSettings, collection: Collection, workers: int = 1) -> BiEncoder:
    """Return the encoder that a run begins with, on the CPU; the same settings give the same weights.

    Args:
        settings: what to build.
        collection: whose passages tell how rare a token is, where it is built from scratch.
        workers: not needed here: the tokenizers library shares its work among threads by itself.

    Raises:
        ModelError: the base model, the vocabulary or the pre-trained body cannot be used.
        UsageError: lengths are more than the model reads, or adapters are to go beside layers that it has not.
    """
    asked = settings.model
    encoder = _from_pretrained(asked) if asked.base else _from_scratch(settings, collection)
    if asked.lora:
        lora = asked.lora
        attach_lora(encoder.model, lora.r, lora.alpha, lora.dropout, lora.targets)
    return encoder


def _from_pretrained(asked: DenseModelSettings) -> BiEncoder:
    assert asked.base is not None
    model, kept = load_parts(asked.base, device="cpu", pooling=asked.pooling)
    if has_adapters(model):  # of an earlier run: they are part of what this one starts from
        model = merge(model)
    limit, longest = position_limit(model), max(asked.max_query_tokens, asked.max_passage_tokens)
    if limit and longest > limit:
        raise UsageError(
            f"model.base: {asked.base} reads {limit} tokens at most, not {longest}.",
            f"--set model.max_passage_tokens={limit}, and model.max_query_tokens no more than that.",
        )
    prefixes = prefixes_of(asked.template) if asked.template else Prefixes(kept.query_prefix, kept.passage_prefix)
    record = ModelRecord(
        template=asked.template or kept.template,
        query_prefix=prefixes.query,
        passage_prefix=prefixes.passage,
        normalize=asked.normalize,
        query_max_seq_length=asked.max_query_tokens,
        passage_max_seq_length=asked.max_passage_tokens,
        base_model=resolve(asked.base),
    )
    return BiEncoder.around(model, record)


def _from_scratch(settings: DenseTrainSettings, collection: Collection) -> BiEncoder:
    asked = settings.model
    longest = max(asked.max_query_tokens, asked.max_passage_tokens)
    if asked.pretrained:
        body, tokenizer = pretrained_body(asked.pretrained, longest)
    else:
        assert asked.vocabulary is not None  # else the settings are refused
        tokenizer = scratch_tokenizer(Path(asked.vocabulary), longest)
        passages = [passage.passage_text for passage in collection.passages.values()]
        body = new_body(asked, tokenizer, passages, settings.training.seed)
    template = asked.template or TemplateMode.NONE
    query, passage = prefixes_of(template)
    record = ModelRecord(
        template=template,
        query_prefix=query,
        passage_prefix=passage,
        normalize=asked.normalize,
        query_max_seq_length=asked.max_query_tokens,
        passage_max_seq_length=asked.max_passage_tokens,
        base_model=str(asked.pretrained) if asked.pretrained else None,
    )
    return BiEncoder.around(bi_encoder_around(body, tokenizer, longest, asked.pooling or "mean"), record)
