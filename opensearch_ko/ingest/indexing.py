"""Passages into an index: terms, encoding and sending overlap; nothing is lost, and a run that ended early goes on."""

from __future__ import annotations

import glob
import hashlib
import json
import time
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from opensearch_ko.cluster import Cluster
from opensearch_ko.encoding import PassageEncoder
from opensearch_ko.errors import ClusterError
from opensearch_ko.indexes import SPARSE_FIELD, IndexMeta, concrete_index, missing_index, read_meta, seismic_name
from opensearch_ko.ingest.ahead import ahead
from opensearch_ko.ingest.bulk import BulkSender, Outcome, Patience
from opensearch_ko.ingest.checkpoint import Checkpoint
from opensearch_ko.ingest.documents import WINDOW, Chunk, Cut, DocumentWriter
from opensearch_ko.pipelines import pipeline_body, pipeline_name
from retrieval_ko.files import write_jsonl
from retrieval_ko.records import Passage
from retrieval_ko.term_cache import TermCache, default_folder
from retrieval_ko.terms import Tokenization, terms_of_many

Encode = Literal["cluster", "client"]

SENDERS = 2
"""Requests under way at once: the node works at one while the next is on its way."""
REFRESH_SECONDS = 900
"""A SEISMIC field clusters its postings when a segment is written, which takes minutes for 100,000 passages on two cores."""
CHUNKS_AHEAD = 4


@dataclass(frozen=True)
class IngestReport:
    """What became of the passages."""

    indexed: int
    """In this run."""
    failed: int
    """Refused, each for a reason of its own, which `failures` says."""
    skipped: int
    """In already, by the checkpoint."""
    seconds: float
    docs_per_second: float
    """Of this run, the wait for the index to show them included."""
    failures: Path | None = None
    checkpoint: Path | None = None
    """What a further run would go on from: only where passages failed."""


def index_collection(
    cluster: Cluster,
    index: str,
    passages: Iterable[Passage],
    *,
    content_terms: Callable[[str], list[str]] | None = None,
    workers: int = 1,
    term_cache: bool = False,
    encode: Encode = "cluster",
    encoder: PassageEncoder | None = None,
    checkpoint: Path | None = None,
    collection_sha256: str = "",
    on_progress: Callable[[int], None] | None = None,
    on_step: Callable[[str], None] | None = None,
    failures: Path | None = None,
    patience: Patience | None = None,
    senders: int = SENDERS,
) -> IngestReport:
    """Write passages into an index of ours, and into its SEISMIC companion. A passage's id is its `_id`: a second run adds nothing.

    Memory does not grow with the collection where `passages` is read as it goes (`Corpus`).

    Args:
        cluster: where.
        index: made by `deploy_archive`; an alias of one index will do.
        passages: what, in an order that does not change between a run and the one that goes on from its checkpoint.
        content_terms: cuts one text into the terms that BM25 counts. None: Kiwi's content terms, by `workers` processes.
        workers: processes for Kiwi.
        term_cache: whether Kiwi's analyses are kept on disk and taken from there.
        encode: "cluster": the ingest pipeline's models write weights and vectors. "client": `encoder` does, and the pipeline is passed by.
            The same pruning either way.
        encoder: computes them here.
        checkpoint: file that says which passages are in; an earlier run's is gone on from. It is deleted when all are in.
        collection_sha256: of the corpus; a checkpoint of another one is refused.
        on_progress: told how many passages are done, failed and skipped ones included; at once where a checkpoint skips some.
        on_step: told what is waited for, in a few words.
        failures: where the passages that the cluster refused are listed, {"_id", "_index", "status", "reason"} a line; by default
            `INDEX-failed.jsonl` in the current folder.
        patience: how long a cluster that takes nothing is waited for.
        senders: requests under way at once.

    Raises:
        ClusterError: there is no such index, or the cluster stopped taking passages. What was written stays; run it again.
        DataError: the encoder gave what cannot be stored, or a file is damaged.
        UsageError: the checkpoint is of another run, or an index with a dense field is to be filled without a dense model.
    """
    if encode == "client" and encoder is None:
        raise ValueError('encode="client" needs an encoder')
    begin = time.monotonic()
    say = on_step or (lambda _: None)
    target = Target.find(cluster, index)
    refused: dict[int, dict[str, Any]] = {}
    indexed = 0
    with ExitStack() as stack:
        if encode == "cluster":
            target.check_pipeline(cluster)
            stack.enter_context(_companion_pipeline(cluster, target))
        writer = DocumentWriter(target.name, target.meta, encoder if encode == "client" else None)
        journal = None
        if checkpoint is not None:
            journal = stack.enter_context(Checkpoint(checkpoint, target.identity(collection_sha256)))
            if len(journal):
                say(f"going on from {checkpoint}: {len(journal):,} passages are in")
        skipped = len(journal) if journal is not None else 0
        if skipped and on_progress:
            on_progress(skipped)
        sender = BulkSender(
            cluster,
            parameters={"pipeline": "_none"} if encode == "client" else {},
            patience=patience,
            revive=(lambda: _revive(cluster, target.meta, say)) if encode == "cluster" else None,
            on_step=say,
        )
        missing = ((place, passage) for place, passage in enumerate(passages) if journal is None or place not in journal)
        cut = ahead(_cut(missing, content_terms, workers, term_cache), WINDOW)
        chunks = ahead(writer.chunks(cut), CHUNKS_AHEAD)
        try:
            with closing(cut), closing(chunks), closing(_sent(chunks, sender, senders)) as outcomes:
                for outcome in outcomes:
                    if journal is not None:
                        journal.add(outcome.accepted)
                    indexed += len(outcome.accepted)
                    refused |= outcome.refused
                    if on_progress:
                        on_progress(skipped + indexed + len(refused))
        finally:
            listed = _list(refused, failures or Path(f"{index}-failed.jsonl"))
        for name in target.indexes:
            cluster.request("POST", f"/{name}/_refresh", timeout_seconds=REFRESH_SECONDS)
        target.check_unchanged(cluster)
        if journal is not None and not refused:
            journal.remove()
    seconds = time.monotonic() - begin
    kept = checkpoint if refused else None
    return IngestReport(indexed, len(refused), skipped, seconds, indexed / seconds, listed, kept)


