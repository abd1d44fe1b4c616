"""A doc-only encoder's queries, read on any machine: a tokenizer and a table of weights, no neural network, no torch."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path

from tokenizers import Tokenizer

from retrieval_ko.errors import ModelError

SERVER_LIMIT_TOKENS = 512
"""ML Commons cuts every text there, or earlier where tokenizer.json says so (contract, 1.1)."""
WEIGHT_WITHOUT_ENTRY = 1.0
"""What ML Commons gives a token that idf.json leaves out (contract, 1.2)."""
NEGLIGIBLE = 1e-6
"""A node refuses a weight of 0, so `sparse-ko export` writes this instead. Here such a token is left out: it would only cost time."""
_HOW = "It is written beside a doc-only encoder: sparse-ko export --model DIR --format torchscript --out DIR"


class QueryTable:
    """Reads queries as ML Commons reads them with the same zip: each different token once, with its weight of the table.

    Args:
        tokenizer: of the encoder; its padding is ignored.
        weights: by token as the node spells it, i.e. its id decoded alone.
    """

    def __init__(self, tokenizer: Tokenizer, weights: dict[str, float]) -> None:
        tokenizer.no_padding()
        truncation = tokenizer.truncation
        tokenizer.enable_truncation(min(SERVER_LIMIT_TOKENS, truncation["max_length"] if truncation else SERVER_LIMIT_TOKENS))
        self._tokenizer = tokenizer
        self._spellings = [tokenizer.decode([token], skip_special_tokens=True) for token in range(tokenizer.get_vocab_size())]
        known = [weights.get(spelling, WEIGHT_WITHOUT_ENTRY) if spelling else 0.0 for spelling in self._spellings]
        self._weights = [weight if weight > NEGLIGIBLE else 0.0 for weight in known]

    @classmethod
    def read(cls, path: Path) -> QueryTable:
        """Open a query zip (SPARSE_TOKENIZE) that `sparse-ko export` wrote, or anyone else's.

        Raises:
            ModelError: no zip, or it lacks tokenizer.json or idf.json.
        """
        try:
            with zipfile.ZipFile(path) as archive:
                missing = {"tokenizer.json", "idf.json"} - set(archive.namelist())
                if missing:
                    raise ModelError(f"{path} is no query zip: it has no {' and no '.join(sorted(missing))}.", _HOW)
                tokenizer, table = archive.read("tokenizer.json").decode(), json.loads(archive.read("idf.json"))
            weights = {str(token): float(weight) for token, weight in dict(table).items()}
        except FileNotFoundError as failure:
            raise ModelError(f"There is no file {path}.", _HOW) from failure
        except (zipfile.BadZipFile, OSError, ValueError, TypeError) as failure:
            raise ModelError(f"{path} is not a readable query zip: {failure}.", _HOW) from failure
        try:
            return cls(Tokenizer.from_str(tokenizer), weights)
        except Exception as failure:  # the library raises nothing more special
            raise ModelError(f"{path} is not a readable query zip: its tokenizer.json: {failure}.", _HOW) from failure

    def ids(self, text: str) -> dict[int, float]:
        """Return the query's weights by token id, each > 0."""
        return {token: self._weights[token] for token in self._tokenizer.encode(text).ids if self._weights[token] > 0}

    def weights(self, text: str) -> dict[str, float]:
        """Return the query's weights by token as the node spells it, each > 0; where two ids are spelt alike the later one stays."""
        return {self._spellings[token]: weight for token, weight in self.ids(text).items()}

    def spelling(self, token_id: int) -> str:
        """Return what the node calls a token; the id itself where it has no name."""
        known = 0 <= token_id < len(self._spellings)
        return (self._spellings[token_id] if known else "") or str(token_id)
