"""An embedding run: texts in the order of their file, a shard at a time, and in the end all shards as one file."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Annotated, Any, Protocol

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from dense_ko.embedding.arrays import FileFormat, Vectors, files_of, write_embeddings
from dense_ko.embedding.shards import Shards, check_same
from dense_ko.embedding.texts import CheckedTexts, Kind, check_texts
from retrieval_ko.errors import ModelError, UsageError
from retrieval_ko.files import read_json, sha256, write_json

SHARD_SIZE = 4096
"""Texts a shard: what a kill costs at most, and what is in memory at once; 8 MB of vectors of 512 dimensions."""


class TextEncoder(Protocol):
    """What turns texts into vectors: `BiEncoder`, or `OnnxBiEncoder`."""

    def encode_queries(self, texts: Sequence[str], batch_size: int = 64, on_progress: Callable[[int], None] | None = None) -> Vectors:
        """Return float32 [texts, dimensions], texts of like length encoded together."""

    def encode_passages(self, texts: Sequence[str], batch_size: int = 64, on_progress: Callable[[int], None] | None = None) -> Vectors:
        """Return float32 [texts, dimensions], texts of like length encoded together."""


class EmbedSettings(BaseModel):
    """How a file of texts becomes a file of vectors.

    Args:
        kind: what the texts are.
        prefix: what the files' names begin with.
        file_format: npz, or npy.
        batch_size: texts that go through the network at once.
        shard_size: texts that are encoded, and written, together.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Kind
    prefix: Annotated[str, StringConstraints(min_length=1, max_length=100, pattern=r"^[^/\\\s.][^/\\\s]*$")]
    file_format: FileFormat = "npz"
    batch_size: int = Field(default=64, ge=1)
    shard_size: int = Field(default=SHARD_SIZE, ge=1)


@dataclass(frozen=True)
class Embedded:
    """What a run wrote.

    Args:
        files: with the embeddings.
        card: what they were made of: model, template, lengths, the input's SHA-256.
        texts: how many.
        dimensions: of a vector.
        encoded: texts that this run encoded; the others were there from a run that stopped.
        seconds: of this run.
    """

    files: list[Path]
    card: Path
    texts: int
    dimensions: int
    encoded: int
    seconds: float

    def as_json(self) -> dict[str, Any]:
        """Return it as JSON values."""
        speed = round(self.encoded / self.seconds, 1) if self.encoded else None
        return {
            "files": [str(file) for file in self.files],
            "card": str(self.card),
            "texts": self.texts,
            "dimensions": self.dimensions,
            "encoded": self.encoded,
            "seconds": round(self.seconds, 2),
            "texts_per_second": speed,
        }


OnProgress = Callable[[str, int, int | None], None]
"""Told what is done ("checking" or "encoding"), how many texts, and of how many; None: not known yet."""


def embed_file(
    load: Callable[[], tuple[TextEncoder, Mapping[str, Any]]],
    source: Path,
    folder: Path,
    settings: EmbedSettings,
    *,
    resume: bool = False,
    on_progress: OnProgress | None = None,
) -> Embedded:
    """Encode a file of texts and write the vectors; never more texts in memory than a shard holds.

    Every line is checked before the first text is encoded. Finished shards stand in `{folder}/.{prefix}.shards` until the end, so
    that a run which was killed goes on with `resume`, and ends with the same bytes as one that was not.

    Args:
        load: returns the encoder and what identifies it, as JSON values; called once the input is in order.
        source: JSON lines, see `dense_ko.embedding.texts`.
        folder: for the files; made if it is not there.
        settings: how.
        resume: go on with a run that stopped; where it had ended, nothing is encoded again.
        on_progress: told how far it is.

    Raises:
        DataError: the input is damaged; names the line.
        UsageError: an unfinished run is there and `resume` is not asked for, or it was made of another input, model or setting.
        ModelError: a vector holds something that is no number.
    """
    begun = time.perf_counter()
    folder = Path(folder)
    if folder.exists() and not folder.is_dir():
        raise UsageError(f"{folder} is a file.", "Name a folder: --outdir DIR")
    tell = on_progress or (lambda what, done, total: None)
    texts = check_texts(source, settings.kind, lambda count: tell("checking", count, None))
    encoder, identity = load()
    plan = {
        "input": {"sha256": texts.sha256, "texts": texts.count, "type": settings.kind},
        "model": dict(identity),
        "batch_size": settings.batch_size,
        "shard_size": settings.shard_size,
    }
    files = files_of(folder, settings.prefix, settings.file_format)
    card = folder / f"{settings.prefix}.embeddings.json"
    place = folder / f".{settings.prefix}.shards"
    if resume and not place.exists() and card.is_file() and all(file.is_file() for file in files):
        done = _ended(files, card, plan, begun)
        Shards(place).remove()  # a run that was killed while it cleaned up leaves some
        return done
    shards = Shards.open(place, plan, resume=resume)
    encoded = _encode(encoder, texts, settings, shards, tell)
    count = -(-texts.count // settings.shard_size)
    dimensions = shards.read(0)[1].shape[1]
    write_embeddings(files, lambda: shards.blocks(count), count=texts.count, longest_id=texts.longest_id, dimensions=dimensions)
    hashes = {file.name: sha256(file) for file in files}
    write_json(card, {"texts": texts.count, "dimensions": dimensions, "files": hashes, "made_of": plan})
    shards.remove()
    return Embedded(files, card, texts.count, dimensions, encoded, time.perf_counter() - begun)


def _encode(encoder: TextEncoder, texts: CheckedTexts, settings: EmbedSettings, shards: Shards, tell: OnProgress) -> int:
    """Make the shards that are not there; return how many texts they hold."""
    encode = encoder.encode_queries if settings.kind == "query" else encoder.encode_passages
    before = encoded = 0
    for number, part in enumerate(_parts(texts, settings.shard_size)):
        ids = [record for record, _ in part]
        if shards.is_done(number):
            shards.check_ids(number, ids)
        else:
            start = before

            def progress(done: int, start: int = start) -> None:
                tell("encoding", start + done, texts.count)

            vectors = encode([text for _, text in part], batch_size=settings.batch_size, on_progress=progress)
            _check_numbers(vectors, ids)
            shards.write(number, ids, vectors)
            encoded += len(part)
        before += len(part)
        tell("encoding", before, texts.count)
    return encoded


def _parts(texts: CheckedTexts, size: int) -> Iterator[list[tuple[str, str]]]:
    rows = iter(texts)
    while part := list(islice(rows, size)):
        yield part


def _check_numbers(vectors: Vectors, ids: Sequence[str]) -> None:
    finite = np.isfinite(vectors).all(axis=1)
    if not finite.all():
        raise ModelError(
            f"The model's vector of {ids[int(np.argmin(finite))]!r} holds something that is no number (NaN or infinite).",
            "Nothing was written for it. Was the training's last checkpoint damaged, or does the model overflow in half precision?",
        )


def _ended(files: list[Path], card: Path, plan: Mapping[str, Any], begun: float) -> Embedded:
    remedy = "Leave out --resume to make them anew, or choose another --prefix."
    held = read_json(card)
    check_same(plan, held.get("made_of") if isinstance(held, dict) else None, str(card), remedy)
    for file in files:
        if held.get("files", {}).get(file.name) != sha256(file):
            raise UsageError(f"{file} is not as the run of {card.name} left it.", remedy)
    return Embedded(files, card, int(held["texts"]), int(held["dimensions"]), 0, time.perf_counter() - begun)
