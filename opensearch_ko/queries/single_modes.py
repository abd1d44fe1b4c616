"""The modes that ask one question of one field, by name."""

from __future__ import annotations

from opensearch_ko.indexes import DENSE_FIELD, SPARSE_FIELD
from opensearch_ko.queries.dense_modes import DenseMode, ExactDenseMode, KnnMode
from opensearch_ko.queries.single_mode import SingleMode
from opensearch_ko.queries.sparse_modes import (
    SeismicMode,
    SeismicTokensMode,
    SparseMode,
    SparseTokensMode,
    TwoPhaseMode,
    TwoPhaseTokensMode,
)
from opensearch_ko.queries.text_modes import AnalyzedMode, Bm25Mode

SPARSE_FIELDS = (SPARSE_FIELD,)
SEISMIC_FIELDS = (f"seismic:{SPARSE_FIELD}",)
DENSE_FIELDS = (DENSE_FIELD,)

SINGLE_MODES: tuple[SingleMode, ...] = (
    Bm25Mode("bm25", "BM25, Kiwi", ("morphemes",)),
    AnalyzedMode("bm25-cjk", "BM25, cjk", ("passage.cjk",)),
    AnalyzedMode("bm25-nori", "BM25, nori", ("passage.nori",)),
    SparseMode("sparse", "sparse, model in the cluster", SPARSE_FIELDS),
    SparseTokensMode("sparse-tokens", "sparse, query read by the client", SPARSE_FIELDS),
    TwoPhaseMode("sparse-two-phase", "sparse, two-phase", SPARSE_FIELDS),
    TwoPhaseTokensMode("sparse-tokens-two-phase", "sparse, two-phase, query read by the client", SPARSE_FIELDS),
    SeismicMode("seismic", "SEISMIC, model in the cluster", SEISMIC_FIELDS),
    SeismicTokensMode("seismic-tokens", "SEISMIC, query read by the client", SEISMIC_FIELDS),
    DenseMode("dense", "dense HNSW, model in the cluster", DENSE_FIELDS),
    KnnMode("knn", "dense HNSW, query read by the client", DENSE_FIELDS),
    ExactDenseMode("dense-exact", "dense, exact", DENSE_FIELDS),
)
