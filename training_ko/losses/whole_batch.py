"""The loss over the whole batch, whatever goes through the encoder at once and however many processes share the work.

In-batch negatives, FLOPS and the measured sparsity are functions of the whole batch: computed on a part and averaged they are other
functions, and a run on two GPUs would come out denser than one on one. So the batch is embedded in parts and put together first:

1. every process embeds its texts, `chunk_size` at a time; with chunks without gradient, and the random state of each is kept;
2. the weights are gathered, documents with one key are counted once (the first process's copy), in the order of the processes;
3. every process computes the same loss, and its gradient with respect to the weights;
4. that gradient is sent back through the encoder: with chunks each is embedded a second time with the same dropout
   (gradient caching, Gao et al. 2021, arXiv 2101.06983);
5. the parameters' gradients are summed over the processes.

What a trainer must see to:

- `embed` calls the encoder itself, not a DistributedDataParallel around it, and enters autocast itself; `step` is called outside
  autocast. A wrapper's hooks stay quiet when its forward is not called, and step 5 does its work: no `no_sync`, no averaging.
- No gradient accumulation besides the chunks, and no division of the loss: `step` leaves in `.grad` what one process would have with
  the whole batch. (Gradients that are there already are added to, as by any backward pass.)
- Every process calls `step` equally often; its share may be empty.
- Parameters start equal in all processes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import Literal

import torch
from torch import Tensor, nn

from training_ko.losses.embedded import Embedded
from training_ko.losses.features import Features, chunks
from training_ko.losses.gathering import put_together
from training_ko.losses.parts import LossParts
from training_ko.losses.processes import process_count, sum_gradients
from training_ko.losses.random_state import RandomState

Kind = Literal["query", "document"]
Embed = Callable[..., Tensor]
"""Tokenised texts and their kind → vectors, shape [texts, V], with gradient; with `dimensions`, int64 [C], these alone: [texts, C]."""


class WholeBatch:
    """Computes the loss of a whole batch and leaves its gradient in the parameters.

    Args:
        embed: the encoder.
        loss: of the whole batch.
        chunk_size: texts that go through the encoder at once; None: all queries at once, and all documents.
        parameters: of the encoder, in the same order in every process.
    """

    def __init__(
        self, embed: Embed, loss: Callable[[Embedded], LossParts], chunk_size: int | None, parameters: Sequence[nn.Parameter]
    ) -> None:
        self._embed = embed
        self._loss = loss
        self._chunk_size = chunk_size
        self._parameters = [parameter for parameter in parameters if parameter.requires_grad]

    def step(self, features: Features, backward: Callable[[Tensor], None]) -> LossParts:
        """Add the whole batch's gradient to the parameters and return its loss, equal in every process.

        Args:
            features: this process's share of the batch.
            backward: runs a scalar's backward pass; the place for a loss scaler. Called once a chunk, perhaps never.

        Raises:
            DataError: the ranking loss needs a teacher's scores, and the batch has none.
        """
        embed: Embed = self._embed if features.dimensions is None else partial(self._embed, dimensions=features.dimensions)
        passes = [
            _Pass(embed, features.queries, "query", self._chunk_size),
            *(_Pass(embed, texts, "document", self._chunk_size) for texts in (features.documents, features.korean, features.english)),
        ]
        batch, places = put_together(features, [one.weights for one in passes])
        leaves = [batch.queries, batch.documents, batch.korean, batch.english]
        for leaf in leaves:
            if leaf is not None:
                leaf.requires_grad_()
        parts: LossParts = self._loss(batch)
        torch.autograd.backward(parts.total, inputs=[leaf for leaf in leaves if leaf is not None])

        earlier = self._set_gradients_aside()
        for one, leaf, rows in zip(passes, leaves, places, strict=True):
            if leaf is not None and leaf.grad is not None and one.weights is not None:
                one.backward(_own_gradient(leaf.grad, rows), backward)
        sum_gradients(self._parameters)
        self._add(earlier)
        return replace(parts, total=parts.total.detach())

    def _set_gradients_aside(self) -> list[Tensor | None]:
        if process_count() == 1:
            return []
        earlier = [parameter.grad for parameter in self._parameters]  # summed over the processes already
        for parameter in self._parameters:
            parameter.grad = None
        return earlier

    def _add(self, earlier: list[Tensor | None]) -> None:
        for parameter, gradient in zip(self._parameters, earlier, strict=False):
            if gradient is not None:
                parameter.grad = gradient if parameter.grad is None else gradient + parameter.grad


class _Pass:
    """One kind of texts on its way through the encoder, there and back."""

    def __init__(self, embed: Embed, texts: dict[str, Tensor] | None, kind: Kind, chunk_size: int | None) -> None:
        self._embed = embed
        self._kind = kind
        self._chunks = chunks(texts, chunk_size)
        self._states: list[RandomState] = []
        self._with_gradient: Tensor | None = None
        self.weights: Tensor | None = None
        """Shape [texts, V], without gradient; None for no texts."""
        if len(self._chunks) == 1:
            self._with_gradient = embed(self._chunks[0], kind)
            self.weights = self._with_gradient.detach()
        elif self._chunks:
            with torch.no_grad():
                self.weights = torch.cat([self._first_time(chunk) for chunk in self._chunks])

    def _first_time(self, chunk: dict[str, Tensor]) -> Tensor:
        self._states.append(RandomState(next(iter(chunk.values())).device))
        return self._embed(chunk, self._kind)

    def backward(self, gradient: Tensor, backward: Callable[[Tensor], None]) -> None:
        """Send the gradient of the weights, shape [texts, V], back through the encoder."""
        if self._with_gradient is not None:
            if self._with_gradient.requires_grad:  # frozen parameters, a fixed query table
                backward(_product(self._with_gradient, gradient))
            return
        start = 0
        for chunk, state in zip(self._chunks, self._states, strict=True):
            with state.replayed():
                weights = self._embed(chunk, self._kind)
            if weights.requires_grad:
                backward(_product(weights, gradient[start : start + len(weights)]))
            start += len(weights)


def _product(weights: Tensor, gradient: Tensor) -> Tensor:
    """Return the scalar whose gradient with respect to `weights` is `gradient`."""
    return (weights.to(gradient.dtype) * gradient).sum()


def _own_gradient(gradient: Tensor, places: Tensor) -> Tensor:
    """Return the rows at `places`, and zeros where a place is -1: that text counts as another process's."""
    if process_count() == 1 and torch.equal(places, torch.arange(len(gradient), device=places.device)):
        return gradient  # a batch's gradient is large, and a copy of it takes its time
    return torch.where(places.unsqueeze(1) >= 0, gradient[places.clamp(min=0)], 0.0)
