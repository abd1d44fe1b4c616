"""`SparseEncoder`: text in, weights over the vocabulary out.

A facade that holds a sentence-transformers `SparseEncoder` of stock modules. What it saves loads there too, with equal outputs and
without `trust_remote_code`; what others have saved with stock modules loads here.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from scipy.sparse import csr_matrix

from retrieval_ko.errors import ModelError
from retrieval_ko.files import new_folder, read_json

if TYPE_CHECKING:
    import torch
    from sentence_transformers import SparseEncoder as StockEncoder
    from transformers import PreTrainedModel, PreTrainedTokenizerFast


class TokenMatch(NamedTuple):
    """A token that query and passage share, and what it adds to the score."""

    token: str
    query_weight: float
    passage_weight: float
    contribution: float


@contextmanager
def quiet_libraries() -> Iterator[None]:
    """Hide the progress bars and remarks of transformers and datasets: what they count here takes less time than reading them."""
    from datasets.utils import are_progress_bars_disabled, disable_progress_bars, enable_progress_bars
    from transformers.utils import logging as transformers_logging

    shown = transformers_logging.is_progress_bar_enabled(), are_progress_bars_disabled()
    verbosity = transformers_logging.get_verbosity()
    transformers_logging.set_verbosity_error()
    transformers_logging.disable_progress_bar()
    disable_progress_bars()
    try:
        yield
    finally:
        transformers_logging.set_verbosity(verbosity)
        if shown[0]:
            transformers_logging.enable_progress_bar()
        if not shown[1]:
            enable_progress_bars()


class SparseEncoder:
    """A SPLADE-style encoder: every text becomes weights over the vocabulary, most of them 0.

    Args:
        stock: the sentence-transformers model: a masked language model and a SPLADE pooling.

    Example:
        >>> encoder = SparseEncoder.load(Path("runs/demo/model"))  # doctest: +SKIP
        >>> weights = encoder.encode_document(["전세 보증금을 돌려받는 절차"])  # doctest: +SKIP
        >>> encoder.to_tokens(weights)[0]  # doctest: +SKIP
        {'보증금': 1.93, '임차인': 0.88, …}
    """

    def __init__(self, stock: StockEncoder) -> None:
        self.stock = stock
        tokens = self.tokenizer.convert_ids_to_tokens(list(range(len(self.tokenizer))))
        self._tokens = np.array(tokens, dtype=object)
        self._special_ids = np.array(sorted(self.tokenizer.all_special_ids), dtype=np.int64)

    @classmethod
    def load(cls, folder: Path | str, device: str | None = None) -> SparseEncoder:
        """Load a model folder; nothing is downloaded.

        Args:
            folder: written by `save`, or by sentence-transformers with stock modules.
            device: "cpu", "cuda", …; None chooses what is there.

        Raises:
            ModelError: the folder or one of its parts is missing, or its weights are damaged.
            DataError: one of its JSON files is damaged; names file and line.
        """
        folder = Path(folder)
        _check_folder(folder)
        from safetensors import SafetensorError
        from sentence_transformers import SparseEncoder as StockEncoder

        try:
            with quiet_libraries():
                return cls(StockEncoder(str(folder), device=device, local_files_only=True))
        except (OSError, ValueError, KeyError, RuntimeError, SafetensorError) as failure:
            raise ModelError(
                f"The model folder {folder} cannot be loaded: {' '.join(str(failure).split())[:300]}", _HOW_TO_MAKE_A_MODEL
            ) from failure

    def save(self, folder: Path | str) -> None:
        """Write the model as a sentence-transformers folder, whole or not at all.

        Raises:
            RetrievalError: the disk is full or the folder may not be written.
        """
        with new_folder(Path(folder)) as target, quiet_libraries():
            self.stock.save_pretrained(str(target), create_model_card=False, safe_serialization=True)

    @property
    def tokenizer(self) -> PreTrainedTokenizerFast:
        """The tokenizer; `len(tokenizer)` is the number of dimensions of every vector."""
        return self.stock.tokenizer

    @property
    def masked_language_model(self) -> PreTrainedModel:
        """The transformer with its MLM head, without the pooling."""
        return self.stock[0].auto_model

    @property
    def max_tokens(self) -> int:
        """Where a text is cut, special tokens included."""
        return int(self.stock.max_seq_length or 512)

    def encode_query(self, texts: Sequence[str], batch_size: int = 32, *, progress: bool = False) -> csr_matrix:
        """Return the weights of queries, shape [len(texts), vocabulary], all ≥ 0, special tokens 0."""
        return self._encode(self.stock.encode_query, texts, batch_size, progress)

    def encode_document(self, texts: Sequence[str], batch_size: int = 32, *, progress: bool = False) -> csr_matrix:
        """Return the weights of passages, shape [len(texts), vocabulary], all ≥ 0, special tokens 0."""
        return self._encode(self.stock.encode_document, texts, batch_size, progress)

    def _encode(self, encode: Any, texts: Sequence[str], batch_size: int, progress: bool) -> csr_matrix:  # noqa: ANN401
        if not texts:
            return csr_matrix(np.zeros((0, len(self._tokens)), dtype=np.float32))
        rows: list[torch.Tensor] = encode(
            list(texts), batch_size=batch_size, convert_to_tensor=False, save_to_cpu=True, show_progress_bar=progress
        )
        indices, values, ends = [], [], [0]
        for row in rows:
            row = row.coalesce()
            ids, weights = row.indices()[0].numpy(), row.values().float().numpy()
            kept = (weights > 0) & ~np.isin(ids, self._special_ids)
            indices.append(ids[kept])
            values.append(weights[kept])
            ends.append(ends[-1] + int(kept.sum()))
        return csr_matrix((np.concatenate(values), np.concatenate(indices), ends), shape=(len(rows), len(self._tokens)), dtype=np.float32)

    def to_tokens(self, weights: csr_matrix, top: int | None = None) -> list[dict[str, float]]:
        """Return each row as {token: weight}, heaviest first.

        Args:
            weights: shape [texts, vocabulary].
            top: keep only so many tokens of each row.
        """
        rows = []
        for number in range(weights.shape[0]):
            row = weights.getrow(number)
            order = np.lexsort((row.indices, -row.data))[:top]
            rows.append({str(self._tokens[row.indices[i]]): float(row.data[i]) for i in order})
        return rows

    def explain(self, query: str, passage: str) -> list[TokenMatch]:
        """Return the tokens that `query` and `passage` share, the largest contribution first; they sum to the score."""
        [asked] = self.to_tokens(self.encode_query([query]))
        [offered] = self.to_tokens(self.encode_document([passage]))
        shared = [TokenMatch(token, asked[token], offered[token], asked[token] * offered[token]) for token in asked if token in offered]
        return sorted(shared, key=lambda match: (-match.contribution, match.token))


_HOW_TO_MAKE_A_MODEL = "A model folder is made by: sparse-ko train CONFIG --out DIR (then use DIR/model)"


def _check_folder(folder: Path) -> None:
    if not folder.is_dir():
        raise ModelError(f"There is no model folder {folder}.", _HOW_TO_MAKE_A_MODEL)
    if not (folder / "modules.json").is_file():
        nested = folder / "model"
        hint = f"Did you mean {nested}?" if (nested / "modules.json").is_file() else _HOW_TO_MAKE_A_MODEL
        raise ModelError(f"{folder} is no model folder: it has no modules.json.", hint)
    if not any(folder.rglob("tokenizer.json")):
        raise ModelError(
            f"The model folder {folder} has no tokenizer.json, so no text can be cut into tokens.",
            "Copy it from where the model came from; a model without its own tokenizer is of no use.",
        )
    for settings in sorted(folder.rglob("*.json")):
        read_json(settings)  # a damaged one is named here; the libraries that read them later don't say which it was
    if not any(folder.rglob("*.safetensors")):
        raise ModelError(f"The model folder {folder} has no weights (*.safetensors).", _HOW_TO_MAKE_A_MODEL)
