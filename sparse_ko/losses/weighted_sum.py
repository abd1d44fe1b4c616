"""The weighted sum of all losses, and how much each part adds."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor, nn

from sparse_ko.losses.anti_collapse import AntiCollapse
from sparse_ko.losses.df_flops import DfFlops
from sparse_ko.losses.flops import Flops
from sparse_ko.losses.l0_threshold import active_dimensions
from sparse_ko.losses.l1 import L1
from sparse_ko.losses.synonym import SynonymLoss
from sparse_ko.settings import TrainSettings
from training_ko.losses.embedded import Embedded, in_full_precision
from training_ko.losses.parts import LossParts, Part
from training_ko.losses.ranking import ranking_loss


class WeightedSum(nn.Module):
    """α·ranking + β·synonyms + γ·(λ_d·regulariser(documents) + λ_q·regulariser(queries)) + weight·anti-collapse + hold·moves.

    Documents are positives and negatives together, each once. All is computed in 32 bits (64 where the weights have them), also
    where the encoder runs in 16: a mean over half a million small weights is lost in those.

    The first specification's defaults are α 1.0, β 0.1, γ 0.001: `ranking.weight=1.0 synonyms.weight=0.1 sparsity.weight=0.001`
    with λ 1 (`sparsity.document_weight=1 sparsity.query_weight=1`).

    Args:
        settings: of the run. Where a query is a table over its own tokens (every form but siamese), queries are not regularised:
            training cannot make them any shorter.

    Attributes:
        lambda_document: λ_d; the sparsity controller sets it before every step.
        lambda_query: λ_q.
    """

    def __init__(self, settings: TrainSettings) -> None:
        super().__init__()
        sparsity = settings.sparsity
        self.alpha, self.beta, self.gamma = settings.ranking.weight, settings.synonyms.weight, sparsity.weight
        self.anti_collapse_weight = sparsity.anti_collapse
        self.lambda_document, self.lambda_query = sparsity.document_weight, sparsity.query_weight
        self.regularises_queries = settings.model.form == "siamese"
        self.expansion_apart = sparsity.regularised == "expansion"
        self.hold = sparsity.hold
        self.ranking = ranking_loss(settings.ranking)
        self.synonyms = SynonymLoss()
        documents = {"flops": Flops, "df-flops": DfFlops, "l1": L1}
        self.document_sparsity: nn.Module = documents[sparsity.document](l0_threshold=sparsity.l0_threshold)
        self.query_sparsity: nn.Module = {"flops": Flops, "l1": L1}[sparsity.query]()
        self.anti_collapse = AntiCollapse()

    def forward(self, batch: Embedded) -> LossParts:
        """Return the loss of a whole batch.

        Raises:
            DataError: the ranking loss needs a teacher's scores, and the batch has none.
        """
        with torch.autocast(batch.documents.device.type, enabled=False):
            batch = in_full_precision(batch)
            batch, regularised, moved = _parted(batch) if self.expansion_apart else (batch, batch.documents, None)
            values = self._values(batch, regularised)
            if self.hold and moved is not None:
                values["hold"] = (self.hold, moved.sum() / max(len(moved), 1))
            total = torch.stack([weight * value for weight, value in values.values()]).sum()
            dims = [_mean_active(vectors, batch.dimension_counts) for vectors in (batch.documents, batch.queries)]
            # one transfer from the device instead of one a number
            numbers = torch.stack([total, *dims, *(value for _, value in values.values())]).detach().tolist()
        sum_of_parts, document_dims, query_dims, *plain = numbers
        parts = {
            name: Part(value, float(weight) * value / sum_of_parts if sum_of_parts else 0.0)
            for (name, (weight, _)), value in zip(values.items(), plain, strict=True)
        }
        return LossParts(total, parts, {"document_dims": document_dims, "query_dims": query_dims})

    def _values(self, batch: Embedded, regularised: Tensor) -> dict[str, tuple[float, Tensor]]:
        sampled = () if batch.dimension_counts is None else (batch.dimension_counts,)
        values = {"ranking": (self.alpha, self.ranking(batch))}
        if self.beta:
            if batch.korean is None or batch.english is None:
                values["synonyms"] = (self.beta, batch.documents.sum() * 0)
            else:
                values["synonyms"] = (self.beta, self.synonyms(batch.korean, batch.english))
        values["document_sparsity"] = (self.gamma * self.lambda_document, self.document_sparsity(regularised, *sampled))
        if self.regularises_queries:
            values["query_sparsity"] = (self.gamma * self.lambda_query, self.query_sparsity(batch.queries))
        if self.anti_collapse_weight:
            texts = torch.cat([batch.documents, batch.queries]) if self.regularises_queries else batch.documents
            values["anti_collapse"] = (self.anti_collapse_weight, self.anti_collapse(texts))
        return values


def _parted(batch: Embedded) -> tuple[Embedded, Tensor, Tensor]:
    """Return the batch with plain documents, [D, V], their expansions, [D, V], and how far their own tokens were moved, [D, 1].

    All three stand behind each other in one tensor.
    """
    width = batch.queries.shape[1] if len(batch.queries) else batch.documents.shape[1] // 2
    return replace(batch, documents=batch.documents[:, :width]), batch.documents[:, width : 2 * width], batch.documents[:, 2 * width :]


def _mean_active(weights: Tensor, counts: Tensor | None) -> Tensor:
    return active_dimensions(weights, counts).sum().to(weights.dtype) / max(weights.shape[0], 1)
