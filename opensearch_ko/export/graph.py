"""The model as one TorchScript graph under ML Commons' contract: a dict of two tensors in, `{"output": weights}` out."""

from __future__ import annotations

import io
import warnings

import torch
from sentence_transformers.base.modules import Transformer
from sentence_transformers.sparse_encoder.modules import SpladePooling
from torch import Tensor, nn

from retrieval_ko.errors import ModelError
from sparse_ko.model import SparseEncoder
from training_ko.libraries import quiet_libraries


class SparseGraph(nn.Module):
    """Masked maximum over the positions, ReLU, log1p, special tokens zeroed: what ML Commons does not do itself (contract, 1.1).

    The maximum is taken before the logarithm: the logarithm is monotone, so the value is the same, and a text of n tokens needs
    n times fewer logarithms.

    Args:
        encoder: a masked language model under a SPLADE pooling by maximum.
    """

    def __init__(self, encoder: SparseEncoder) -> None:
        super().__init__()
        body, pooling = _parts_of(encoder)
        self.body = body.auto_model.eval().float().cpu()
        self.body.set_attn_implementation("eager")  # the fused attention has failed on servers (ml-commons #1710)
        self.saturations = 2 if pooling.activation_function == "log1p_relu" else 1
        keep = torch.ones(int(self.body.config.vocab_size))
        keep[encoder.tokenizer.all_special_ids] = 0
        keep[len(encoder.tokenizer) :] = 0  # padding rows of the embedding that no token has
        self.keep: Tensor
        self.register_buffer("keep", keep)

    def forward(self, features: dict[str, Tensor]) -> dict[str, Tensor]:
        """Return `{"output": weights}`, shape [batch, vocabulary].

        Args:
            features: `input_ids` and `attention_mask`, int64, shape [batch, tokens]; ML Commons sends no `token_type_ids`.
        """
        mask = features["attention_mask"]
        logits = self.body(input_ids=features["input_ids"], attention_mask=mask).logits
        weights = (torch.relu(logits) * mask.unsqueeze(-1)).amax(dim=1)
        for _ in range(self.saturations):
            weights = torch.log1p(weights)
        return {"output": weights * self.keep}


def _parts_of(encoder: SparseEncoder) -> tuple[Transformer, SpladePooling]:
    modules = list(encoder.stock)
    fits = len(modules) == 2 and isinstance(modules[0], Transformer) and isinstance(modules[1], SpladePooling)
    if not fits or modules[1].pooling_strategy != "max":
        names = ", ".join(type(module).__name__ for module in modules)
        raise ModelError(
            f"The model consists of {names}; the export knows a masked language model under a SPLADE pooling by maximum.",
            "Models of that shape are made by `sparse-ko train` and by sentence-transformers' SparseEncoder.",
        )
    if modules[0].auto_model.config.vocab_size < len(encoder.tokenizer):
        raise ModelError(
            f"The tokenizer has {len(encoder.tokenizer):,} tokens, the model only {modules[0].auto_model.config.vocab_size:,} dimensions: "
            "they do not belong together."
        )
    return modules[0], modules[1]


def trace(graph: SparseGraph) -> bytes:
    """Return the graph as a TorchScript file; batch size and length stay free."""
    ids = torch.tensor([[2, 5, 6, 7, 3], [2, 8, 3, 0, 0]])
    example = {"input_ids": ids, "attention_mask": torch.tensor([[1, 1, 1, 1, 1], [1, 1, 1, 0, 0]])}
    with warnings.catch_warnings(), torch.no_grad(), quiet_libraries():
        warnings.simplefilter("ignore")  # torch.jit is deprecated but is what ML Commons loads; tracing warns of every Python branch
        traced = torch.jit.trace(graph.eval(), (example,), strict=False)  # type: ignore[no-untyped-call]
        buffer = io.BytesIO()
        torch.jit.save(traced, buffer)
    return buffer.getvalue()


def load_traced(file: bytes) -> torch.jit.ScriptModule:
    """Load a TorchScript file as the node would."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        loaded: torch.jit.ScriptModule = torch.jit.load(io.BytesIO(file), map_location="cpu")  # type: ignore[no-untyped-call]
    return loaded
