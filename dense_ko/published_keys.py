"""The keys of LexDPR's published configs, read as ours or refused with what to write instead."""

from __future__ import annotations

import copy
from typing import Any

MAPPED = {
    "model.bi_model": "model.base",
    "model.bi_encoder": "model.base",
    "model.name": "model.base",
    "model.max_len": "model.max_passage_tokens",
    "model.query_max_seq_length": "model.max_query_tokens",
    "model.passage_max_seq_length": "model.max_passage_tokens",
    "model.normalize_embeddings": "model.normalize",
    "trainer.epochs": "training.epochs",
    "trainer.lr": "training.learning_rate",
    "trainer.learning_rate": "training.learning_rate",
    "trainer.batch_size": "training.batch_size",
    "trainer.temperature": "ranking.temperature",
    "trainer.eval_steps": "training.eval_steps",
    "trainer.save_steps": "training.save_steps",
    "trainer.warmup_ratio": "training.warmup_ratio",
    "trainer.weight_decay": "training.weight_decay",
    "trainer.gradient_clip_norm": "training.max_grad_norm",
    "trainer.max_grad_norm": "training.max_grad_norm",
    "trainer.seed": "training.seed",
    "trainer.lora_r": "model.lora.r",
    "trainer.lora_alpha": "model.lora.alpha",
    "trainer.lora_dropout": "model.lora.dropout",
    "trainer.lora_target_modules": "model.lora.targets",
    "model.lora.target_modules": "model.lora.targets",
    "data.batches.bi": "training.batch_size",
    "seed": "training.seed",
}
"""Published key → ours."""

INSTEAD = {
    "data.passages": "collection: DIR, a BEIR folder (`lex-dpr make-pairs`, docs/data); passages and pairs stand in it",
    "data.pairs": "collection: DIR and data: [{pairs: train}]; `sparse-ko data mine` writes pair files with negatives",
    "trainer.eval_pairs": "dev_split, a split of the collection",
    "trainer.k": "dev is measured by nDCG@10; `lex-dpr evaluate` reports other depths",
    "trainer.k_values": "dev is measured by nDCG@10; `lex-dpr evaluate` reports other depths",
    "trainer.gradient_accumulation_steps": "training.batch_size for the whole batch and training.chunk_size for what is computed at once: "
    "accumulated gradients are not those of a larger batch, since its passages are each other's negatives",
    "trainer.use_hard_negatives": "training.hard_negatives, how many a pair",
    "trainer.hard_negative_ratio": "training.hard_negatives and training.random_negatives, how many a pair",
    "out_dir": "--out DIR on the command line",
}
"""Published key → what to write instead, where the meaning is not the same."""


def translated(values: dict[str, Any]) -> dict[str, Any]:
    """Return a config with published keys replaced by ours; it is not checked otherwise.

    Args:
        values: what a person wrote, nested.

    Raises:
        ValueError: a published key has no counterpart, or a value is given twice; says what to write.
    """
    values = copy.deepcopy(values)
    if isinstance(values.get("data"), list):  # our own form: nothing of the published one is below it
        published = {path for path in _paths(values) if not path.startswith("data")}
    else:
        published = set(_paths(values))
    for path, instead in INSTEAD.items():
        if path in published:
            raise ValueError(f"{path}: a key of the published LexDPR; here it is {instead}")
    if "model.use_bge_template" in published:
        uses = _take(values, "model.use_bge_template")
        _put(values, "model.template", ("bge" if uses else "none"), "model.use_bge_template")
    used = [path for path in MAPPED if path in published]
    for path in used:
        _put(values, MAPPED[path], _take(values, path), path)
    if used and "name" not in values:
        values["name"] = "bi-encoder"
    return values


def _paths(values: dict[str, Any], prefix: str = "") -> list[str]:
    found = []
    for key, value in values.items():
        found.append(f"{prefix}{key}")
        if isinstance(value, dict):
            found += _paths(value, f"{prefix}{key}.")
    return found


def _take(values: dict[str, Any], path: str) -> Any:  # noqa: ANN401  what a person wrote
    """Return a value and remove its key, and the groups that are empty then."""
    key, _, rest = path.partition(".")
    if not rest:
        return values.pop(key)
    value = _take(values[key], rest)
    if not values[key]:
        del values[key]
    return value


def _put(values: dict[str, Any], path: str, value: Any, published: str) -> None:  # noqa: ANN401  what a person wrote
    *parents, last = path.split(".")
    for parent in parents:
        if values.get(parent) is None:
            values[parent] = {}
        values = values[parent]
        if not isinstance(values, dict):
            raise ValueError(f"{published}: here it is {path}, but {parent} holds a value, not keys")
    if last in values:
        raise ValueError(f"{published}: the same as {path}, which is given too; leave one of them out")
    values[last] = value
