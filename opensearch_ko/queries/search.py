"""One search, from a person's question to hits that say why they were found."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from pydantic import BaseModel

from opensearch_ko.cluster import Cluster
from opensearch_ko.errors import ClusterError
from opensearch_ko.indexes import concrete_index, missing_index, read_meta, seismic_name
from opensearch_ko.models import Step, ensure_running
from opensearch_ko.queries.bodies import MOST_HITS, SHOWN_FIELDS, Clause
from opensearch_ko.queries.context import Context, Mode, SearchOptions
from opensearch_ko.queries.explain import bm25_contributions, seismic_contributions, sparse_contributions
from opensearch_ko.queries.filters import check_filter
from opensearch_ko.queries.hybrid_modes import ClientFusedMode, HybridMode
from opensearch_ko.queries.modes import mode_named
from opensearch_ko.queries.search_pipelines import saved_weights
from opensearch_ko.queries.sparse_modes import SeismicMode, SparseMode, SparseTokensMode
from opensearch_ko.queries.text_modes import AnalyzedMode, Bm25Mode
from retrieval_ko.errors import UsageError
from retrieval_ko.records import Hit

ContentTerms = Callable[[str], list[str]]

LONGEST_QUERY_CHARACTERS = 10_000
"""A query is a question; a model reads at most 512 tokens of it, and a `match` of more than 1,024 terms is refused."""
NOT_RUNNING = ("Model not ready yet", "Failed to find model", "not deployed")
"""How a node says that the model of a query does not run: after a restart, or since it was deleted."""


class QueryReader(Protocol):
    """What reads queries on this machine: `QueryTable` (a doc-only encoder's), or a model folder."""

    def weights(self, text: str) -> dict[str, float]:
        """Return the query's weights by token, as the node spells it."""

    def ids(self, text: str) -> dict[int, float]:
        """Return the query's weights by token id."""

    def spelling(self, token_id: int) -> str:
        """Return what the node calls a token."""


class SearchAnswer(BaseModel):
    """The hits of one query, best first."""

    mode: str
    took_ms: int
    """The server's own time."""
    hits: list[Hit]


def open_context(
    cluster: Cluster,
    index: str,
    *,
    content_terms: ContentTerms,
    size: int = 10,
    filter: Clause | None = None,
    reader: QueryReader | None = None,
    query_vector: Callable[[str], list[float]] | None = None,
    options: SearchOptions | None = None,
    tuned: bool = True,
) -> Context:
    """Return what every mode needs to search `index`: its meta, its concrete name, the weights that were tuned for it.

    Args:
        cluster: where.
        index: made by `sparse-ko deploy`, or an alias of such a one.
        content_terms: cuts a text into the terms that BM25 counts, as when the index was filled.
        size: how many hits.
        filter: a clause that hits must meet; see `parse_filters`.
        reader: reads queries on this machine.
        query_vector: reads queries on this machine with the dense model.
        options: weights in it come before tuned ones.
        tuned: whether weights that were tuned for the index are read; only hybrids need them.

    Raises:
        ClusterError: there is no such index, or it is not ours.
        UsageError: `size` is out of range.
    """
    if not 1 <= size <= MOST_HITS:
        raise UsageError(f"--size {size}: OpenSearch gives 1 to {MOST_HITS:,} hits.")
    meta = read_meta(cluster, index)
    if meta is None:
        raise missing_index(cluster, index)
    name = concrete_index(cluster, index)
    options = options or SearchOptions()
    if tuned:
        options = options.model_copy(update={"weights": saved_weights(cluster, name) | options.weights})
    return Context(
        cluster=cluster,
        index=name,
        meta=meta,
        content_terms=content_terms,
        size=size,
        filter=filter,
        query_weights=reader.weights if reader else None,
        query_ids=reader.ids if reader else None,
        query_vector=query_vector,
        options=options,
        companion=seismic_name(name) if meta.seismic else "",
    )


def search(
    cluster: Cluster,
    index: str,
    query: str,
    mode: str,
    *,
    content_terms: ContentTerms,
    size: int = 10,
    filter: Clause | None = None,
    terms: bool = True,
    reader: QueryReader | None = None,
    query_vector: Callable[[str], list[float]] | None = None,
    options: SearchOptions | None = None,
    on_step: Step = lambda _: None,
) -> SearchAnswer:
    """Search an index of ours.

    Args:
        cluster: where.
        index: made by `sparse-ko deploy`, or an alias of such a one.
        query: a question or keywords.
        mode: a name of `MODES`.
        content_terms: cuts a text into the terms that BM25 counts, as when the index was filled.
        size: how many hits.
        filter: a clause that hits must meet; see `parse_filters`.
        terms: whether hits say what added to their score: tokens, of a hybrid its parts, of a dense mode nothing.
        reader: reads queries on this machine, for modes that want that.
        query_vector: the same with the dense model.
        options: what the query forms can be told.
        on_step: told when a model that is not running is started again.

    Raises:
        UsageError: the query is empty or too long, the mode is unknown, or this machine or index lacks what it needs.
        ClusterError: there is no such index, or a model of it is gone or cannot be started again.
    """
    check_query(query)
    chosen = mode_named(mode)
    context = open_context(
        cluster,
        index,
        content_terms=content_terms,
        size=size,
        filter=filter,
        reader=reader,
        query_vector=query_vector,
        options=options,
        tuned=isinstance(chosen, HybridMode | ClientFusedMode),
    )
    if why := chosen.missing(context):
        raise UsageError(f"--mode {mode} cannot search {index}: {why}")
    if filter is not None:
        check_filter(cluster, context.index, filter)
    context = context.showing(SHOWN_FIELDS, explain=terms)
    try:
        return _search(chosen, query, context, reader)
    except ClusterError as failure:
        if not any(sign in failure.reason for sign in NOT_RUNNING):
            raise
        ensure_running(cluster, context.meta, on_step)
        return _search(chosen, query, context, reader)


def check_query(query: str) -> None:
    """Refuse a query that no mode can answer.

    Raises:
        UsageError: it is empty or longer than a query may be.
    """
    if not query.strip():
        raise UsageError("The query is empty.", 'For example: sparse-ko search --index NAME "전세 보증금 반환"')
    if len(query) > LONGEST_QUERY_CHARACTERS:
        raise UsageError(
            f"The query has {len(query):,} characters; {LONGEST_QUERY_CHARACTERS:,} is the limit, and an encoder reads about 1,000.",
            "Ask with the question alone. To search by a whole document, ask with its title or first paragraph.",
        )


def _search(mode: Mode, query: str, context: Context, reader: QueryReader | None) -> SearchAnswer:
    try:
        encoded = mode.encode(query, context)
        answer = mode.ask(encoded, context)
        shares: dict[str, list[float]] = {}
        if context.explain and isinstance(mode, HybridMode | ClientFusedMode):
            shares = mode.shares(encoded, answer, context)
    except ValueError as failure:
        raise UsageError(f"The query cannot be sent: {failure}", "Shorten it, or use another model.") from failure
    except ClusterError as failure:
        if "too_many" in failure.reason or "maxClauseCount" in failure.reason:
            raise UsageError("The query has more than 1,024 terms, which is where OpenSearch stops.", "Shorten it.") from failure
        raise
    found = {hit["_id"]: hit for hit in answer.raw["hits"]["hits"]}
    hits = []
    for passage, score in answer.ranking:
        hit = found[passage]
        if isinstance(mode, HybridMode | ClientFusedMode):
            terms: dict[str, float] = dict(zip(mode.parts, shares.get(passage, ()), strict=False))
        else:
            terms = _terms(mode, hit.get("_explanation", {}), reader)
        source = hit.get("_source", {})
        hits.append(Hit(id=passage, score=score, title=source.get("title", ""), text=source.get("text", ""), terms=terms))
    return SearchAnswer(mode=mode.name, took_ms=answer.took_ms, hits=hits)


def _terms(mode: Mode, explanation: dict[str, Any], reader: QueryReader | None) -> dict[str, float]:
    if not explanation:
        return {}
    if isinstance(mode, Bm25Mode | AnalyzedMode):
        return bm25_contributions(explanation, mode.fields[0])
    if isinstance(mode, SeismicMode):
        return seismic_contributions(explanation, reader.spelling if reader else None)
    if isinstance(mode, SparseMode | SparseTokensMode):
        return sparse_contributions(explanation)
    return {}  # a distance of two vectors has no terms