def default_checkpoint(cluster: Cluster, index: str, collection_sha256: str) -> tuple[Path, list[Path]]:
    """Return where the checkpoint of such a run lies by default, below the user's cache folder, and those of unfinished other runs.

    The file's name holds what it is bound to, so a run of another collection, model or index begins a file of its own.

    Raises:
        ClusterError: there is no such index.
    """
    target = Target.find(cluster, index)
    identity = json.dumps(target.identity(collection_sha256), sort_keys=True)
    folder = default_folder().parent / "ingest"
    path = folder / f"{target.name}-{hashlib.sha256(identity.encode()).hexdigest()[:12]}.jsonl"
    others = folder.glob(f"{glob.escape(target.name)}-{'[0-9a-f]' * 12}.jsonl")
    return path, sorted(other for other in others if other != path)


@dataclass(frozen=True)
class Target:
    """The index that is filled: its concrete name, its uuid, what it remembers."""

    name: str
    uuid: str
    meta: IndexMeta
    pipeline: str
    """Its default ingest pipeline, "" where it has none."""

    @classmethod
    def find(cls, cluster: Cluster, index: str) -> Target:
        """Return the index that a name or an alias stands for.

        Raises:
            ClusterError: there is none, it is not ours, or the alias stands for several.
        """
        name = concrete_index(cluster, index)
        meta = read_meta(cluster, name)
        if meta is None:
            raise missing_index(cluster, index)
        settings = cluster.request("GET", f"/{name}/_settings")[name]["settings"]["index"]
        return cls(name, settings["uuid"], meta, settings.get("default_pipeline", ""))

    @property
    def indexes(self) -> list[str]:
        """The index, and its companion where it has one."""
        return [self.name, *([seismic_name(self.name)] if self.meta.seismic else [])]

    def identity(self, collection_sha256: str) -> dict[str, str]:
        """Return what a checkpoint is bound to.

        Not to model ids: a model that was registered anew is the same model. Nor to who encodes: both write the same, so a run that
        the cluster began may be ended by the client.
        """
        dense = f"{self.meta.dense.title} ({self.meta.dense.fingerprint})" if self.meta.dense else ""
        return {
            "index": self.name,
            "uuid": self.uuid,
            "collection": collection_sha256,
            "model": f"{self.meta.encoder.title} ({self.meta.encoder.fingerprint})",
            "dense model": dense,
        }

    def check_pipeline(self, cluster: Cluster) -> None:
        """Make sure that the index has a pipeline that fills every field of it.

        Raises:
            ClusterError: it has not, or one of its models was never deployed.
        """
        undeployed = [model.title for model in (self.meta.encoder, self.meta.dense) if model is not None and not model.model_id]
        if undeployed:
            raise ClusterError(
                f"{cluster.url}: {' and '.join(undeployed)}, which the index {self.name} was made for, runs on no node.",
                "Encode here: --encode client --model DIR|ZIP    or deploy it into the cluster: sparse-ko deploy",
            )
        if not self.pipeline or cluster.find(f"/_ingest/pipeline/{self.pipeline}") is None:
            raise ClusterError(
                f"{cluster.url}: the ingest pipeline {self.pipeline or pipeline_name(self.name)} of the index {self.name} is missing.",
                f"Put it back: sparse-ko deploy --model DIR|ZIP --index {self.name}    or encode here: --encode client --model DIR|ZIP",
            )

    def check_unchanged(self, cluster: Cluster) -> None:
        """Make sure that the index is still the one that was there at the beginning.

        Raises:
            ClusterError: it was deleted meanwhile, and perhaps made anew by a request of ours, without our fields.
        """
        found = cluster.find(f"/{self.name}/_settings")
        if not found or found[self.name]["settings"]["index"]["uuid"] != self.uuid:
            raise ClusterError(
                f"{cluster.url}: the index {self.name} was deleted while it was filled.",
                f"Delete what is left of it, then: sparse-ko deploy --model DIR|ZIP --index {self.name}    and sparse-ko index",
            )


