"""LoRA on the transformer of a bi-encoder: attached, loaded, written, merged (Hu et al. 2021, arXiv 2106.09685)."""

from __future__ import annotations

import copy
import logging
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import nn

from dense_ko.model_record import LoraRecord
from dense_ko.stock import ADAPTER, transformer_of
from retrieval_ko.errors import ModelError, UsageError
from retrieval_ko.files import read_json
from training_ko.libraries import quiet_libraries

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

ATTENTION = (
    ("query", "value"),
    ("query_proj", "value_proj"),
    ("q_proj", "v_proj"),
    ("q_lin", "v_lin"),
    ("q", "v"),
    ("Wqkv",),
    ("in_proj",),
)
"""What architectures call the queries and values of their attention; the first pair that a network has is taken."""

logger = logging.getLogger(__name__)


def attach_lora(
    model: SentenceTransformer, r: int = 16, alpha: float = 32, dropout: float = 0.05, target_modules: Sequence[str] | None = None
) -> list[str]:
    """Put adapters beside the linear layers named, freeze everything else, and return their names. Outputs stay what they were.

    Args:
        model: is changed in place.
        r: rank.
        alpha: scale, divided by r.
        dropout: of what goes into the adapters.
        target_modules: last part of the layers' names; None: queries and values of the attention, whatever they are called here.

    Raises:
        UsageError: a name is that of no linear layer; lists those there are.
        ModelError: adapters are attached already.
    """
    from peft import LoraConfig

    body = transformer_of(model)
    if has_adapters(model):
        raise ModelError("The model has adapters already.", "Merge them first: dense_ko.adapters.merge.")
    targets = _targets(body, target_modules)
    config = LoraConfig(r=r, lora_alpha=alpha, lora_dropout=dropout, target_modules=targets, bias="none")
    model.requires_grad_(False)
    body.add_adapter(config)
    logger.info("adapters beside %s: %.2f %% of the weights are trained", ", ".join(targets), 100 * trainable_share(model))
    return targets


def load_adapter(model: SentenceTransformer, folder: Path) -> None:
    """Put the adapters of a PEFT folder beside a base model, in place.

    Raises:
        ModelError: the folder is no LoRA adapter, or belongs to another base model.
        DataError: its adapter_config.json is damaged.
    """
    adapter_base(folder)
    if not any(folder.glob("adapter_model.safetensors")):
        raise ModelError(f"The adapter {folder} has no weights (adapter_model.safetensors).")
    try:
        with quiet_libraries():
            found = transformer_of(model).load_adapter(str(folder))
    except (OSError, ValueError, KeyError, RuntimeError) as failure:
        raise ModelError(
            f"The adapter {folder} does not fit the base model: {' '.join(str(failure).split())[:300]}",
            f"It was trained on {adapter_base(folder)}.",
        ) from failure
    lacking = [name for name in getattr(found, "missing_keys", None) or [] if "lora_" in name]
    if lacking or not has_adapters(model):
        raise ModelError(
            f"The adapter {folder} does not fit the base model: {len(lacking)} of its layers would start at random.",
            f"It was trained on {adapter_base(folder)}.",
        )


def adapter_base(folder: Path) -> str:
    """Return the base model that a PEFT folder names.

    Raises:
        ModelError: it has no adapter_config.json, is of another kind than LoRA, or names no base.
    """
    path = Path(folder) / ADAPTER
    if not path.is_file():
        raise ModelError(f"{folder} is no adapter: it has no {ADAPTER}.", "Name the folder that PEFT wrote.")
    content = read_json(path)
    if not isinstance(content, dict) or content.get("peft_type") != "LORA":
        kind = content.get("peft_type") if isinstance(content, dict) else None
        raise ModelError(f"{path}: adapters of the kind {kind} cannot be read.", "LoRA can.")
    return str(content.get("base_model_name_or_path") or "")


def has_adapters(model: SentenceTransformer) -> bool:
    """Return whether adapters are attached."""
    return bool(getattr(transformer_of(model), "_hf_peft_config_loaded", False))


def lora_record(model: SentenceTransformer, base: str) -> LoraRecord | None:
    """Return what the attached adapters are, None where there are none.

    Args:
        model: with or without adapters.
        base: name of the base model.
    """
    if not has_adapters(model):
        return None
    [config] = transformer_of(model).peft_config.values()
    return LoraRecord(base_model_name_or_path=base, r=config.r, lora_alpha=config.lora_alpha, target_modules=sorted(config.target_modules))


def save_adapter(model: SentenceTransformer, folder: Path, base: str) -> None:
    """Write the attached adapters alone, as PEFT does: adapter_config.json and adapter_model.safetensors."""
    body = transformer_of(model)
    [config] = body.peft_config.values()
    config.base_model_name_or_path = base
    with quiet_libraries():
        body.save_pretrained(str(folder))


def merge(model: SentenceTransformer) -> SentenceTransformer:
    """Return a copy on the CPU with the adapters added into the weights: W + (alpha/r)·B·A. The model itself stays as it is."""
    from peft.tuners.tuners_utils import BaseTunerLayer

    merged = copy.deepcopy(model).cpu()
    body = transformer_of(merged)
    for name, layer in list(body.named_modules()):
        if isinstance(layer, BaseTunerLayer):
            with torch.no_grad():
                layer.merge(safe_merge=True)
            parent, _, last = name.rpartition(".")
            setattr(body.get_submodule(parent), last, layer.get_base_layer())
    body._hf_peft_config_loaded = False
    del body.peft_config
    return merged


def trainable_share(model: nn.Module) -> float:
    """Return which share of the weights is trained."""
    total = sum(parameter.numel() for parameter in model.parameters())
    return sum(parameter.numel() for parameter in model.parameters() if parameter.requires_grad) / max(total, 1)


def _targets(body: nn.Module, asked: Sequence[str] | None) -> list[str]:
    names = Counter(name.rpartition(".")[2] for name, layer in body.named_modules() if isinstance(layer, nn.Linear))
    there = ", ".join(f"{name} ({count})" for name, count in sorted(names.items())) or "none"
    if asked:
        if unknown := [name for name in asked if name not in names]:
            raise UsageError(f"There is no linear layer {', '.join(unknown)} in the model.", f"Its linear layers: {there}.")
        return list(asked)
    found = next((group for group in ATTENTION if all(name in names for name in group)), None)
    if found is None:
        raise UsageError(
            "The queries and values of the model's attention have none of the known names.", f"Name them; its linear layers: {there}."
        )
    return list(found)
