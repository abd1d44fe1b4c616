"""The tokenizer file of the zip: cut where the model cuts, and every token spelt so that the node can tell it from others."""

from __future__ import annotations

import json

from tokenizers import Tokenizer

from sparse_ko.model import SparseEncoder
from sparse_ko.vocabulary.audit import audit_of

SERVER_LIMIT_TOKENS = 512
"""ML Commons cuts every text at 512 tokens, or earlier where tokenizer.json says so (contract, 1.1)."""


def server_tokenizer(encoder: SparseEncoder) -> tuple[str, int]:
    """Return (tokenizer.json for the zip, the length at which it cuts a text).

    Padding is dropped, since the node sets its own, and the truncation is written out: without it the node would cut at 512
    tokens, whatever the model was trained for.

    Raises:
        ModelError: the audit forbids it (`sparse-ko vocab audit` says the same): two tokens are spelt alike when decoded alone. The
            node sends weights by spelling and indexes are filled by it (rank_features), so one would be lost.
    """
    max_tokens = min(encoder.max_tokens, SERVER_LIMIT_TOKENS)
    content = json.loads(encoder.tokenizer.backend_tokenizer.to_str())
    content["truncation"] = {"direction": "Right", "max_length": max_tokens, "strategy": "LongestFirst", "stride": 0}
    content["padding"] = None
    text = json.dumps(content, ensure_ascii=False)
    audit_of(Tokenizer.from_str(text), "the model's tokenizer").check_serves("rank_features")
    return text, max_tokens


def spellings(tokenizer: Tokenizer) -> list[str]:
    """Return what the node calls each id: the id decoded alone, special tokens left out as ''."""
    return [tokenizer.decode([token], skip_special_tokens=True) for token in range(tokenizer.get_vocab_size())]
