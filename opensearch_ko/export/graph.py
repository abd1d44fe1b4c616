"""A sparse model as one graph under ML Commons' contract: a dict of two tensors in, `{"output": weights}` out."""

from __future__ import annotations

import io
import warnings
from typing import TYPE_CHECKING

import torch
from sentence_transformers.base.modules import Transformer
from sentence_transformers.sparse_encoder.modules import SpladePooling
from torch import Tensor, nn

from opensearch_ko.export.floor_graph import FloorWeights
from opensearch_ko.pruning import Pruning
from retrieval_ko.errors import ModelError
from sparse_ko.forms.lexical_floor import LexicalFloor
from sparse_ko.forms.stock import StockNetwork
from sparse_ko.model import SparseEncoder
from training_ko.libraries import quiet_libraries

if TYPE_CHECKING:
    from transformers import PreTrainedModel


class SparseGraph(nn.Module):
    """The weights of passages, special tokens zeroed, light ones dropped: what ML Commons does not do itself (contract, 1.1).

    Args:
        encoder: a masked language model under a SPLADE pooling by maximum (siamese, doc-only), or a lexical floor.
        pruning: what is dropped of each text's weights.

    Raises:
        ModelError: the encoder consists of other parts.
    """

    def __init__(self, encoder: SparseEncoder, pruning: Pruning = Pruning()) -> None:  # noqa: B008  frozen
        super().__init__()
        module = encoder.module
        self.weights = FloorWeights(module) if isinstance(module, LexicalFloor) else MaskedMaximum(encoder)
        self.pruning = pruning
        keep = torch.ones(self.weights.dimensions)
        keep[encoder.tokenizer.all_special_ids] = 0
        keep[len(encoder.tokenizer) :] = 0  # padding rows of the embedding that no token has
        self.keep: Tensor
        self.register_buffer("keep", keep)

    def forward(self, features: dict[str, Tensor]) -> dict[str, Tensor]:
        """Return `{"output": weights}`, shape [batch, vocabulary].

        Args:
            features: `input_ids` and `attention_mask`, int64, shape [batch, tokens]; ML Commons sends no `token_type_ids`.
        """
        return {"output": pruned(self.weights(features["input_ids"], features["attention_mask"]) * self.keep, self.pruning)}


class MaskedMaximum(nn.Module):
    """Maximum over the positions of a text, ReLU, log1p.

    The maximum is taken before the logarithm: the logarithm is monotone, so the value is the same, and a text of n tokens needs
    n times fewer logarithms.

    Args:
        encoder: whose passages go through a masked language model under a SPLADE pooling by maximum.
    """

    def __init__(self, encoder: SparseEncoder) -> None:
        super().__init__()
        body, pooling = _parts_of(encoder)
        self.body = plain(body.auto_model)
        self.saturations = 2 if pooling.activation_function == "log1p_relu" else 1
        self.dimensions = int(self.body.config.vocab_size)

    def forward(self, ids: Tensor, mask: Tensor) -> Tensor:
        """Return the weights, shape [batch, vocabulary], of `ids` and `mask`, both int64 and of shape [batch, tokens]."""
        logits = self.body(input_ids=ids, attention_mask=mask).logits
        weights = (torch.relu(logits) * mask.unsqueeze(-1)).amax(dim=1)
        for _ in range(self.saturations):
            weights = torch.log1p(weights)
        return weights


def plain(model: PreTrainedModel) -> PreTrainedModel:
    """Return a transformer in the state in which it can be traced for a server: evaluating, float32, CPU, plain attention."""
    model = model.eval().float().cpu()
    model.set_attn_implementation("eager")  # the fused attention has failed on servers (ml-commons #1710)
    return model


def pruned(weights: Tensor, pruning: Pruning) -> Tensor:
    """Return `weights`, shape [batch, vocabulary], all ≥ 0, with 0 for what `opensearch_ko.pruning.Pruning` drops."""
    if pruning.ratio is None:
        return weights
    if pruning.type == "max_ratio":
        return weights * (weights / weights.amax(dim=1, keepdim=True) >= pruning.ratio)  # 0 / 0 is no number, which is not ≥
    if pruning.type == "abs_value":
        return weights * (weights >= pruning.ratio)
    if pruning.type == "top_k":
        heaviest, places = weights.topk(min(int(pruning.ratio), weights.shape[1]), dim=1)
        return torch.zeros_like(weights).scatter(1, places, heaviest)
    heaviest, places = weights.sort(dim=1, descending=True)
    before = heaviest.cumsum(dim=1) - heaviest  # a weight stays while those above it don't hold enough
    enough = before < pruning.ratio * weights.sum(dim=1, keepdim=True)
    enough = torch.cat([torch.ones_like(enough[:, :1]), enough[:, 1:]], dim=1)  # the heaviest always stays
    return torch.zeros_like(weights).scatter(1, places, heaviest * enough)


def _parts_of(encoder: SparseEncoder) -> tuple[Transformer, SpladePooling]:
    network = encoder.network
    modules = network.document_modules if isinstance(network, StockNetwork) else []
    fits = len(modules) == 2 and isinstance(modules[0], Transformer) and isinstance(modules[1], SpladePooling)
    if not fits or modules[1].pooling_strategy != "max":
        names = ", ".join(type(module).__name__ for module in modules)
        raise ModelError(
            f"The model consists of {names}; the export knows a masked language model under a SPLADE pooling by maximum.",
            "Models of that shape are made by `sparse-ko train` and by sentence-transformers' SparseEncoder.",
        )
    return modules[0], modules[1]


def example_inputs() -> tuple[Tensor, Tensor]:
    """Return ids and mask to trace with: two texts, one of them padded, so that batch size, length and mask all stay free."""
    return torch.tensor([[2, 4, 1, 4, 3], [2, 4, 3, 0, 0]]), torch.tensor([[1, 1, 1, 1, 1], [1, 1, 1, 0, 0]])


def trace(graph: nn.Module) -> bytes:
    """Return the graph as a TorchScript file; batch size and length stay free."""
    ids, mask = example_inputs()
    with warnings.catch_warnings(), torch.no_grad(), quiet_libraries():
        warnings.simplefilter("ignore")  # torch.jit is deprecated but is what ML Commons loads; tracing warns of every Python branch
        traced = torch.jit.trace(graph.eval(), ({"input_ids": ids, "attention_mask": mask},), strict=False)  # type: ignore[no-untyped-call]
        buffer = io.BytesIO()
        torch.jit.save(traced, buffer)
    return buffer.getvalue()


def load_traced(file: bytes) -> torch.jit.ScriptModule:
    """Load a TorchScript file as the node would.

    Raises:
        RuntimeError: it is none; PyTorch's own words.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        loaded: torch.jit.ScriptModule = torch.jit.load(io.BytesIO(file), map_location="cpu")  # type: ignore[no-untyped-call]
    return loaded
