"""Forms that sentence-transformers' own modules hold: one network for both sides (siamese), or a table of weights for queries (doc-only).

siamese     Transformer (masked language model) → SpladePooling
doc-only    Router: query → SparseStaticEmbedding; document → Transformer → SpladePooling

A folder of theirs loads here and one of ours loads there, with equal outputs and without `trust_remote_code`.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from sentence_transformers import SparseEncoder as StockEncoder
from sentence_transformers.base.modules import Router, Transformer
from sentence_transformers.sparse_encoder.modules import SparseStaticEmbedding, SpladePooling
from torch import Tensor, nn

from retrieval_ko.errors import ModelError
from sparse_ko.forms.network import Features, Form, Kind
from training_ko.libraries import quiet_libraries
from training_ko.tokenizing import tokenize

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerFast

MASKED_OUT = -1e9


class MaximumFirst(SpladePooling):  # type: ignore[misc]  # the library has no types
    """SPLADE pooling with the maximum before the logarithm.

    The logarithm is monotone, so the weights are the stock module's; a text of n tokens needs n times fewer logarithms, and the
    backward pass keeps places instead of n × vocabulary numbers.
    """

    def forward(self, features: dict[str, Tensor]) -> dict[str, Tensor]:
        """Set `sentence_embedding`, shape [texts, vocabulary]."""
        if self.pooling_strategy != "max" or "cu_seq_lens_q" in features:
            return super().forward(features)  # type: ignore[no-any-return]
        mask = features["attention_mask"].unsqueeze(-1).bool()
        weights = features["token_embeddings"].masked_fill(~mask, MASKED_OUT).max(dim=1).values.float().relu().log1p()
        if self.activation_function == "log1p_relu":
            weights = weights.log1p()
        features["sentence_embedding"] = weights
        return features


class StockNetwork:
    """A live sentence-transformers SparseEncoder.

    Args:
        stock: with any stock modules.

    Raises:
        ModelError: the model and its tokenizer do not belong together.
    """

    silent_specials = False

    def __init__(self, stock: StockEncoder) -> None:
        self.stock = stock
        self.module: nn.Module = stock
        self.tokenizer: PreTrainedTokenizerFast = stock.tokenizer
        router = stock[0] if isinstance(stock[0], Router) else None
        self.form: Form = "doc-only" if router else "siamese"
        self._query_modules = list(router.sub_modules["query"]) if router and "query" in router.sub_modules else list(stock)
        self._document_modules = list(router.sub_modules["document"]) if router and "document" in router.sub_modules else list(stock)
        self.max_tokens = int(getattr(self._document_modules[0], "max_seq_length", None) or stock.max_seq_length or 512)
        dimensions = _dimensions(self._document_modules)
        if dimensions is not None and dimensions < len(self.tokenizer):
            raise ModelError(
                f"The tokenizer has {len(self.tokenizer):,} tokens, the model only {dimensions:,} dimensions: they do not belong together."
            )
        self._swap(SpladePooling, MaximumFirst)
        table = self.query_table
        if table is not None and table.requires_grad:
            # a token that weighs nothing in a query stays silent, as behind the lexical floor's ReLU
            table.register_hook(lambda gradient: gradient * (table.detach() != 0))  # type: ignore[no-untyped-call]

    @property
    def query_table(self) -> nn.Parameter | None:
        """See `Network`."""
        first = self._query_modules[0]
        return first.weight if isinstance(first, SparseStaticEmbedding) else None

    @property
    def masked_language_model(self) -> PreTrainedModel:
        """The transformer with its MLM head that reads passages."""
        return self._document_modules[0].auto_model

    @property
    def document_modules(self) -> list[nn.Module]:
        """What a passage goes through."""
        return list(self._document_modules)

    def constrain(self) -> None:
        """See `Network`."""
        table = self.query_table
        if table is not None:
            with torch.no_grad():
                table.clamp_(min=0)

    def tokenize(self, texts: Sequence[str], kind: Kind, max_tokens: int | None = None) -> Features:
        """See `Network`."""
        modules = self._query_modules if kind == "query" else self._document_modules
        known = isinstance(modules[0], Transformer | SparseStaticEmbedding) and not self.stock.prompts.get(kind)
        if not known:
            features = self.stock.preprocess(list(texts), task=kind)
            return {name: value for name, value in features.items() if isinstance(value, Tensor)}
        limit = min(max_tokens or self.max_tokens, self.max_tokens)
        return tokenize(self.tokenizer, texts, limit, special_tokens=not isinstance(modules[0], SparseStaticEmbedding))

    def embed(self, features: Features, kind: Kind, dimensions: Tensor | None = None, *, in_parts: bool = False) -> Tensor:
        """See `Network`."""
        device = next(self.stock.parameters()).device
        moved: dict[str, Any] = {name: value.to(device) for name, value in features.items()}
        weights: Tensor = self.stock(moved, task=kind)["sentence_embedding"]
        weights = weights.to_dense().float()
        return weights if dimensions is None else weights[:, dimensions.to(device)]

    def save(self, folder: Path) -> None:
        """See `Network`. What is written names stock modules only."""
        with self._as_stock():
            self.stock.save_pretrained(str(folder), create_model_card=False, safe_serialization=True)

    @contextmanager
    def _as_stock(self) -> Iterator[None]:
        self._swap(MaximumFirst, SpladePooling)
        try:
            yield
        finally:
            self._swap(SpladePooling, MaximumFirst)

    def _swap(self, found: type[nn.Module], instead: type[nn.Module]) -> None:
        for module in self.stock.modules():
            if type(module) is found:
                module.__class__ = instead


def _dimensions(document_modules: Sequence[nn.Module]) -> int | None:
    model = getattr(document_modules[0], "auto_model", None)
    return int(model.config.vocab_size) if model is not None else None


def stock_network(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerFast,
    max_tokens: int,
    *,
    activation: str = "log1p",
    query_table: Tensor | None = None,
) -> StockNetwork:
    """Return a masked language model under a SPLADE pooling, with a table for queries if one is given.

    Args:
        model: with its MLM head.
        tokenizer: its own.
        max_tokens: where a passage is cut.
        activation: "log1p" or "log1p-twice".
        query_table: shape [vocabulary]; makes the form doc-only.
    """
    with tempfile.TemporaryDirectory() as folder, quiet_libraries():
        # the library builds its modules from a folder only
        model.save_pretrained(folder)
        tokenizer.save_pretrained(folder)
        body = Transformer(folder, transformer_task="fill-mask", max_seq_length=max_tokens)
        pooling = SpladePooling("max", activation_function="log1p_relu" if activation == "log1p-twice" else "relu")
        modules: list[nn.Module] = [body, pooling]
        if query_table is not None:
            table = SparseStaticEmbedding(tokenizer, weight=query_table.clone(), frozen=False)
            modules = [Router.for_query_document(query_modules=[table], document_modules=modules)]
        return StockNetwork(StockEncoder(modules=modules, device="cpu", similarity_fn_name="dot"))
