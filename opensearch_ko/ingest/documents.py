"""A passage as lines of a bulk request: its fields in the index, and in the companion index of a SEISMIC field."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

from opensearch_ko.encoding import PassageEncoder
from opensearch_ko.indexes import DENSE_FIELD, HIGHEST_SEISMIC_ID, SPARSE_FIELD, IndexMeta, seismic_name
from opensearch_ko.pipelines import pipeline_name
from retrieval_ko.errors import DataError, UsageError
from retrieval_ko.records import Passage

CLUSTER_CHUNK = 16
"""Passages in one request when the node encodes: it reads one after the other, and the request waits for all."""
CLIENT_CHUNK = 100
"""Passages in one request when the weights come with them: some 2 KB each."""
CHUNK_BYTES = 10 * 1024 * 1024
"""Below http.max_content_length (100 MB) and most proxies' limits."""
WINDOW = 128
"""Passages that are encoded together: sorted by length among themselves, so that batches hold little padding."""
LONGEST_ID_BYTES = 512

Cut = tuple[int, Passage, list[str]]
"""A passage's place in the corpus, the passage, and its terms for BM25."""


@dataclass(frozen=True)
class Action:
    """What a passage becomes in one index: two lines of a bulk request."""

    place: int
    """In the corpus, from 0."""
    passage_id: str
    index: str
    lines: bytes


@dataclass
class Chunk:
    """What goes into one request, and what was refused before it got that far."""

    actions: list[Action] = field(default_factory=list)
    refused: dict[int, dict[str, Any]] = field(default_factory=dict)
    """Place → the row of the failures file."""

    @property
    def places(self) -> set[int]:
        """The passages that the request holds."""
        return {action.place for action in self.actions}


