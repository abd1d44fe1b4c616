"""The lexical floor with the operations that a trace keeps free of the batch size and that ONNX knows; the formula is the form's own."""

from __future__ import annotations

import copy

from torch import Tensor, nn

from sparse_ko.forms.bag_of_tokens import BagOfTokens
from sparse_ko.forms.lexical_floor import LanguageModelBody, LexicalFloor


class FloorWeights(nn.Module):
    """The weights of passages under a lexical floor.

    Args:
        floor: is copied, not changed.
    """

    def __init__(self, floor: LexicalFloor) -> None:
        super().__init__()
        self.floor = copy.deepcopy(floor).eval().float().cpu()
        if isinstance(self.floor.body, BagOfTokens):
            self.floor.body.__class__ = TraceableBag
        elif isinstance(self.floor.body, LanguageModelBody):
            self.floor.body.model.set_attn_implementation("eager")
        self.dimensions = len(self.floor.idf)

    def forward(self, ids: Tensor, mask: Tensor) -> Tensor:
        """Return the weights, shape [batch, vocabulary], of `ids` and `mask`, both int64 and of shape [batch, tokens]."""
        return self.floor.passages({"input_ids": ids, "attention_mask": mask})


class TraceableBag(BagOfTokens):
    """ONNX has no embedding bag: a weighted sum is a product."""

    def weighted_sum(self, ids: Tensor, weights: Tensor) -> Tensor:
        """See `BagOfTokens`."""
        return (weights.unsqueeze(1) @ nn.functional.embedding(ids, self.vectors)).squeeze(1)
