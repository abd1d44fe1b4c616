"""What a benchmark is told."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field

from opensearch_ko.queries.modes import SearchOptions
from retrieval_ko.evaluation.judging import DEPTH


class BenchmarkSettings(BaseModel):
    """How much is asked. The defaults keep a two-mode run on a small collection within a minute."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    modes: tuple[str, ...] = ("bm25", "sparse")
    queries: int | None = Field(default=None, ge=1)
    """At most so many queries are asked at all, drawn by a hash of their ids; None: all of the split."""
    rounds: int = Field(default=3, ge=1)
    """How often each timed query is asked by each mode; the round for quality before it is the warm-up."""
    size: int = Field(default=DEPTH, ge=1, le=DEPTH)
    """Hits that a timed request asks for. 100 is what OpenSearch Benchmark's workload asks for; a page of results is 10."""
    timed_queries: int = Field(default=300, ge=1)
    """At most so many queries are timed, chosen by a hash of their ids; quality is that of all that are asked."""
    checked_queries: int = Field(default=50, ge=0)
    """Queries whose rankings are worked out again here, and whose postings are counted; 0: neither is done."""
    sizes: bool = True
    """Whether bytes are measured: each field is copied into an index of its own, so large indexes take a while."""
    incomplete: bool = False
    """Whether to measure though the index does not hold all passages; its quality is then that of another collection."""
    clients: tuple[int, ...] = ()
    """Numbers of clients that ask at once, ascending; empty: no sweep."""
    sweep_seconds: float = Field(default=5.0, gt=0)
    """How long each step of the sweep lasts."""
    command: str = ""
    """What was typed, for the report."""
    data: dict[str, str] = {}
    """SHA-256 of the collection's files, for the report: only numbers on identical data may be compared."""
    options: SearchOptions = SearchOptions()
    """Of the query forms."""
