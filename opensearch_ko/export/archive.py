"""The zip that ML Commons registers, and the card inside it that says what the model answered when it was exported."""

from __future__ import annotations

import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from retrieval_ko.errors import DataError, ModelError
from retrieval_ko.files import sha256

CARD_NAME = "sparse_ko.json"
"""Our card's name in the zip. ML Commons passes over files it doesn't know (contract, 1.1)."""


class ExportCard(BaseModel):
    """What an exported model is, and its answer to one sentence, so that a deploy can be checked without the folder."""

    model_config = ConfigDict(protected_namespaces=(), extra="forbid")

    name: str
    """Registered name; models of one name share a model group on the cluster."""
    version: str
    """First 12 hexadecimal digits of the model folder's SHA-256: the same folder gives the same version."""
    function_name: Literal["SPARSE_ENCODING"] = "SPARSE_ENCODING"
    model_format: Literal["TORCH_SCRIPT"] = "TORCH_SCRIPT"
    vocabulary_size: int
    max_tokens: int
    """Length at which the server cuts a text, special tokens included; at most 512."""
    probe_text: str
    probe_weights: dict[str, float]
    """The weights that the PyTorch model gives `probe_text`, by token."""
    parity: dict[str, float | int]
    """What the parity gate measured: texts compared, largest difference, tolerance."""
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
