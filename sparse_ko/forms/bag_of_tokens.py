"""The static body of the lexical floor: a passage as the sum of its tokens' vectors; no attention.

It reads a passage either place by place, as a trace must, or as its pieces with their counts, which says the same in a third of the time.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn

from sparse_ko.forms.network import Features

ADJUST_DIMENSIONS = 32
"""Dimensions in which a passage moves the weights of its own tokens."""
LEAD_GROUPS = (0, 0, 1, 2, 3, 4, 4, 5, 5, 6, 6, 6, 6, 6, 6, 6, 6, 7)
"""Of the place where a token stands first ([CLS] at 0, the last entry for all further ones): its group, by which u differs."""


class Pieces(NamedTuple):
    """The searchable pieces of some texts, one text behind the other; each stands once in a text. P of them in all.

    No place is padding, and no table is as wide as the vocabulary: where order is nothing this is all that there is to read.
    """

    ids: Tensor
    """int64 [P]."""
    text: Tensor
    """Which text a piece is of, rising, int64 [P]."""
    starts: Tensor
    """Where the pieces of each text begin, int64 [texts]."""
    times: Tensor
    """How often a piece stands in its text, float [P]."""
    lengths: Tensor
    """How many searchable tokens a piece's text has, float [P]."""
    groups: Tensor
    """By where a piece stands first, int64 [P], see `LEAD_GROUPS`."""


class Read(NamedTuple):
    """What a body makes of passages."""

    logits: Tensor
    """Of the expansion, shape [texts, vocabulary]."""
    moves: Tensor
    """What of u a passage's own tokens learnt, one by one."""
    start: Tensor | None = None
    """What of u the place alone gives; of the shape of `moves`."""

    @property
    def own(self) -> Tensor:
        """The factor of the weights that BM25 gives the passages' own tokens, 0 to 2."""
        return 1 + (self.moves if self.start is None else self.moves + self.start).tanh()


class BagOfTokens(nn.Module):
    """The static body: a passage is the sum of its tokens' vectors, weighted as BM25 weights them; no attention.

    Args:
        vectors: where the tokens' vectors start, shape [vocabulary, dimensions].
        lead: where u of each group of `LEAD_GROUPS` starts, shape [8]; None: u knows no places.
    """

    def __init__(self, vectors: Tensor, lead: Tensor | None = None) -> None:
        super().__init__()
        vocabulary, dimensions = vectors.shape
        self.vectors = nn.Parameter(vectors.clone())
        self.norm = nn.LayerNorm(dimensions)
        self.expand = nn.Linear(dimensions, vocabulary)
        self.view = nn.Linear(dimensions, ADJUST_DIMENSIONS, bias=False)
        self.adjust = nn.Parameter(torch.zeros(vocabulary, ADJUST_DIMENSIONS))
        self.adjust_bias = nn.Parameter(torch.zeros(vocabulary))
        self.lead = None if lead is None else nn.Parameter(torch.zeros(len(lead), ADJUST_DIMENSIONS))
        self.lead_bias = None if lead is None else nn.Parameter(lead.clone())
        self.groups: Tensor
        self.register_buffer("groups", torch.tensor(LEAD_GROUPS), persistent=False)
        nn.init.normal_(self.expand.weight, std=0.02)
        nn.init.zeros_(self.expand.bias)

    def forward(self, features: Features, shares: Tensor, idf: Tensor, dimensions: Tensor | None = None) -> Read:
        """Return what is read; the moves of the token at each place, shape [texts, tokens].

        Args:
            features: of passages.
            shares: BM25's weight of the token at each place, shared among the token's places, shape [texts, tokens].
            idf: shape [vocabulary].
            dimensions: compute the logits of these alone, int64 [C].
        """
        ids = features["input_ids"]
        state = self.norm(self.weighted_sum(ids, shares * idf[ids]))
        # u is needed at the passage's own tokens only: gathering is cheaper than a product with the whole vocabulary
        adjust, bias = nn.functional.embedding(ids, self.adjust), nn.functional.embedding(ids, self.adjust_bias.unsqueeze(-1)).squeeze(-1)
        start: Tensor | None = None
        if self.lead is not None and self.lead_bias is not None:
            groups = self.groups[self._first_places(ids)]
            adjust, start = adjust + self.lead[groups], self.lead_bias[groups]
        moves = (adjust @ self.view(state).unsqueeze(-1)).squeeze(-1) + bias
        return Read(self._logits(state, dimensions), moves, start)

    def weighted_sum(self, ids: Tensor, weights: Tensor) -> Tensor:
        """Return the sum of the tokens' vectors, each times its weight, shape [texts, dimensions]; both arguments [texts, tokens]."""
        return nn.functional.embedding_bag(ids, self.vectors, mode="sum", per_sample_weights=weights)

    def of_pieces(self, pieces: Pieces, weights: Tensor, idf: Tensor, dimensions: Tensor | None = None) -> Read:
        """Return what is read; the moves of every piece, shape [P].

        Args:
            pieces: of passages.
            weights: BM25's weight of every piece, shape [P].
            idf: shape [vocabulary].
            dimensions: compute the logits of these alone, int64 [C].
        """
        ids = pieces.ids
        vectors = nn.functional.embedding_bag(ids, self.vectors, pieces.starts, mode="sum", per_sample_weights=weights * idf[ids])
        state = self.norm(vectors)
        adjust, bias = nn.functional.embedding(ids, self.adjust), self.adjust_bias.index_select(0, ids)
        start: Tensor | None = None
        if self.lead is not None and self.lead_bias is not None:
            adjust = adjust + self.lead.index_select(0, pieces.groups)
            start = self.lead_bias.index_select(0, pieces.groups)
        moves = (adjust * self.view(state).index_select(0, pieces.text)).sum(dim=-1) + bias
        return Read(self._logits(state, dimensions), moves, start)

    def _first_places(self, ids: Tensor) -> Tensor:
        """Return where the token at each place stands first, shape [texts, tokens]; behind the last place that differs, that one's next."""
        heads = ids[:, : len(LEAD_GROUPS) - 1]
        places = torch.ones_like(heads).cumsum(dim=1) - 1  # an arange would be as long in every trace as in the first
        same = ids.unsqueeze(2) == heads.unsqueeze(1)
        return torch.where(same, places.unsqueeze(1), len(LEAD_GROUPS) - 1).amin(dim=2)

    def _logits(self, state: Tensor, dimensions: Tensor | None) -> Tensor:
        if dimensions is None:
            logits: Tensor = self.expand(state)
            return logits
        return nn.functional.linear(state, self.expand.weight.index_select(0, dimensions), self.expand.bias.index_select(0, dimensions))
