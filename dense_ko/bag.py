"""A body without attention, computed as what it is: each piece once a batch instead of once an occurrence.

A text's vector is the mean of its tokens', and a token's depends on nothing but its piece. So the pieces of a batch go through the
embedding layer once, and `embedding_bag` sums them: the same vectors but for rounding, several times as fast.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from dense_ko.stock import transformer_of

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer
    from transformers import BertModel


def bag_in(model: SentenceTransformer) -> BertModel | None:
    """Return the body of a model that is a bag of token vectors, None where order or company can matter.

    A bag is a BERT of no layers and no dropout, mean-pooled, in which every place and every segment has the same vector. Those vectors
    are frozen here: were they trained, it would not stay one.
    """
    from transformers import BertModel

    body = transformer_of(model)
    if not isinstance(body, BertModel) or body.config.num_hidden_layers or body.config.hidden_dropout_prob:
        return None
    if model[1].pooling_mode != "mean" or not model[1].include_prompt:
        return None
    rest = (body.embeddings.position_embeddings.weight, body.embeddings.token_type_embeddings.weight)
    if any((rows != rows[0]).any() for rows in rest):
        return None
    for rows in rest:
        rows.requires_grad_(False)
    return body


def mean_of_pieces(body: BertModel, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
    """Return the mean of each text's token vectors, float32, shape [texts, dimensions].

    Args:
        body: of `bag_in`.
        input_ids: shape [texts, tokens].
        attention_mask: of the same shape; 0: no token.
    """
    kept = attention_mask.bool()
    pieces, places = torch.unique(input_ids[kept], return_inverse=True)
    vectors = body.embeddings(input_ids=pieces.unsqueeze(1)).squeeze(1).float()
    starts = attention_mask.sum(dim=1).cumsum(dim=0).roll(1)
    starts[0] = 0
    return torch.nn.functional.embedding_bag(places, vectors, starts, mode="mean")