class DocumentWriter:
    """Makes bulk actions of passages.

    Args:
        index: the concrete index.
        meta: what it remembers: which fields it has, and the pruning.
        encoder: computes the fields here; None: the index's pipeline does it in the cluster.

    Raises:
        UsageError: the index has a dense field and the encoder no dense model.
    """

    def __init__(self, index: str, meta: IndexMeta, encoder: PassageEncoder | None) -> None:
        self.index, self.meta, self.encoder = index, meta, encoder
        self.chunk_size = CLIENT_CHUNK if encoder else CLUSTER_CHUNK
        if encoder is not None and meta.dense is not None and encoder.dense([]) is None:
            raise UsageError(
                f"The index {index} has a dense field ({meta.dense.name}), and nothing on this machine computes it.",
                "Name the dense model's folder, --dense DIR, or let the cluster encode: --encode cluster",
            )

    def chunks(self, passages: Iterable[Cut]) -> Iterator[Chunk]:
        """Yield requests of at most `chunk_size` passages and 10 MiB, in the order of the corpus.

        Raises:
            DataError: the encoder gave something that cannot be stored.
        """
        waiting = iter(passages)
        chunk, size, passages_in = Chunk(), 0, 0
        while window := list(islice(waiting, WINDOW if self.encoder else self.chunk_size)):
            for place, passage_id, written in self._written(window):
                if isinstance(written, str):
                    chunk.refused[place] = {"_id": passage_id, "_index": self.index, "status": 400, "reason": written}
                    continue
                length = sum(len(action.lines) for action in written)
                if chunk.actions and (passages_in == self.chunk_size or size + length > CHUNK_BYTES):
                    yield chunk
                    chunk, size, passages_in = Chunk(), 0, 0
                chunk.actions += written
                size, passages_in = size + length, passages_in + 1
        if chunk.actions or chunk.refused:
            yield chunk

    def _written(self, window: Sequence[Cut]) -> Iterator[tuple[int, str, list[Action] | str]]:
        """Yield place, id, and the passage's actions, or why it cannot be sent."""
        texts = [passage.passage_text for _, passage, _ in window]
        weights: Sequence[Mapping[str, float] | None] = self.encoder.sparse(texts) if self.encoder else [None] * len(texts)
        vectors = self.encoder.dense(texts) if self.encoder and self.meta.dense else None
        for number, ((place, passage, terms), row) in enumerate(zip(window, weights, strict=True)):
            size = len(passage.id.encode())
            if size > LONGEST_ID_BYTES:
                # For one of them OpenSearch would refuse the whole request, the other passages with it.
                reason = f"the id has {size} bytes; OpenSearch takes {LONGEST_ID_BYTES} (a Hangul syllable is 3)"
                yield place, passage.id, reason
                continue
            try:
                actions = list(self._actions(place, passage, terms, row, vectors[number] if vectors else None))
            except UnicodeEncodeError:
                yield place, passage.id, "the text holds half a character (a lone surrogate), which is no UTF-8"
            else:
                yield place, passage.id, actions

    def _actions(
        self, place: int, passage: Passage, terms: Sequence[str], weights: Mapping[str, float] | None, vector: list[float] | None
    ) -> Iterator[Action]:
        shared: dict[str, Any] = {"title": passage.title, "text": passage.text}
        if passage.metadata:
            shared["metadata"] = passage.metadata
        document = shared | {"passage": passage.passage_text, "morphemes": " ".join(terms)}
        kept = None if weights is None else self.meta.pruning.apply(storable(passage.id, weights))
        if kept is not None and self.meta.by_token:
            document[SPARSE_FIELD] = kept
        if vector is not None:
            document[DENSE_FIELD] = self._checked_vector(passage.id, vector)
        yield _action(place, passage.id, self.index, {}, document)
        if self.meta.seismic is None:
            return
        companion = seismic_name(self.index)
        if kept is not None:
            # An empty field, first in a segment, would make 3.6 refuse every field that is not empty ("index options=NONE").
            field = {SPARSE_FIELD: self._by_id(passage.id, kept)} if kept else {}
            yield _action(place, passage.id, companion, {}, shared | field)
        else:
            pipeline = {"pipeline": pipeline_name(companion)}
            yield _action(place, passage.id, companion, pipeline, shared | {"passage": passage.passage_text})

    def _by_id(self, passage_id: str, weights: Mapping[str, float]) -> dict[str, float]:
        assert self.encoder is not None
        found = {}
        for token, weight in weights.items():
            number = self.encoder.ids(token)
            if number is None or number > HIGHEST_SEISMIC_ID:
                raise DataError(
                    f"The passage {passage_id} has the token {token!r} (id {number}); SEISMIC takes ids up to {HIGHEST_SEISMIC_ID:,}.",
                    "Use an encoder with a smaller vocabulary, or deploy without the SEISMIC index.",
                )
            found[str(number)] = weight
        return found

    def _checked_vector(self, passage_id: str, vector: list[float]) -> list[float]:
        assert self.meta.dense is not None
        if len(vector) != self.meta.dense.dimension or not all(map(math.isfinite, vector)):
            raise DataError(
                f"The dense model gave the passage {passage_id} a vector that cannot be stored: {len(vector)} numbers, wanted "
                f"{self.meta.dense.dimension} finite ones."
            )
        return [_shortest(number) for number in vector]


def storable(passage_id: str, weights: Mapping[str, float]) -> dict[str, float]:
    """Return the weights as the node would store them: 32-bit floats, zeros left out.

    Raises:
        DataError: one is negative or no number.
    """
    broken = {token: weight for token, weight in weights.items() if not math.isfinite(weight) or weight < 0}
    if broken:
        raise DataError(f"The encoder gave the passage {passage_id} weights that cannot be stored: {dict(list(broken.items())[:3])}.")
    return {token: _shortest(weight) for token, weight in weights.items() if weight > 0}


def _shortest(number: float) -> float:
    """Nine digits are any 32-bit float exactly; more would only make requests longer."""
    return float(f"{number:.9g}")


def _action(place: int, passage_id: str, index: str, extra: Mapping[str, str], document: Mapping[str, Any]) -> Action:
    head = json.dumps({"index": {"_index": index, "_id": passage_id, **extra}}, ensure_ascii=False)
    return Action(place, passage_id, index, f"{head}\n{json.dumps(document, ensure_ascii=False)}\n".encode())
