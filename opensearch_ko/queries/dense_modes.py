"""Nearest vectors: by the HNSW graph or exactly; the query read by the cluster's dense model or by this machine."""

from __future__ import annotations

from typing import Any

from opensearch_ko.indexes import DENSE_FIELD
from opensearch_ko.models import predict_dense
from opensearch_ko.queries.bodies import Clause, exact_clause, knn_clause, neural_clause
from opensearch_ko.queries.context import Context
from opensearch_ko.queries.single_mode import SingleMode

NO_DENSE = (
    "the index has no dense field. Make one that has: sparse-ko deploy --model DIR|ZIP --dense DIR|ZIP --index NAME, then sparse-ko index"
)
NO_CLIENT_VECTOR = "the query has to be read on this machine by the dense model: --dense-model DIR"


class DenseMode(SingleMode):
    """Nearest vectors by the HNSW graph; the deployed dense model reads the query."""

    def missing(self, context: Context) -> str | None:
        """Say so where the index has no vectors, or no dense model is deployed."""
        if context.meta.dense is None:
            return NO_DENSE
        if context.meta.dense.model_id:
            return None
        return f"no dense model is deployed for this index; {NO_CLIENT_VECTOR}, with --mode knn"

    def encode(self, text: str, context: Context) -> Any:  # noqa: ANN401  text here, a vector in the modes below
        """Leave the query as it is: the node's model reads it."""
        return text

    def clause(self, encoded: Any, context: Context) -> Clause:  # noqa: ANN401  see `encode`
        """See `SingleMode`."""
        assert context.meta.dense is not None
        return neural_clause(encoded, context.meta.dense.model_id, context.depth)

    def filtered(self, encoded: Any, context: Context) -> Clause:  # noqa: ANN401  see `encode`
        """Return the clause with the filter inside, so that the graph is searched within it: outside, it would thin out the k nearest."""
        clause = self.clause(encoded, context)
        if context.filter is None:
            return clause
        [form] = clause
        return {form: {DENSE_FIELD: clause[form][DENSE_FIELD] | {"filter": context.filter}}}


class KnnMode(DenseMode):
    """Nearest vectors by the HNSW graph; this machine reads the query."""

    def missing(self, context: Context) -> str | None:
        """Say so where the index has no vectors, or this machine cannot read queries."""
        if context.meta.dense is None:
            return NO_DENSE
        return None if context.query_vector else NO_CLIENT_VECTOR

    def encode(self, text: str, context: Context) -> list[float]:
        """Embed the query."""
        if context.query_vector is None:
            raise ValueError(NO_CLIENT_VECTOR)
        return context.query_vector(text)

    def clause(self, encoded: list[float], context: Context) -> Clause:
        """See `SingleMode`."""
        return knn_clause(encoded, context.depth)


class ExactDenseMode(DenseMode):
    """The vector against every passage's: what HNSW comes near to. This machine reads the query, else the deployed model is asked first."""

    def missing(self, context: Context) -> str | None:
        """Say so where the index has no vectors, or nothing reads queries."""
        if context.meta.dense is None:
            return NO_DENSE
        return None if context.query_vector or context.meta.dense.model_id else NO_CLIENT_VECTOR

    def encode(self, text: str, context: Context) -> list[float]:
        """Embed the query."""
        if context.query_vector is not None:
            return context.query_vector(text)
        assert context.meta.dense is not None
        [vector] = predict_dense(context.cluster, context.meta.dense.model_id, [text], side="query")
        return vector

    def clause(self, encoded: list[float], context: Context) -> Clause:
        """See `SingleMode`."""
        assert context.meta.dense is not None
        return exact_clause(encoded, context.meta.dense.space_type)

    def filtered(self, encoded: list[float], context: Context) -> Clause:
        """Return the clause with the filter inside: only what passes it is compared."""
        assert context.meta.dense is not None
        return exact_clause(encoded, context.meta.dense.space_type, context.filter)
