"""The SPARSE_TOKENIZE zip of a doc-only or lexical-floor model: a tokenizer and a table of weights that read its queries.

What a node does, measured on 3.6.0: it looks a query's tokens up by their spelling. A token that the table lacks weighs 1, so every token
must be there. A weight of 0 is sent on, and the query is refused (`weight must be in (0, 64.0], got: 0.0`), as is one above 64.
"""

from __future__ import annotations

import json
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

from opensearch_ko.export.parity import Parity, compare, reference, refusal
from opensearch_ko.export.parity_texts import PARITY_TEXTS
from opensearch_ko.export.tokenizer import LARGEST_QUERY_WEIGHT, SERVER_LIMIT_TOKENS, spellings, tokenizer_file
from retrieval_ko.errors import ModelError
from sparse_ko.model import SparseEncoder

NEGLIGIBLE = 1e-6
"""Stands for 0: a node refuses 0, and this moves no score that anybody looks at."""


def query_tokenizer(encoder: SparseEncoder) -> tuple[str, str]:
    """Return (tokenizer.json, idf.json) of the zip.

    Raises:
        ModelError: a network reads the queries; a weight is larger than a node takes; two tokens are spelt alike, so that one's weight
            would be lost.
    """
    table = query_weights(encoder)
    limit = min(encoder.max_tokens, SERVER_LIMIT_TOKENS)
    # a table of sentence-transformers reads queries without [CLS] and [SEP]; with them a long query would be cut two tokens earlier
    text = tokenizer_file(encoder.tokenizer.backend_tokenizer, limit, special_tokens=encoder.form == "lexical-floor")
    weights: dict[str, float] = {}
    for token, name in enumerate(spellings(Tokenizer.from_str(text))):
        if not name:
            continue
        if name in weights:
            raise ModelError(
                f"Two tokens of this vocabulary are both {name!r} when decoded alone, so the node could not tell their weights apart.",
                "Search with query_tokens, which the client makes.",
            )
        weights[name] = round(max(float(table[token]), NEGLIGIBLE), 6)
    heaviest = max(weights, key=lambda name: weights[name])
    if weights[heaviest] > LARGEST_QUERY_WEIGHT:
        raise ModelError(
            f"The query weight of {heaviest!r} is {weights[heaviest]:.1f}; a node refuses what is above {LARGEST_QUERY_WEIGHT:g}.",
            "Scale the query table down: rankings stay the same when all of its weights are divided by one number.",
        )
    return text, json.dumps(weights, ensure_ascii=False)


def query_weights(encoder: SparseEncoder) -> NDArray[np.float32]:
    """Return the weight of each token in a query, shape [vocabulary], special tokens 0.

    Raises:
        ModelError: a network reads the queries.
    """
    if encoder.query_table is None:
        raise ModelError(
            "The model reads queries with a second network, which ML Commons can't be told of.",
            "Only a table of weights (SparseStaticEmbedding) can stand on the query side of a Router.",
        )
    weights: NDArray[np.float32] = encoder.query_table.detach().cpu().float().numpy()[: len(encoder.tokenizer)].clip(min=0)
    weights[encoder.tokenizer.all_special_ids] = 0
    return weights


def check_query_parity(encoder: SparseEncoder, tokenizer_json: str, idf_json: str) -> Parity:
    """Compare the encoder's queries with what a node makes of the two files.

    Raises:
        ModelError: a weight differs; names the text, the token and both weights.
    """
    answer = query_answers(tokenizer_json, idf_json)
    expected = reference(encoder, PARITY_TEXTS, "query", SERVER_LIMIT_TOKENS)
    return compare(expected, lambda place: answer(PARITY_TEXTS[place]), Tokenizer.from_str(tokenizer_json), PARITY_TEXTS, refusal)


def query_answers(tokenizer_json: str, idf_json: str) -> Callable[[str], NDArray[np.float32]]:
    """Return what a node makes of the two files: text → weights, shape [vocabulary]."""
    tokenizer, table = Tokenizer.from_str(tokenizer_json), json.loads(idf_json)
    names = spellings(tokenizer)

    def answer(text: str) -> NDArray[np.float32]:
        row = np.zeros(len(names), dtype=np.float32)
        for token in tokenizer.encode(text).ids:
            row[token] = table.get(names[token], 1.0) if names[token] else 0.0
        return row

    return answer
