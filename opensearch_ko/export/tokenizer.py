"""The tokenizer file of the zip: cut where the model cuts, and every token spelt so that the node can tell it from others."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from tokenizers import Tokenizer

from retrieval_ko.errors import ModelError

if TYPE_CHECKING:
    from sparse_ko.model import SparseEncoder

SERVER_LIMIT_TOKENS = 512
"""ML Commons cuts every text at 512 tokens, or earlier where tokenizer.json says so (contract, 1.1)."""
LARGEST_QUERY_WEIGHT = 64.0
"""Lucene's limit on what a feature's weight may be multiplied with."""


def server_tokenizer(encoder: SparseEncoder, fields: Sequence[str] = ("rank_features",)) -> tuple[str, int]:
    """Return (tokenizer.json for the zip, the length at which it cuts a text).

    Raises:
        ModelError: the audit forbids one of the fields (`sparse-ko vocab audit` says the same): two tokens are spelt alike when decoded
            alone, and rank_features go by spelling; or an id is too large for sparse_vector. Says what else works.
    """
    max_tokens = min(encoder.max_tokens, SERVER_LIMIT_TOKENS)
    text = tokenizer_file(encoder.tokenizer.backend_tokenizer, max_tokens)
    check_fields(text, fields)
    return text, max_tokens


def tokenizer_file(tokenizer: Tokenizer, max_tokens: int, *, special_tokens: bool = True) -> str:
    """Return a tokenizer.json for a zip.

    Padding is dropped, since the node sets its own, and the truncation is written out: without it the node would cut at 512
    tokens, whatever the model was trained for.

    Args:
        tokenizer: is not changed.
        max_tokens: where a text is cut, special tokens included.
        special_tokens: whether [CLS] and [SEP] are put around a text.
    """
    content: dict[str, Any] = json.loads(tokenizer.to_str())
    content["truncation"] = {"direction": "Right", "max_length": max_tokens, "strategy": "LongestFirst", "stride": 0}
    content["padding"] = None
    if not special_tokens:
        content["post_processor"] = None
    return json.dumps(content, ensure_ascii=False)


def check_fields(tokenizer_json: str, fields: Sequence[str]) -> None:
    """Make sure that a model with this tokenizer can fill fields of these types.

    Raises:
        ModelError: it can't; says why, and what can.
    """
    from sparse_ko.vocabulary.audit import audit_of

    audit = audit_of(Tokenizer.from_str(tokenizer_json), "the model's tokenizer")
    for field in fields:
        try:
            audit.check_serves(field)  # type: ignore[arg-type]
        except ModelError as refusal:
            ways = [f"What works with this one: --field {other}." for other in audit.field_types]
            ways.append("Or encode on the client, which knows every token by its own name, and search with query_tokens.")
            raise ModelError(refusal.problem, "\n".join([refusal.remedy, *ways])) from None


def served_fields(tokenizer_json: str) -> list[str]:
    """Return the types of field that a model with this tokenizer can fill."""
    from sparse_ko.vocabulary.audit import audit_of

    return list(audit_of(Tokenizer.from_str(tokenizer_json), "the model's tokenizer").field_types)


def spellings(tokenizer: Tokenizer) -> list[str]:
    """Return what the node calls each id: the id decoded alone, '' for special tokens and for numbers that no token has."""
    largest = max(tokenizer.get_vocab(with_added_tokens=True).values())
    return [tokenizer.decode([token], skip_special_tokens=True) for token in range(largest + 1)]
