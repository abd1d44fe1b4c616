"""The zip that ML Commons registers, and the card inside it that says what the model answered when it was exported."""

from __future__ import annotations

import zipfile
from dataclasses import dataclass
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
    """First 12 hexadecimal digits of the model folder's SHA-256, with the precision or the pruning of the graph behind it where
    there is one: the same folder exported in the same way gives the same version."""
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
    """The weights that the PyTorch model gives `probe_text`, by token."""
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
            ModelError: not a zip, not exactly one `.pt`, no `tokenizer.json`, or no card of ours.
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
        graphs = [name for name in names if name.endswith((".pt", ".onnx"))]
        if len(graphs) != 1:
            raise ModelError(
                f"{path} holds {len(graphs)} model files ({', '.join(graphs) or 'none'}); ML Commons wants exactly one.", export_hint
            )
        if "tokenizer.json" not in names:
            raise ModelError(f"{path} has no tokenizer.json at its root.", export_hint)
        if card_text is None:
            raise ModelError(f"{path} has no {CARD_NAME}, so its answers cannot be checked after the deploy.", export_hint)
        try:
            card = ExportCard.model_validate_json(card_text)
        except ValidationError as failure:
            raise DataError(f"{path}: {CARD_NAME} is not readable: {failure.error_count()} errors.", export_hint) from failure
        return cls(path=path, card=card, sha256=sha256(path), size_bytes=path.stat().st_size)
