"""What a mode is, and what it is given: an index, its models, and how this machine reads a query."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any, Literal, Protocol

from opensearchpy.exceptions import TransportError
from pydantic import BaseModel, ConfigDict, Field

from opensearch_ko.cluster import Cluster
from opensearch_ko.errors import ClusterError
from opensearch_ko.indexes import IndexMeta, missing_index
from opensearch_ko.queries.bodies import MOST_TOKENS, Clause

SEARCH_SECONDS = 60
"""A search may run a model for its query."""

Technique = Literal["min_max", "l2", "z_score", "rrf"]
Ranking = list[tuple[str, float]]
"""(passage id, score), the best first, ties by id."""


class SearchOptions(BaseModel):
    """What a query form can be told beyond its size; the defaults are the node's unless said otherwise."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    depth: int = Field(default=100, ge=1, le=10_000)
    """Candidates of kNN, SEISMIC and each part of a hybrid, per shard; more where more hits are asked for. The node's own 10 costs
    recall."""
    two_phase_ratio: float = Field(default=0.3, ge=0, lt=1)
    """Query tokens lighter than this share of the heaviest one wait for the second phase. The node's own 0.4 lost 3 % of the first ten
    on long questions, where 0.3 lost none (docs/search.md)."""
    expansion_rate: float = Field(default=5.0, ge=1)
    """The second phase reads this many times `size` passages."""
    top_n: int = Field(default=MOST_TOKENS, ge=1)
    """SEISMIC: only so many of a query's heaviest tokens are searched by; all, since the node's own 10 lost a third of the first ten on
    questions of 60 tokens, and saved next to nothing (docs/search.md)."""
    heap_factor: float = Field(default=1.0, gt=0)
    """SEISMIC: above 1 it looks into more clusters: better and slower."""
    rank_constant: int = Field(default=60, ge=1, le=10_000)
    """RRF: a passage at place r adds 1 / (rank_constant + r)."""
    weights: dict[str, tuple[float, ...]] = {}
    """Weights of a hybrid's parts by the mode's name, summing to 1; a mode that is not named weighs its parts alike."""
    fusion: Technique = "min_max"
    """How `dense+seismic` is fused; every other mode of several parts names its technique."""


DEFAULT_OPTIONS = SearchOptions()


@dataclass(frozen=True)
class Context:
    """Everything a mode needs beside the query.

    Args:
        cluster: where.
        index: made by `sparse-ko deploy`; an alias is resolved where a mode needs the concrete name.
        meta: what the index remembers of its models.
        content_terms: cuts a text into the terms that BM25 counts, as when the index was filled.
        size: how many hits.
        filter: a clause that hits must meet, e.g. {"term": {"metadata.law": "민법"}}.
        query_weights: reads a query on this machine, by token.
        query_ids: the same by token id.
        query_vector: reads a query on this machine with the dense model.
        options: what the query forms can be told.
        source: fields that come with a hit; none where only ids are wanted.
        explain: whether the node explains its scores.
        companion: the index of the SEISMIC field; empty: it is looked up before every search.
    """

    cluster: Cluster
    index: str
    meta: IndexMeta
    content_terms: Callable[[str], list[str]]
    size: int = 10
    filter: Clause | None = None
    query_weights: Callable[[str], dict[str, float]] | None = None
    query_ids: Callable[[str], dict[int, float]] | None = None
    query_vector: Callable[[str], list[float]] | None = None
    options: SearchOptions = DEFAULT_OPTIONS
    source: Sequence[str] = ()
    explain: bool = False
    companion: str = ""

    def showing(self, source: Sequence[str], *, explain: bool) -> Context:
        """Return the same context with the fields that come with a hit."""
        return replace(self, source=tuple(source), explain=explain)

    @property
    def depth(self) -> int:
        """How many candidates are looked for: never fewer than hits are asked for."""
        return max(self.size, self.options.depth)


