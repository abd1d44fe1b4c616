"""A pre-trained masked language model by folder or name, refused where its head would have to start at random."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from retrieval_ko.errors import ModelError
from sparse_ko.scratch import SILENT_BIAS
from training_ko.libraries import quiet_libraries

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerFast


def load_masked_language_model(base: str) -> tuple[PreTrainedModel, PreTrainedTokenizerFast]:
    """Return a masked language model, on the CPU in fp32, and its tokenizer.

    Args:
        base: a folder, or a name on the hub, which is downloaded or found in its cache.

    Raises:
        ModelError: it is not there; it has no fast tokenizer; or its weights hold no MLM head, so that the head would start at random:
            such an encoder begins with half of the vocabulary active and no notion that a word means itself.
    """
    from safetensors import SafetensorError
    from transformers import AutoModelForMaskedLM, AutoTokenizer

    folder = Path(base).is_dir()
    try:
        with quiet_libraries():
            model, info = AutoModelForMaskedLM.from_pretrained(
                base, local_files_only=folder, use_safetensors=True, output_loading_info=True, dtype=torch.float32
            )
            tokenizer = AutoTokenizer.from_pretrained(base, local_files_only=folder)
    except (OSError, ValueError, KeyError, RuntimeError, ImportError, SafetensorError) as failure:
        where = "cannot be loaded" if folder else "is no folder here, and cannot be loaded from the hub"
        raise ModelError(
            f"The base model {base} {where}: {' '.join(str(failure).split())[:300]}",
            "Without a network, copy its folder (config.json, model.safetensors, tokenizer.json) here and name that folder as model.base.",
        ) from failure
    if not tokenizer.is_fast:
        raise ModelError(f"The base model {base} has no fast tokenizer (tokenizer.json), which OpenSearch needs.")
    if fresh := _fresh_head(model, info):
        raise ModelError(
            f"The weights of {base} have no MLM head ({', '.join(fresh[:3])} would start at random): it would expand texts by noise.",
            "Take a checkpoint that was saved with its MLM head, or train a model that has one: sparse-ko pretrain CONFIG.",
        )
    if model.config.vocab_size < len(tokenizer):
        raise ModelError(
            f"The tokenizer of {base} has {len(tokenizer):,} tokens, its model {model.config.vocab_size:,} dimensions: they don't fit."
        )
    return model, tokenizer


def _fresh_head(model: PreTrainedModel, info: dict[str, Any]) -> list[str]:
    """Return the parameters outside the body that the checkpoint lacks."""
    body = f"{model.base_model_prefix}."
    tied = set(getattr(model, "all_tied_weights_keys", None) or ())
    return sorted(name for name in info["missing_keys"] if not name.startswith(body) and name not in tied)


def silence(model: PreTrainedModel, ids: list[int]) -> None:
    """Give these dimensions a bias that no logit overcomes, so that they weigh 0 in every library that loads the folder.

    A head without a bias is left as it is: `SparseEncoder` and the export zero special tokens themselves.
    """
    bias = getattr(model.get_output_embeddings(), "bias", None)
    if bias is not None and ids:
        with torch.no_grad():
            bias[torch.tensor(sorted(set(ids)))] = SILENT_BIAS
