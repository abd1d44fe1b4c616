"""Settings → an untrained teacher: a pre-trained base with or without adapters, or a small transformer over a tokenizer's folder."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import torch

from dense_ko.teacher.lora import attach_adapters
from dense_ko.teacher.model import CrossEncoderTeacher, load_classifier, most_tokens
from dense_ko.teacher.settings import TeacherModelSettings
from retrieval_ko.errors import ModelError
from training_ko.libraries import quiet_libraries

logger = logging.getLogger(__name__)


def build_teacher(settings: TeacherModelSettings, seed: int) -> CrossEncoderTeacher:
    """Return the teacher that a run begins with; what starts at random depends on the seed alone.

    Raises:
        ModelError: the base or the tokenizer cannot be used, or max_tokens is more than the base can read.
    """
    torch.manual_seed(seed)
    if settings.base is None:
        assert settings.vocabulary is not None  # TeacherModelSettings asks for one of the two
        network, tokenizer = _from_scratch(settings, settings.vocabulary)
        return CrossEncoderTeacher(network, tokenizer, settings.max_tokens, mark_matches=settings.mark_matches)
    network, tokenizer, fresh = load_classifier(settings.base)
    if not tokenizer.is_fast:
        raise ModelError(f"The base {settings.base} has no fast tokenizer (tokenizer.json).")
    limit = most_tokens(network, tokenizer)
    if settings.max_tokens > limit:
        raise ModelError(f"{settings.base} reads {limit} tokens, not {settings.max_tokens}.", f"--set model.max_tokens={limit}")
    if fresh:
        logger.info("%s is no re-ranker yet: its head starts at random (%s).", settings.base, ", ".join(fresh[:3]))
    network.config.pad_token_id = tokenizer.pad_token_id
    module: Any = attach_adapters(network, settings.lora, fresh) if settings.lora else network
    return CrossEncoderTeacher(module, tokenizer, settings.max_tokens)


def check_vocabulary(vocabulary: Path | None) -> None:
    """Make sure that a tokenizer's folder is one, before a run begins.

    Raises:
        ModelError: it has no tokenizer.json.
    """
    if vocabulary is not None and not (vocabulary / "tokenizer.json").is_file():
        raise ModelError(f"There is no tokenizer.json in {vocabulary}.", "A tokenizer is made by: sparse-ko vocab train --out DIR")


def _from_scratch(settings: TeacherModelSettings, vocabulary: Path) -> tuple[Any, Any]:
    from transformers import AutoTokenizer, BertConfig, BertForSequenceClassification

    check_vocabulary(vocabulary)
    with quiet_libraries():
        tokenizer = AutoTokenizer.from_pretrained(str(vocabulary), local_files_only=True)
    missing = [name for name in ("pad_token", "cls_token", "sep_token") if getattr(tokenizer, name) is None]
    if missing:
        raise ModelError(f"The tokenizer in {vocabulary} has no {', '.join(missing)}.", "Take one of: sparse-ko vocab train --out DIR")
    _tell_sides_apart(tokenizer)
    tokenizer.model_max_length = settings.max_tokens
    config = BertConfig(
        vocab_size=len(tokenizer),
        hidden_size=settings.dimensions,
        num_hidden_layers=settings.layers,
        num_attention_heads=settings.heads,
        intermediate_size=4 * settings.dimensions,
        max_position_embeddings=settings.max_tokens,
        type_vocab_size=4 if settings.mark_matches else 2,
        pad_token_id=tokenizer.pad_token_id,
        num_labels=1,
    )
    return BertForSequenceClassification(config), tokenizer


def _tell_sides_apart(tokenizer: Any) -> None:  # noqa: ANN401  transformers has no types
    """Let the tokenizer mark which token is the passage's: [CLS] query [SEP] of type 0, passage [SEP] of type 1."""
    from tokenizers import processors

    cls, sep = tokenizer.cls_token, tokenizer.sep_token
    tokenizer.backend_tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{cls}:0 $A:0 {sep}:0",
        pair=f"{cls}:0 $A:0 {sep}:0 $B:1 {sep}:1",
        special_tokens=[(cls, tokenizer.cls_token_id), (sep, tokenizer.sep_token_id)],
    )
    names = ["input_ids", "token_type_ids", "attention_mask"]
    tokenizer.model_input_names = tokenizer.init_kwargs["model_input_names"] = names  # the second is what is saved
