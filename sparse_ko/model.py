"""`SparseEncoder`: text in, weights over the vocabulary out.

A facade over the forms (`sparse_ko.forms`). Where stock modules of sentence-transformers hold a form, what is saved loads there too,
with equal outputs and without `trust_remote_code`; what others have saved with stock modules loads here.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch
from scipy.sparse import csr_matrix

from retrieval_ko.errors import ModelError
from retrieval_ko.files import new_folder, read_json
from sparse_ko.packaged import packaged_model
from training_ko.libraries import quiet_libraries
from training_ko.weights import Precision, repack

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from sentence_transformers import SparseEncoder as StockEncoder
    from torch import Tensor, nn
    from transformers import PreTrainedModel, PreTrainedTokenizerFast

    from sparse_ko.forms.network import Features, Form, Kind, Network
    from sparse_ko.forms.stock import StockNetwork


class TokenMatch(NamedTuple):
    """A token that query and passage share, and what it adds to the score."""

    token: str
    query_weight: float
    passage_weight: float
    contribution: float


class SparseEncoder:
    """A SPLADE-style encoder: every text becomes weights over the vocabulary, most of them 0.

    Args:
        network: one of the forms, or a live sentence-transformers SparseEncoder; None: the model that comes with the package.

    Raises:
        ModelError: there is no packaged model, or it is damaged.

    Example:
        >>> encoder = SparseEncoder.load(Path("runs/demo/model"))  # doctest: +SKIP
        >>> weights = encoder.encode_document(["전세 보증금을 돌려받는 절차"])  # doctest: +SKIP
        >>> encoder.to_tokens(weights)[0]  # doctest: +SKIP
        {'보증금': 1.93, '임차인': 0.88, …}
    """

    def __init__(self, network: Network | StockEncoder | None = None) -> None:
        if network is None:
            network = SparseEncoder.load(packaged_model()).network
        if not hasattr(network, "embed"):
            from sparse_ko.forms.stock import StockNetwork

            network = StockNetwork(network)
        self.network: Network = network
        tokens = self.tokenizer.convert_ids_to_tokens(list(range(len(self.tokenizer))))
        self._tokens = np.array(tokens, dtype=object)

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

        from sparse_ko.forms.lexical_floor import CARD, FloorNetwork

        try:
            with quiet_libraries():
                if (folder / CARD).is_file():
                    return cls(FloorNetwork.load(folder, device))
                return cls(StockEncoder(str(folder), device=device, local_files_only=True, model_kwargs={"dtype": "float32"}))
        except (OSError, ValueError, KeyError, RuntimeError, SafetensorError) as failure:
            raise ModelError(
                f"The model folder {folder} cannot be loaded: {' '.join(str(failure).split())[:300]}", _HOW_TO_MAKE_A_MODEL
            ) from failure

    def save(self, folder: Path | str, *, precision: Precision = "fp32", max_shard_size: int | None = None) -> None:
        """Write the model, whole or not at all: as a sentence-transformers folder where stock modules hold it.

        Args:
            folder: where; a model that is there is replaced.
            precision: of the matrices on disk; "fp16" halves the files and rounds the weights.
            max_shard_size: bytes that no file of weights may have more of; None: one file.

        Raises:
            RetrievalError: the disk is full or the folder may not be written.
            ModelError: a weight is no number or too large for fp16, or one tensor alone is larger than a file may be.
        """
        from sparse_ko.forms.lexical_floor import CARD

        with new_folder(Path(folder)) as target, quiet_libraries():
            target.mkdir(exist_ok=True)
            self.network.save(target)
            if precision != "fp32" or max_shard_size is not None:
                repack(target, precision, max_shard_size, CARD)

    @property
    def form(self) -> Form:
        """siamese, doc-only or lexical-floor."""
        return self.network.form

    @property
    def module(self) -> nn.Module:
        """The network with every parameter."""
        return self.network.module

    @property
    def stock(self) -> StockEncoder:
        """The sentence-transformers model.

        Raises:
            ModelError: the form is one that stock modules cannot hold.
        """
        return self._stock_network.stock

    @property
    def masked_language_model(self) -> PreTrainedModel:
        """The transformer with its MLM head that reads passages, without the pooling.

        Raises:
            ModelError: the form is one that stock modules cannot hold.
        """
        return self._stock_network.masked_language_model

    @property
    def _stock_network(self) -> StockNetwork:
        from sparse_ko.forms.stock import StockNetwork

        if not isinstance(self.network, StockNetwork):
            raise ModelError(f"An encoder of the form {self.form} has no sentence-transformers model inside.")
        return self.network

    @property
    def tokenizer(self) -> PreTrainedTokenizerFast:
        """The tokenizer; `len(tokenizer)` is the number of dimensions of every vector."""
        return self.network.tokenizer

    @property
    def max_tokens(self) -> int:
        """Where a text is cut, special tokens included."""
        return self.network.max_tokens

    @property
    def query_table(self) -> nn.Parameter | None:
        """The weights of a query's own tokens, shape [vocabulary]; None where a network reads queries."""
        return self.network.query_table

    def constrain(self) -> None:
        """Set weights to 0 that an optimiser's step made negative though no server takes them; call it after every step."""
        self.network.constrain()

    def tokenize(self, texts: Sequence[str], kind: Kind, max_tokens: int | None = None) -> Features:
        """Return what the network reads, on the CPU: `input_ids` and `attention_mask`, int64, shape [texts, tokens].

        Passages of a lexical floor with a static body come as their pieces, each once, with `counts`, of the same shape.

        Args:
            texts: at least one.
            kind: "query" or "document".
            max_tokens: cut earlier than `self.max_tokens`.
        """
        return self.network.tokenize(texts, kind, max_tokens)

    def embed(self, features: Features, kind: Kind, dimensions: Tensor | None = None, *, in_parts: bool = False) -> Tensor:
        """Return weights with gradient, shape [texts, len(tokenizer)], all ≥ 0, special tokens 0, on the network's device.

        Args:
            features: of `tokenize`.
            kind: "query" or "document".
            dimensions: int64 [C]: return these alone, shape [texts, C]. A static body computes no others, which a training step uses.
            in_parts: of the lexical floor's passages: behind the weights what it adds to their own tokens, and how far it moved those;
                shape [texts, 2 C + 1].
        """
        if in_parts or (dimensions is not None and self.network.silent_specials):
            return self.network.embed(features, kind, dimensions, in_parts=in_parts)
        weights = self._all_dimensions(features, kind)
        return weights if dimensions is None else weights[:, dimensions.to(weights.device)]

    def _all_dimensions(self, features: Features, kind: Kind) -> Tensor:
        weights = self.network.embed(features, kind)[:, : len(self._tokens)]
        if self.network.silent_specials:
            return weights
        if self._special is None or self._special.device != weights.device:
            self._special = torch.tensor(sorted(self.tokenizer.all_special_ids), device=weights.device)
        return weights.index_fill(1, self._special, 0.0)

    _special: Tensor | None = None

    def encode_query(self, texts: Sequence[str], batch_size: int = 32, *, on_progress: Callable[[int], None] | None = None) -> csr_matrix:
        """Return the weights of queries, shape [len(texts), vocabulary], all ≥ 0, special tokens 0."""
        return self._encode(texts, "query", batch_size, on_progress)

    def encode_document(
        self, texts: Sequence[str], batch_size: int = 32, *, on_progress: Callable[[int], None] | None = None
    ) -> csr_matrix:
        """Return the weights of passages, shape [len(texts), vocabulary], all ≥ 0, special tokens 0.

        Args:
            texts: any number.
            batch_size: texts that go through the network at once, of like length.
            on_progress: called with the number of texts done.
        """
        return self._encode(texts, "document", batch_size, on_progress)

    def _encode(self, texts: Sequence[str], kind: Kind, batch_size: int, on_progress: Callable[[int], None] | None) -> csr_matrix:
        order = sorted(range(len(texts)), key=lambda place: -len(texts[place]))  # like lengths together: little padding
        indices: list[NDArray[np.int32]] = [np.zeros(0, dtype=np.int32)] * len(texts)
        values: list[NDArray[np.float32]] = [np.zeros(0, dtype=np.float32)] * len(texts)
        training = self.module.training
        self.module.eval()
        try:
            with torch.no_grad():  # not inference_mode: what is made in it cannot be trained on afterwards
                for start in range(0, len(order), batch_size):
                    places = order[start : start + batch_size]
                    weights = self.embed(self.tokenize([texts[place] for place in places], kind), kind).cpu().numpy()
                    for place, row in zip(places, weights, strict=True):
                        found = np.flatnonzero(row > 0)
                        indices[place], values[place] = found.astype(np.int32), row[found].astype(np.float32)
                    if on_progress:
                        on_progress(start + len(places))
        finally:
            self.module.train(training)
        ends = np.concatenate([[0], np.cumsum([len(row) for row in indices])]).astype(np.int64)
        empty = [np.zeros(0, dtype=np.int32)], [np.zeros(0, dtype=np.float32)]
        data, places_ = np.concatenate(values or empty[1]), np.concatenate(indices or empty[0])
        return csr_matrix((data, places_, ends), shape=(len(texts), len(self._tokens)), dtype=np.float32)

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
    if not any((folder / name).is_file() for name in ("modules.json", "sparse_ko.json")):
        nested = folder / "model"
        is_nested = any((nested / name).is_file() for name in ("modules.json", "sparse_ko.json"))
        hint = f"Did you mean {nested}?" if is_nested else _HOW_TO_MAKE_A_MODEL
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