def _cut(
    passages: Iterable[tuple[int, Passage]], content_terms: Callable[[str], list[str]] | None, workers: int, cached: bool
) -> Generator[Cut]:
    """Yield passages with their terms. Runs in one thread, which the cache's connection belongs to."""
    if content_terms is not None:
        for place, passage in passages:
            yield place, passage, content_terms(passage.passage_text)
        return
    waiting: deque[tuple[int, Passage]] = deque()

    def texts() -> Iterator[str]:
        for numbered in passages:
            waiting.append(numbered)
            yield numbered[1].passage_text

    with ExitStack() as stack:
        cache = stack.enter_context(TermCache()) if cached else None
        for terms in terms_of_many(texts(), Tokenization.KIWI_CONTENT, workers=workers, cache=cache):
            yield (*waiting.popleft(), terms)


def _sent(chunks: Iterable[Chunk], sender: BulkSender, senders: int) -> Generator[Outcome]:
    """Yield what became of each chunk, in order, with up to `senders` requests under way and as many waiting."""
    pool = ThreadPoolExecutor(senders, thread_name_prefix="bulk")
    waiting: deque[Future[Outcome]] = deque()
    try:
        for chunk in chunks:
            waiting.append(pool.submit(sender.send, chunk))
            if len(waiting) >= 2 * senders:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        sender.stopped.set()
        pool.shutdown(wait=True, cancel_futures=True)


def _revive(cluster: Cluster, meta: IndexMeta, on_step: Callable[[str], None]) -> None:
    from opensearch_ko.models.running import ensure_running

    ensure_running(cluster, meta, on_step)


@contextmanager
def _companion_pipeline(cluster: Cluster, target: Target) -> Iterator[None]:
    """Give the companion index a pipeline of its own while the cluster encodes: into its field the same processor writes token ids."""
    if target.meta.seismic is None:
        yield
        return
    path = f"/_ingest/pipeline/{pipeline_name(seismic_name(target.name))}"
    body = pipeline_body(target.meta.model_copy(update={"by_token": True, "dense": None}))
    empty = {"field": SPARSE_FIELD, "if": f"ctx.{SPARSE_FIELD} != null && ctx.{SPARSE_FIELD}.isEmpty()"}  # why: `DocumentWriter._actions`
    cluster.request("PUT", path, body | {"processors": [*body["processors"], {"remove": {"field": "passage"}}, {"remove": empty}]})
    try:
        yield
    finally:
        cluster.request("DELETE", path)


def _list(refused: dict[int, dict[str, Any]], path: Path) -> Path | None:
    if not refused:
        return None
    write_jsonl(path, (refused[place] for place in sorted(refused)))
    return path
