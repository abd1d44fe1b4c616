"""Which pieces of a vocabulary carry no meaning of their own: particles, endings, copulas, punctuation.

OpenSearch's tokenizer knows no parts of speech, so Kiwi's judgement is taken over into the vocabulary: a piece that it reads as a particle
nearly wherever the piece stands is one. `scripts/bench_floor.py` shows what it does to BM25 over the pieces.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import numpy as np

from retrieval_ko.terms import pieces
from retrieval_ko.text import CONTENT_TAGS, morphemes, normalize
from sparse_ko.vocabulary.tokenizer import normalizer

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

LEAST_CONTENT = 0.3
"""Share of a piece's characters that Kiwi must read as content for the piece to count as such."""
PRIOR = 0.5
"""What one occurrence is taken for before the first is seen: a piece that no text holds is content."""


def function_pieces(tokenizer: PreTrainedTokenizerFast, texts: Iterable[str]) -> list[int]:
    """Return the ids of the pieces that are hardly ever content, rising.

    Args:
        tokenizer: a WordPiece tokenizer that lower-cases and composes as ours does.
        texts: to judge by; Kiwi reads about 35,000 characters a second.
    """
    clean = normalizer()
    backend = tokenizer.backend_tokenizer
    backend.no_truncation()
    backend.no_padding()
    seen, content = np.zeros(len(tokenizer)), np.zeros(len(tokenizer))
    for text in texts:
        for part in pieces(clean.normalize_str(normalize(text))):
            is_content = np.zeros(len(part) + 1)
            for morpheme in morphemes(part):
                if morpheme.tag.startswith(CONTENT_TAGS):
                    is_content[morpheme.start : morpheme.end] = 1
            sums = np.concatenate([[0], np.cumsum(is_content)])
            encoding = backend.encode(part, add_special_tokens=False)
            for token, (start, end) in zip(encoding.ids, encoding.offsets, strict=True):
                seen[token] += 1
                content[token] += (sums[end] - sums[start]) / max(end - start, 1)
    return np.flatnonzero((content + PRIOR) / (seen + 1) < LEAST_CONTENT).tolist()
