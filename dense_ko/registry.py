"""Short names of backbones, and what a name that a person wrote stands for."""

from __future__ import annotations

import difflib
import logging
import re
from pathlib import Path

from retrieval_ko.errors import ModelError

ALIASES = {
    "multilingual-e5-small": "intfloat/multilingual-e5-small",
    "multilingual-e5-base": "intfloat/multilingual-e5-base",
    "multilingual-e5-large-instruct": "intfloat/multilingual-e5-large-instruct",
    "koe5-small": "intfloat/multilingual-e5-small",
    "bge-m3": "BAAI/bge-m3",
    "bge-m3-ko": "BAAI/bge-m3",
    "ko-simcse": "BM-K/KoSimCSE-roberta-multitask",
    "multilingual-minilm": "sentence-transformers/paraphrase-multilingual-MiniLM-L12-v2",
    "klue-roberta-base": "klue/roberta-base",
    "klue-roberta-large": "klue/roberta-large",
    "kr-electra": "snunlp/KR-ELECTRA-discriminator",
}
"""Alias → name on the hub. The last two are bases of a cross-encoder."""

DEFAULT_BASE = "multilingual-e5-small"
"""118 million weights, 384 dimensions, trained for retrieval in a hundred languages; bge-m3 is better and five times as large."""

STAND_INS = {
    "bge-m3-ko": "no Korean weights of that name are published with it; it is the multilingual model",
    "koe5-small": "no model of that name is known to be public; it is the multilingual model of that size",
}
"""Aliases whose model is not quite what the name says, and why."""

FIRST_TOKEN = ("bm-k/kosimcse-roberta-multitask",)
"""Models that were trained on the first token's vector and whose folder does not say so."""

COMBINATIONS = {
    "fast": ("ko-simcse", "kr-electra"),
    "precision": ("klue-roberta-base", "klue-roberta-large"),
    "extensible": ("koe5-small", "klue-roberta-large"),
}
"""Pairs of retriever and re-ranker that are compared, in that order."""

_HUB_NAME = re.compile(r"[\w.-]+/[\w.-]+")

logger = logging.getLogger(__name__)


def resolve(name: str) -> str:
    """Return the folder or the name on the hub that `name` stands for, and say it where they differ.

    A folder goes before an alias.

    Raises:
        ModelError: it is no folder, no alias and no owner/name; names the nearest aliases.
    """
    if Path(name).is_dir():
        return name
    alias = name.lower()
    if alias in ALIASES:
        reason = f" ({STAND_INS[alias]})" if alias in STAND_INS else ""
        logger.info("%s stands for %s%s", name, ALIASES[alias], reason)
        return ALIASES[alias]
    if _HUB_NAME.fullmatch(name):
        return name
    near = difflib.get_close_matches(alias, ALIASES, 3, 0.5)
    raise ModelError(
        f"There is no model {name}: no folder, no name on the hub (owner/name), no alias.",
        f"Nearest aliases: {', '.join(near)}." if near else f"Aliases: {', '.join(ALIASES)}.",
    )


def pooling_of(name: str) -> str | None:
    """Return how a model of the hub pools where its folder does not say it: "cls", or None for what the folder says, else the mean."""
    return "cls" if name.lower() in FIRST_TOKEN else None