@dataclass(frozen=True)
class SearchRequest:
    """One `_search`: where, and what."""

    index: str
    body: dict[str, Any]


@dataclass(frozen=True)
class Answer:
    """What a mode found.

    Args:
        ranking: the best first, ties by id.
        took_ms: the server's own time.
        raw: the node's answer; of a mode that is fused here, its parts' hits made one list.
    """

    ranking: Ranking
    took_ms: int
    raw: dict[str, Any]


class Mode(Protocol):
    """One way to search an index. `label` is for tables, `fields` are what the index stores for it."""

    @property
    def name(self) -> str:
        """What `--mode` is given."""

    @property
    def label(self) -> str:
        """What a table's reader is told."""

    @property
    def fields(self) -> tuple[str, ...]:
        """Fields of the mapping that it searches; of the companion index with `seismic:` before them."""

    def missing(self, context: Context) -> str | None:
        """Say what keeps this mode from running here, and what mends it; None: nothing."""

    def encode(self, text: str, context: Context) -> Any:  # noqa: ANN401  what `ask` wants
        """Do what this machine has to do with a query before anything is sent."""

    def requests(self, encoded: Any, context: Context) -> list[SearchRequest]:  # noqa: ANN401  what `encode` gave
        """Return what is sent."""

    def ask(self, encoded: Any, context: Context) -> Answer:  # noqa: ANN401  what `encode` gave
        """Search.

        Raises:
            ClusterError: there is no such index, the model is not running, or only a part of the shards answered.
        """


def post(context: Context, request: SearchRequest) -> dict[str, Any]:
    """Send one search and return the node's whole answer.

    Raises:
        ClusterError: as `Mode.ask`.
    """
    with _named(context, request):
        answer: dict[str, Any] = context.cluster.request(
            "POST", f"/{request.index}/_search", request.body, params={"request_cache": "false"}, timeout_seconds=SEARCH_SECONDS
        )
    return _whole(context, request, answer)


def post_together(context: Context, requests: Sequence[SearchRequest]) -> tuple[list[dict[str, Any]], int]:
    """Send several searches in one request, which the node works on side by side; return their whole answers and its own milliseconds.

    Raises:
        ClusterError: as `Mode.ask`, of the first search that failed.
    """
    lines = [line for request in requests for line in ({"index": request.index, "request_cache": False}, request.body)]
    body = "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines)
    answer = context.cluster.request("POST", "/_msearch", body, timeout_seconds=SEARCH_SECONDS)
    answers: list[dict[str, Any]] = answer["responses"]
    for request, own in zip(requests, answers, strict=True):
        if "error" in own:
            with _named(context, request), context.cluster.explained(f"POST /{request.index}/_search"):
                raise TransportError(int(own["status"]), str(own["error"]), own)
        _whole(context, request, own)
    return answers, int(answer["took"])


@contextmanager
def _named(context: Context, request: SearchRequest) -> Iterator[None]:
    """Say which index is missing where that is why a search failed."""
    try:
        yield
    except ClusterError as failure:
        if failure.status == 404 and "index_not_found" in failure.reason:
            raise missing_index(context.cluster, request.index) from failure
        raise


def _whole(context: Context, request: SearchRequest, answer: dict[str, Any]) -> dict[str, Any]:
    """Return the answer of a search, if every shard gave its part."""
    if answer.get("timed_out") or answer["_shards"]["failed"]:
        raise ClusterError(
            f"{context.cluster.url}: the search in {request.index} was not complete: "
            f"{answer['_shards']['failed']} of {answer['_shards']['total']} shards failed.",
            "Look at the node's log, then search again.",
        )
    return answer


def answer_of(raw: Mapping[str, Any]) -> Answer:
    """Read a node's answer."""
    ranking = [(str(hit["_id"]), float(hit["_score"])) for hit in raw["hits"]["hits"]]
    return Answer(sorted(ranking, key=lambda hit: (-hit[1], hit[0])), int(raw["took"]), dict(raw))
