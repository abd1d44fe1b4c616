"""Every way to search an index of ours: what is sent, what comes back, and why it was found."""

from __future__ import annotations

from opensearch_ko.queries.bodies import bm25, neural_sparse, query_tokens
from opensearch_ko.queries.context import Answer, Context, Mode, SearchOptions
from opensearch_ko.queries.explain import bm25_contributions, sparse_contributions, stored_weight
from opensearch_ko.queries.filters import parse_filters
from opensearch_ko.queries.fusion import fuse
from opensearch_ko.queries.modes import MODES, mode_named
from opensearch_ko.queries.search import QueryReader, SearchAnswer, check_query, open_context, search

__all__ = [
    "MODES",
    "Answer",
    "Context",
    "Mode",
    "QueryReader",
    "SearchAnswer",
    "SearchOptions",
    "bm25",
    "bm25_contributions",
    "check_query",
    "fuse",
    "mode_named",
    "neural_sparse",
    "open_context",
    "parse_filters",
    "query_tokens",
    "search",
    "sparse_contributions",
    "stored_weight",
]
