"""Rows of a comparison beside a bi-encoder's own: a sparse encoder, and the fusion of what both found, and of BM25's."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from pathlib import Path

from opensearch_ko.queries.fusion import fuse
from retrieval_ko.bm25 import Bm25Index, Ranking
from retrieval_ko.collection import Collection
from retrieval_ko.evaluation.judging import DEPTH, SystemResult, judge, queries_of
from retrieval_ko.term_cache import TermCache
from sparse_ko_cli.evaluate import system_name

BM25 = "bm25"


class HybridRows:
    """What a bi-encoder's rankings are fused with, made once: 100 places a query, by reciprocal rank, which has no weight to be tuned.

    Args:
        collection: what is searched.
        split: whose queries are asked.
        sparse: folder of a sparse encoder; None: BM25 alone.
        depth: places of the sparse encoder's own row.
        workers: processes for Kiwi, threads for search.
        cache: Kiwi's analyses of earlier runs.
        kept_folder: where the sparse encoder's weights of the passages are kept between runs; None keeps nothing.

    Raises:
        ModelError: the sparse encoder's folder is missing or damaged.
    """

    def __init__(
        self,
        collection: Collection,
        split: str,
        sparse: Path | None,
        *,
        depth: int,
        workers: int,
        cache: TermCache | None,
        kept_folder: Path | None = None,
    ) -> None:
        from sparse_ko.evaluation.encoded_passages import EncodedPassages
        from sparse_ko.model import SparseEncoder

        self._collection, self._split = collection, split
        self._depth, self._workers, self._cache = depth, workers, cache
        self._queries = queries_of(collection, split)
        self._sparse = (system_name(sparse), SparseEncoder.load(sparse)) if sparse else None
        self._kept = EncodedPassages.of(kept_folder, sparse, collection) if sparse else None
        self._own_row: SystemResult | None = None

    def of(self, name: str, rankings: Mapping[str, Ranking]) -> list[SystemResult]:
        """Return the fusions of an encoder's rankings with each other one and with all; before them, once, what is there without it.

        That is the sparse encoder's row, and its fusion with BM25.
        """
        mixtures = [[other] for other in self._others] + ([list(self._others)] if len(self._others) > 1 else [])
        without: list[SystemResult] = []
        if self._own_row:
            without = [self._own_row, *(self._fused(other, self._others[other], [BM25]) for other in self._others if other != BM25)]
            self._own_row = None
        return [*without, *(self._fused(name, rankings, mixture) for mixture in mixtures)]

    @cached_property
    def _others(self) -> dict[str, dict[str, Ranking]]:
        index = Bm25Index(self._collection.passages.values(), workers=self._workers, cache=self._cache)
        found = {BM25: dict(zip(self._queries, index.rank_many(self._queries.values(), DEPTH), strict=True))}
        del index
        if self._sparse:
            from sparse_ko.evaluation.measuring import measure_encoder

            name, encoder = self._sparse
            measured = measure_encoder(
                encoder, name, self._collection, self._split, depth=self._depth, workers=self._workers, kept=self._kept
            )
            self._own_row = measured.result
            found[name] = dict(zip(self._queries, measured.index.rankings(measured.vectors, DEPTH), strict=True))
        return found

    def _fused(self, name: str, rankings: Mapping[str, Ranking], mixture: list[str]) -> SystemResult:
        fused = ((query, fuse([rankings[query], *(self._others[other][query] for other in mixture)], "rrf")) for query in self._queries)
        return judge(f"{name}+{'+'.join(mixture)}", fused, self._collection, self._split, depth=DEPTH, fusion="rrf")
