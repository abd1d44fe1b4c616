"""The encoder's weights: exactly, in two phases, and by SEISMIC; the query read by the cluster's model or by this machine."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from opensearch_ko.indexes import concrete_index, seismic_name
from opensearch_ko.queries.bodies import Clause, neural_sparse_clause, query_tokens_clause, seismic_clause
from opensearch_ko.queries.context import Context
from opensearch_ko.queries.search_pipelines import two_phase_pipeline
from opensearch_ko.queries.single_mode import SingleMode

MAKE_COMPANION = "Make it: sparse-ko deploy --model DIR|ZIP --seismic --index NAME, then sparse-ko index"
NO_SEISMIC = f"the index has no SEISMIC companion. {MAKE_COMPANION}"
NOT_BY_TOKEN = "its encoder spells several tokens alike, so only the companion index holds weights: --mode seismic or seismic-tokens"
NO_CLIENT_WEIGHTS = "the query has to be read on this machine: --model DIR|ZIP (of a doc-only encoder its query zip is enough)"


class SparseMode(SingleMode):
    """The encoder's weights; the deployed model reads the query (siamese), or its tokenizer with a table (doc-only)."""

    def missing(self, context: Context) -> str | None:
        """Say so where no model of the cluster reads queries, or the index has no weights by token."""
        if not context.meta.by_token:
            return NOT_BY_TOKEN
        if context.meta.query_model_id:
            return None
        return f"no model of the cluster reads this index's queries; {NO_CLIENT_WEIGHTS}, with --mode sparse-tokens"

    def encode(self, text: str, context: Context) -> str:
        """Leave the query as it is: the node's model reads it."""
        return text

    def clause(self, encoded: str, context: Context) -> Clause:
        """See `SingleMode`."""
        return neural_sparse_clause(encoded, context.meta.query_model_id)


class TwoPhaseMode(SparseMode):
    """Heavy tokens choose the candidates, light ones only re-order them: approximate."""

    def extras(self, context: Context) -> dict[str, Any]:
        """Return the search pipeline."""
        return {"search_pipeline": two_phase_pipeline(context.options.two_phase_ratio, context.options.expansion_rate)}


class SparseTokensMode(SingleMode):
    """The encoder's weights; this machine reads the query, and no model runs in the cluster."""

    def missing(self, context: Context) -> str | None:
        """Say so where this machine cannot read queries, or the index has no weights by token."""
        if not context.meta.by_token:
            return NOT_BY_TOKEN
        return None if context.query_weights else NO_CLIENT_WEIGHTS

    def encode(self, text: str, context: Context) -> dict[str, float]:
        """Weigh the query's tokens."""
        if context.query_weights is None:
            raise ValueError(NO_CLIENT_WEIGHTS)
        return context.query_weights(text)

    def clause(self, encoded: Mapping[str, float], context: Context) -> Clause:
        """See `SingleMode`."""
        return query_tokens_clause(encoded)


class TwoPhaseTokensMode(SparseTokensMode):
    """The same in two phases; this machine reads the query."""

    def extras(self, context: Context) -> dict[str, Any]:
        """Return the search pipeline."""
        return {"search_pipeline": two_phase_pipeline(context.options.two_phase_ratio, context.options.expansion_rate)}


class SeismicMode(SingleMode):
    """SEISMIC on the companion index; the deployed model reads the query."""

    def missing(self, context: Context) -> str | None:
        """Say so where there is no companion, or no model of the cluster reads queries."""
        if why := _no_companion(context):
            return why
        if context.meta.query_model_id:
            return None
        return f"no model of the cluster reads this index's queries; {NO_CLIENT_WEIGHTS}, with --mode seismic-tokens"

    def encode(self, text: str, context: Context) -> Any:  # noqa: ANN401  text here, weights in the mode below
        """Leave the query as it is: the node's model reads it."""
        return text

    def target(self, context: Context) -> str:
        """Return the companion's concrete name: behind an alias the node would ask its model for words instead of ids."""
        return _companion(context)

    def clause(self, encoded: Any, context: Context) -> Clause:  # noqa: ANN401  see `encode`
        """See `SingleMode`."""
        return self._asking((encoded, context.meta.query_model_id), context)

    def filtered(self, encoded: Any, context: Context) -> Clause:  # noqa: ANN401  see `encode`
        """Return the clause alone: its filter is a parameter of the method, so that it holds while searching."""
        return self.clause(encoded, context)

    def _asking(self, asked: Mapping[int, float] | tuple[str, str], context: Context) -> Clause:
        options = context.options
        return seismic_clause(asked, k=context.depth, top_n=options.top_n, heap_factor=options.heap_factor, within=context.filter)


class SeismicTokensMode(SeismicMode):
    """SEISMIC on the companion index; this machine reads the query."""

    def missing(self, context: Context) -> str | None:
        """Say so where there is no companion, or this machine cannot read queries."""
        return _no_companion(context) or (None if context.query_ids else NO_CLIENT_WEIGHTS)

    def encode(self, text: str, context: Context) -> dict[int, float]:
        """Weigh the query's tokens, by id."""
        if context.query_ids is None:
            raise ValueError(NO_CLIENT_WEIGHTS)
        return context.query_ids(text)

    def clause(self, encoded: Mapping[int, float], context: Context) -> Clause:
        """See `SingleMode`."""
        return self._asking(encoded, context)


def _companion(context: Context) -> str:
    return context.companion or seismic_name(concrete_index(context.cluster, context.index))


def _no_companion(context: Context) -> str | None:
    if context.meta.seismic is None:
        return NO_SEISMIC
    name = _companion(context)
    if context.cluster.find(f"/{name}/_alias") is None:
        return f"its SEISMIC companion {name} is gone. {MAKE_COMPANION}"
    return None
