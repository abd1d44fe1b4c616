"""Passages into an index: in bulk, safe to repeat, with a file of what the cluster would not take."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, Literal

from opensearchpy.helpers import streaming_bulk

from opensearch_ko.cluster import Cluster
from opensearch_ko.indexes import missing_index, read_meta
from retrieval_ko.errors import DataError
from retrieval_ko.files import write_jsonl
from retrieval_ko.records import Passage

Encode = Literal["cluster", "client"]
EncodeDocuments = Callable[[list[str]], list[dict[str, float]]]

CLUSTER_CHUNK = 16
"""Passages in one request when the node encodes: it reads one after the other, and the request waits for all."""
CLIENT_CHUNK = 200
"""Passages in one request when the weights come with them: some 2 KB each."""
CHUNK_BYTES = 10 * 1024 * 1024
"""Below http.max_content_length (100 MB) and most proxies' limits."""
LONGEST_ID_BYTES = 512
REQUEST_SECONDS = 300
RETRIES = 6
"""With the pauses of 1, 2, 4 … 30 s, a minute and a half for a full queue (HTTP 429) to drain."""


@dataclass(frozen=True)
class IngestReport:
    """What became of the passages. `failures` is the file that says why each failed, None where none did."""

    indexed: int
    failed: int
    seconds: float
    failures: Path | None = None


def index_collection(
    cluster: Cluster,
    index: str,
    passages: Iterable[Passage],
    *,
    content_terms: Callable[[str], list[str]],
    encode: Encode = "cluster",
    encode_documents: EncodeDocuments | None = None,
    on_progress: Callable[[int], None] | None = None,
    failures: Path | None = None,
) -> IngestReport:
    """Write passages into an index of ours. The id of a passage is its `_id`, so a second run overwrites and adds nothing.

    Args:
        cluster: where.
        index: made by `ensure_index`.
        passages: what.
        content_terms: cuts a text into the terms that BM25 counts.
        encode: "cluster": the ingest pipeline's model writes the weights. "client": `encode_documents` does, and the pipeline is passed by.
        encode_documents: texts to weights by token, in order.
        on_progress: told how many passages are done, failed ones included.
        failures: where the passages that the cluster refused are listed, {"_id", "status", "reason"} a line; by default
            `INDEX-failed.jsonl` in the current folder.

    Raises:
        ClusterError: there is no such index, or the cluster stopped answering. What was written stays; run it again.
        DataError: `encode_documents` gave weights that rank_features cannot hold.
    """
    if encode == "client" and encode_documents is None:
        raise ValueError('encode="client" needs encode_documents')
    if read_meta(cluster, index) is None:
        raise missing_index(cluster, index)
    begin = time.monotonic()
    refused: list[dict[str, Any]] = []
    storable = _with_short_ids(passages, refused)
    documents = _documents(storable, content_terms, encode_documents if encode == "client" else None)
    actions = ({"_op_type": "index", "_index": index, "_id": passage_id, "_source": source} for passage_id, source in documents)
    indexed = 0
    with cluster.explained(f"POST /_bulk into {index}"):
        results = streaming_bulk(
            cluster.client,
            actions,
            chunk_size=CLIENT_CHUNK if encode == "client" else CLUSTER_CHUNK,
            max_chunk_bytes=CHUNK_BYTES,
            raise_on_error=False,
            max_retries=RETRIES,
            initial_backoff=1,
            max_backoff=30,
            request_timeout=REQUEST_SECONDS,
            **({"pipeline": "_none"} if encode == "client" else {}),
        )
        for accepted, result in results:
            if accepted:
                indexed += 1
            else:
                refused.append(_refusal(result))
            if on_progress:
                on_progress(indexed + len(refused))
    cluster.request("POST", f"/{index}/_refresh")
    listed = None
    if refused:
        listed = failures or Path(f"{index}-failed.jsonl")
        write_jsonl(listed, refused)
    return IngestReport(indexed, len(refused), time.monotonic() - begin, listed)


def _with_short_ids(passages: Iterable[Passage], refused: list[dict[str, Any]]) -> Iterator[Passage]:
    """Keep back ids that OpenSearch cannot hold: for one of them it refuses the whole request, the other passages with it."""
    for passage in passages:
        size = len(passage.id.encode())
        if size <= LONGEST_ID_BYTES:
            yield passage
        else:
            reason = f"the id has {size} bytes; OpenSearch takes {LONGEST_ID_BYTES} (a Hangul syllable is 3)"
            refused.append({"_id": passage.id, "status": 400, "reason": reason})


def _documents(
    passages: Iterable[Passage], content_terms: Callable[[str], list[str]], encode_documents: EncodeDocuments | None
) -> Iterator[tuple[str, dict[str, Any]]]:
    waiting = iter(passages)
    while batch := list(islice(waiting, CLIENT_CHUNK)):
        weights = encode_documents([passage.passage_text for passage in batch]) if encode_documents else []
        for position, passage in enumerate(batch):
            source: dict[str, Any] = {
                "title": passage.title,
                "text": passage.text,
                "passage": passage.passage_text,
                "morphemes": " ".join(content_terms(passage.passage_text)),
            }
            if passage.metadata:
                source["metadata"] = passage.metadata
            if encode_documents:
                source["sparse"] = _storable(passage.id, weights[position])
            yield passage.id, source


def _storable(passage_id: str, weights: Mapping[str, float]) -> dict[str, float]:
    broken = {token: weight for token, weight in weights.items() if not math.isfinite(weight) or weight < 0}
    if broken:
        raise DataError(f"The encoder gave the passage {passage_id} weights that cannot be stored: {dict(list(broken.items())[:3])}.")
    return {token: float(weight) for token, weight in weights.items() if weight > 0}


def _refusal(result: Mapping[str, Any]) -> dict[str, Any]:
    outcome = next(iter(result.values()))
    error = outcome.get("error", {})
    words = []
    cause: Any = error
    while isinstance(cause, dict):
        words.append(": ".join(str(cause[part]) for part in ("type", "reason") if cause.get(part)))
        cause = cause.get("caused_by")
    return {"_id": outcome.get("_id"), "status": outcome.get("status"), "reason": " ← ".join(words) or str(error)}
