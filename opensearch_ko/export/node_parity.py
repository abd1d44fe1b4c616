"""The gate once more, with a node on the other side: what a deployed model answers, token by token, by tokens and by ids."""

from __future__ import annotations

import zipfile
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
from tokenizers import Tokenizer

from opensearch_ko.cluster import Cluster
from opensearch_ko.errors import DeployError
from opensearch_ko.export.archive import ModelArchive, graph_names
from opensearch_ko.export.parity import Parity, Row, compare, reference
from opensearch_ko.export.parity_texts import PARITY_TEXTS
from opensearch_ko.export.query_tokenizer import query_answers
from opensearch_ko.export.tokenizer import SERVER_LIMIT_TOKENS, spellings
from opensearch_ko.export.writer import runnable
from opensearch_ko.models import predict_dense, predict_sparse
from opensearch_ko.pruning import Pruning
from sparse_ko.forms.network import Kind

if TYPE_CHECKING:
    from sparse_ko.model import SparseEncoder

TEXTS_AT_ONCE = 16


def check_parity_on_node(
    cluster: Cluster,
    model_id: str,
    archive: ModelArchive,
    *,
    encoder: SparseEncoder | None = None,
    texts: Sequence[str] = PARITY_TEXTS,
    on_progress: Callable[[int], None] | None = None,
) -> Parity:
    """Compare what a deployed model answers with the model itself; of a sparse one by tokens (WORD) and by ids (TOKEN_ID).

    Args:
        cluster: where it is deployed.
        model_id: the deployed model.
        archive: the zip it was deployed from: an encoder's, a query tokenizer's or a dense one's.
        encoder: the PyTorch model that a sparse zip was written from. None, and always for int8: the zip's own graph, run here, which
            the export compared with PyTorch.
        texts: what both are given.
        on_progress: called with the number of texts that the node has answered, each way of answering for itself.

    Raises:
        DeployError: a weight or a number differs by more than the card's tolerance; names the text, the token and both weights.
        ClusterError: the model does not answer.
    """
    if archive.card.role == "dense":
        return _dense_parity(cluster, model_id, archive, texts, on_progress)
    tokenizer = Tokenizer.from_str(_read(archive, "tokenizer.json").decode())
    own_graph = encoder is None or archive.card.precision == "int8"
    if own_graph:
        expected: list[tuple[int, Row]] = [(place, row) for place, row in enumerate(_own_answers(archive, tokenizer, texts))]
    else:
        assert encoder is not None
        kind: Kind = "query" if archive.card.role == "query-tokenizer" else "document"
        expected = list(reference(encoder, texts, kind, SERVER_LIMIT_TOKENS))
    pruning = Pruning() if own_graph else archive.card.pruning
    found: list[Parity] = []
    for keys in ("WORD", "TOKEN_ID") if not archive.card.probe_by_id else ("TOKEN_ID",):
        answers = _node_rows(cluster, model_id, tokenizer, texts, keys, on_progress)
        found.append(
            compare(
                expected,
                answers.__getitem__,
                tokenizer,
                texts,
                partial(_refusal, cluster, model_id, keys),
                pruning=pruning,
                tolerance=archive.card.tolerance,
            )
        )
    return max(found, key=lambda parity: parity.largest_difference)


def _node_rows(
    cluster: Cluster, model_id: str, tokenizer: Tokenizer, texts: Sequence[str], keys: str, on_progress: Callable[[int], None] | None
) -> list[Row]:
    names = spellings(tokenizer)
    ids = {name: token for token, name in enumerate(names)} if keys == "WORD" else {str(token): token for token in range(len(names))}
    rows = []
    for start in range(0, len(texts), TEXTS_AT_ONCE):
        part = texts[start : start + TEXTS_AT_ONCE]
        for text, weights in zip(part, predict_sparse(cluster, model_id, part, token_ids=keys == "TOKEN_ID"), strict=True):
            if strange := sorted(weights.keys() - ids.keys()):
                raise _refusal(cluster, model_id, keys, f"for {text[:40]!r} it names {strange[0]!r}, which the tokenizer has not")
            row = np.zeros(len(names), dtype=np.float32)
            for key, weight in weights.items():
                row[ids[key]] = weight
            rows.append(row)
        if on_progress:
            on_progress(start + len(part))
    return rows


def _own_answers(archive: ModelArchive, tokenizer: Tokenizer, texts: Sequence[str]) -> Iterable[Row]:
    if archive.card.role == "query-tokenizer":
        return map(query_answers(_read(archive, "tokenizer.json").decode(), _read(archive, "idf.json").decode()), texts)
    graph = _own_graph(archive)
    return (graph(tokenizer.encode(text).ids) for text in texts)


def _own_graph(archive: ModelArchive) -> Callable[[list[int]], Row]:
    with zipfile.ZipFile(archive.path) as content:
        [name] = graph_names(content.namelist())
        file = content.read(name)
    return runnable(file, "onnx" if archive.card.model_format == "ONNX" else "torchscript")


def _dense_parity(
    cluster: Cluster, model_id: str, archive: ModelArchive, texts: Sequence[str], on_progress: Callable[[int], None] | None
) -> Parity:
    graph, tokenizer = _own_graph(archive), Tokenizer.from_str(_read(archive, "tokenizer.json").decode())
    config, largest, tolerance = archive.card.registration or {}, 0.0, archive.card.tolerance
    for side in ("passage", "query"):
        prefix = config.get(f"{side}_prefix") or ""
        for start in range(0, len(texts), TEXTS_AT_ONCE):
            part = texts[start : start + TEXTS_AT_ONCE]
            for text, vector in zip(part, predict_dense(cluster, model_id, part, side=side), strict=True):
                own = np.asarray(graph(tokenizer.encode(prefix + text).ids)).reshape(-1)
                differences = np.abs(own - np.asarray(vector, dtype=np.float32))
                if not (differences <= tolerance).all():
                    worst = int(np.where(np.isnan(differences), np.inf, differences).argmax())
                    raise _refusal(
                        cluster,
                        model_id,
                        side,
                        f"for {text[:40]!r} the dimension {worst} is {vector[worst]:.6f} instead of {own[worst]:.6f} "
                        f"(tolerance {tolerance:g})",
                    )
                largest = max(largest, float(differences.max()))
            if on_progress:
                on_progress(start + len(part))
    return Parity(len(texts), largest, 0.0, tolerance)


def _read(archive: ModelArchive, name: str) -> bytes:
    with zipfile.ZipFile(archive.path) as content:
        return content.read(name)


def _refusal(cluster: Cluster, model_id: str, keys: str, difference: str) -> DeployError:
    return DeployError(
        f"{cluster.url}: the model {model_id} does not answer as it does here ({keys}): {difference}.",
        "Compare the node's version with those in docs/export.md, and export the model anew.",
    )
