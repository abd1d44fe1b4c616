"""What 8-bit weights cost: how far the vectors move, and the nDCG of both on a collection."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from scipy.sparse import csr_matrix
from tokenizers import Tokenizer

from opensearch_ko.export.onnx_session import encode_rows, load_onnx
from opensearch_ko.export.parity import Graph, Row
from retrieval_ko.collection import Collection
from retrieval_ko.errors import DataError
from retrieval_ko.evaluation.judging import judge, queries_of
from sparse_ko.model import SparseEncoder
from sparse_ko.retrieval import SparseIndex

TOP = 10
SPLIT = "dev"
METRIC = "ndcg@10"


def vector_quality(expected: Iterator[tuple[int, Row]], graph: Graph, tokenizer: Tokenizer, texts: Sequence[str]) -> dict[str, float]:
    """Return what is left of the vectors: mean and worst cosine with fp32, active dimensions of both, share of the top 10 in common.

    Args:
        expected: places in `texts` and fp32's weights; texts without any weight are left out.
        graph: the int8 graph.
        tokenizer: turns texts into what it reads.
        texts: what both were given.
    """
    cosines, shares, active = [], [], []
    for place, full in expected:
        if not full.any():
            continue
        found = graph(tokenizer.encode(texts[place]).ids)[: len(full)]
        lengths = float(np.linalg.norm(found) * np.linalg.norm(full))
        cosines.append(float(found @ full) / lengths if lengths else 0.0)
        size = min(TOP, int(np.count_nonzero(full)))
        shares.append(len(set(_heaviest(found, size)) & set(_heaviest(full, size))) / size)
        active.append((np.count_nonzero(full), np.count_nonzero(found)))
    before, after = np.mean(active, axis=0)
    return {
        "mean_cosine": round(float(np.mean(cosines)), 4),
        "worst_cosine": round(min(cosines), 4),
        "active_dimensions_fp32": round(float(before), 1),
        "active_dimensions_int8": round(float(after), 1),
        f"top_{TOP}_in_common": round(float(np.mean(shares)), 4),
    }


def _heaviest(row: Row, size: int) -> list[int]:
    return np.argsort(-row, kind="stable")[:size].tolist()  # type: ignore[no-any-return]


def retrieval_quality(encoder: SparseEncoder, file: bytes, tokenizer_json: str, collection: Collection) -> dict[str, float]:
    """Return nDCG@10 of the model and of its int8 graph on the collection's dev split, by exact search.

    The queries of a doc-only or lexical-floor model come from its table on both sides.

    Raises:
        DataError: the collection has no dev split.
    """
    if SPLIT not in collection.judgements:
        raise DataError(f"The collection {collection.name} has no {SPLIT} split to measure int8 on.", "Name another one: --collection DIR")
    queries = queries_of(collection, SPLIT)
    passages = list(collection.passages.values())
    session, tokenizer = load_onnx(file), Tokenizer.from_str(tokenizer_json)

    def encode(texts: Sequence[str]) -> csr_matrix:
        rows = encode_rows(session, tokenizer, texts)
        ends = np.cumsum([0, *map(len, rows)])
        tokens = np.fromiter((token for row in rows for token in row), dtype=np.int32, count=ends[-1])
        weights = np.fromiter((weight for row in rows for weight in row.values()), dtype=np.float32, count=ends[-1])
        return csr_matrix((weights, tokens, ends), shape=(len(rows), len(encoder.tokenizer)))

    asked = list(queries.values())
    before = SparseIndex(encoder, passages), encoder.encode_query(asked)
    siamese = encoder.form == "siamese"
    after = (
        SparseIndex(encoder, passages, weights=encode([passage.passage_text for passage in passages])),
        encode(asked) if siamese else before[1],
    )
    quality = {}
    for precision, (index, vectors) in {"fp32": before, "int8": after}.items():
        scores = judge(precision, zip(queries, index.rankings(vectors), strict=True), collection, SPLIT).scores
        quality[f"{METRIC}_{precision}"] = round(scores.mean[METRIC], 4)
    return quality
