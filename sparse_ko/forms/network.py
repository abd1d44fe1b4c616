"""What a `SparseEncoder` asks of the network behind it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Protocol

if TYPE_CHECKING:
    from torch import Tensor, nn
    from transformers import PreTrainedTokenizerFast

Kind = Literal["query", "document"]
Form = Literal["siamese", "doc-only", "lexical-floor"]
Features = dict[str, "Tensor"]


class Network(Protocol):
    """One of the forms: how texts become features, and features weights."""

    module: nn.Module
    """Holds every parameter."""
    tokenizer: PreTrainedTokenizerFast
    form: Form
    silent_specials: bool
    """Whether special tokens weigh 0 in what `embed` returns."""
    max_tokens: int
    """Where a passage is cut, special tokens included."""

    @property
    def query_table(self) -> nn.Parameter | None:
        """The weights that a query's own tokens have, shape [vocabulary]; None where a network reads queries."""

    def constrain(self) -> None:
        """Set weights to 0 that an optimiser's step made negative though they must not be."""

    def tokenize(self, texts: Sequence[str], kind: Kind, max_tokens: int | None = None) -> Features:
        """Return the features of texts on the CPU: `input_ids` and `attention_mask`, int64, shape [texts, tokens].

        Where order is nothing to a network its ids may be the text's pieces, each once; then `counts`, int64 of the same shape, says
        how often each stands in the text, and `first_places` where it stands first.
        """

    def embed(self, features: Features, kind: Kind, dimensions: Tensor | None = None, *, in_parts: bool = False) -> Tensor:
        """Return the weights, shape [texts, vocabulary], ≥ 0, with gradient; with `dimensions`, int64 [C], these alone: [texts, C].

        `in_parts`, of the lexical floor's passages: behind the weights what it adds to their own tokens, and how far it moved those, see
        `LexicalFloor.passages`; [texts, 2 C + 1].
        """

    def save(self, folder: Path) -> None:
        """Write the network into an empty folder."""
