"""The zip that ML Commons registers, and the card inside it that says what the model answered when it was exported."""

from __future__ import annotations

import zipfile
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from opensearch_ko.pruning import Pruning
from retrieval_ko.errors import DataError, ModelError
from retrieval_ko.files import sha256

CARD_NAME = "sparse_ko.json"
"""Our card's name in the zip. ML Commons passes over files it doesn't know (contract, 1.1)."""


Role = Literal["encoder", "query-tokenizer", "dense"]
Precision = Literal["fp32", "int8"]


class ExportCard(BaseModel):
    """What an exported model is, and its answer to one sentence, so that a deploy can be checked without the folder."""

    model_config = ConfigDict(protected_namespaces=(), extra="forbid")

    name: str
    """Registered name; models of one name share a model group on the cluster."""
    version: str
    """First 12 hexadecimal digits of the model folder's SHA-256; behind them, where there is one, `-onnx`, `-int8` and the pruning of
    the graph, and `-prefixes-` with a hash where a dense model's prefixes are not the prompts in its folder. The same folder exported in
    the same way gives the same version."""
    role: Role = "encoder"
    """encoder: reads passages (and, siamese, queries). query-tokenizer: a doc-only encoder's queries. dense: a bi-encoder."""
    form: Literal["siamese", "doc-only", "lexical-floor", "dense"] = "siamese"
    function_name: Literal["SPARSE_ENCODING", "SPARSE_TOKENIZE", "TEXT_EMBEDDING"] = "SPARSE_ENCODING"
    model_format: Literal["TORCH_SCRIPT", "ONNX"] = "TORCH_SCRIPT"
    precision: Precision = "fp32"
    pruning: Pruning = Pruning()
    """What the graph itself drops, before any pipeline."""
    serves: list[Literal["rank_features", "sparse_vector", "knn_vector"]] = ["rank_features"]
    """Fields that the weights can go into: rank_features wants tokens that decode apart, sparse_vector ids up to 32,767."""
    vocabulary_size: int
    """Tokens; of a dense model the dimensions of its vectors."""
    max_tokens: int
    """Length at which the server cuts a text, special tokens included; at most 512."""
    heaviest_weight: float | None = None
    """Of all passages that parity was checked on; what SEISMIC's 8-bit weights must reach."""
    probe_text: str
    probe_weights: dict[str, float] = {}
    """The weights of `probe_text`, by the keys the node answers with (`probe_by_id`): the PyTorch model's; of an int8 graph its own, since
    what int8 costs is `quality`."""
    probe_vector: list[float] = []
    """What a dense PyTorch model makes of `probe_text` as a passage."""
    registration: dict[str, Any] | None = None
    """`model_config` of the registration, for TEXT_EMBEDDING only: for a sparse model 3.6 cannot read back what it stores."""
    tolerance: float = 1e-4
    """How far a deployed model's answer may be from the card's; wider for int8."""
    parity: dict[str, float | int]
    """What the parity gate measured: texts compared, largest difference, tolerance."""
    quality: dict[str, float] | None = None
    """What int8 costs: mean and worst cosine with fp32, active dimensions of both, share of the top 10 tokens in common."""
    versions: dict[str, str]
    """Versions of the libraries that wrote the graph."""

    @property
    def folder_version(self) -> str:
        """The first 12 hexadecimal digits of the model folder's SHA-256: what all exports of one folder share."""
        return self.version.partition("-")[0]

    @property
    def probe_by_id(self) -> bool:
        """Whether `probe_weights` go by token ids, since the tokens' spellings are not unique (TOKEN_ID), else by tokens (WORD)."""
        return self.role != "dense" and "rank_features" not in self.serves


@dataclass(frozen=True)
class ModelArchive:
    """A zip on disk, its card, and the hash and size that registration must state."""

    path: Path
    card: ExportCard
    sha256: str
    size_bytes: int

    @classmethod
    def read(cls, path: Path) -> ModelArchive:
        """Open a zip that `sparse-ko export` wrote.

        Raises:
            ModelError: not a zip, not exactly one graph (none in a query tokenizer's), no `tokenizer.json`, or no card of ours.
        """
        path = Path(path)
        export_hint = "Write it anew: sparse-ko export --model DIR --format torchscript --out DIR"
        try:
            with zipfile.ZipFile(path) as archive:
                names = archive.namelist()
                card_text = archive.read(CARD_NAME) if CARD_NAME in names else None
        except FileNotFoundError as failure:
            raise ModelError(f"There is no file {path}.", export_hint) from failure
        except (zipfile.BadZipFile, OSError) as failure:
            raise ModelError(f"{path} is not a readable zip file: {failure}.", export_hint) from failure
        card = None
        if card_text is not None:
            try:
                card = ExportCard.model_validate_json(card_text)
            except ValidationError as failure:
                raise DataError(f"{path}: {CARD_NAME} is not readable: {failure.error_count()} errors.", export_hint) from failure
        graphs = graph_names(names)
        wanted = 0 if card and card.role == "query-tokenizer" else 1
        if len(graphs) != wanted:
            raise ModelError(
                f"{path} holds {len(graphs)} model files ({', '.join(graphs) or 'none'}); "
                f"ML Commons wants {'exactly one' if wanted else 'none in a query tokenizer'}.",
                export_hint,
            )
        if "tokenizer.json" not in names:
            raise ModelError(f"{path} has no tokenizer.json at its root.", export_hint)
        if card is None:
            raise ModelError(
                f"{path} has no {CARD_NAME}, so its answers cannot be checked after the deploy.",
                f"{export_hint}\nWhat is wrong with a zip of someone else: sparse-ko export check {path}",
            )
        return cls(path=path, card=card, sha256=sha256(path), size_bytes=path.stat().st_size)


@dataclass(frozen=True)
class Exported:
    """What an export wrote."""

    encoder: ModelArchive
    query: ModelArchive | None = None
    """The SPARSE_TOKENIZE zip that reads the queries of a doc-only or lexical-floor model."""
    latency_ms: dict[str, float] = field(default_factory=dict)
    """Median time of one short text, in milliseconds: `pytorch`, and the graph under its format. Not in the card: it is of this machine."""


def graph_names(names: Iterable[str]) -> list[str]:
    """Return which of a zip's entries ML Commons takes for a graph."""
    return [name for name in names if name.endswith((".pt", ".onnx"))]


def query_archive_beside(path: Path) -> ModelArchive | None:
    """Return the query zip that belongs to an encoder's zip, None where the encoder reads queries itself or the zip isn't there.

    Args:
        path: the encoder's zip; the query zip lies in the same folder and was written from the same model folder.

    Raises:
        ModelError, DataError: as `ModelArchive.read`.
    """
    card = ModelArchive.read(path).card
    beside = Path(path).with_name(f"{query_name(card.name)}-{card.folder_version}.zip")
    if card.role != "encoder" or not beside.is_file():
        return None
    found = ModelArchive.read(beside)
    return found if found.card.role == "query-tokenizer" and found.card.name == query_name(card.name) else None


def query_name(encoder_name: str) -> str:
    """Return the name under which an encoder's query tokenizer is registered."""
    return f"{encoder_name}-query"
