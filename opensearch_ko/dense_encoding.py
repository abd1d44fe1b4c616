"""Dense models that encode passages on the client: a folder by torch, an exported zip by onnxruntime."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

from opensearch_ko.export.archive import ModelArchive
from opensearch_ko.prefixes import prefix_for
from retrieval_ko.errors import ModelError, UsageError

BATCH_SIZE = 32
"""Texts that go through a network at once, of like length."""


class DenseEncoder(Protocol):
    """Turns passages into what the field `dense` stores."""

    def encode(self, texts: Sequence[str]) -> list[list[float]]:
        """Return the vector of each text as a passage, with what stands before it."""


class DenseFolder:
    """A dense bi-encoder of sentence-transformers.

    Args:
        folder: of the model.
        prefix: put before passages whatever the index was deployed with; None: what `remembered` says.
        remembered: what the node puts before passages, by the index; None: the folder's template is taken, as `dense_ko.BiEncoder` does.

    Raises:
        ModelError: the folder is missing, cannot be loaded or contradicts itself.
        DataError: its record is damaged.
    """

    def __init__(self, folder: Path, prefix: str | None = None, remembered: str | None = None) -> None:
        self.folder = Path(folder)
        if not self.folder.is_dir():
            raise ModelError(f"There is no dense model folder {folder}.", "Name a folder of sentence-transformers: --dense DIR")
        from sentence_transformers import SentenceTransformer

        from dense_ko.loading import template_in

        try:
            self._model = SentenceTransformer(str(self.folder), local_files_only=True)
        except (OSError, ValueError, KeyError, RuntimeError) as failure:
            raise ModelError(f"The dense model folder {folder} cannot be loaded: {' '.join(str(failure).split())[:300]}") from failure
        choice = template_in(self._model, self.folder)
        self.prefix = prefix_for("passage", asked=prefix, remembered=remembered, own=choice.prefixes.passage, why=choice)

    def encode(self, texts: Sequence[str]) -> list[list[float]]:
        """Return the vector of each text as a passage, `prefix` before it."""
        vectors: Any = self._model.encode_document(list(texts), prompt=self.prefix, batch_size=BATCH_SIZE, show_progress_bar=False)
        return [[float(number) for number in row] for row in vectors]


class DenseArchive:
    """A dense zip of `sparse-ko export --format onnx`, run by onnxruntime as the node runs it; needs no torch.

    Args:
        path: of the zip.
        prefix: put before passages whatever the index was deployed with; None: what `remembered` says.
        remembered: what the node puts before passages, by the index; None: what the zip was exported with.

    Raises:
        ModelError, DataError: the zip is missing or damaged.
        UsageError: it is no dense model's or holds TorchScript, or onnxruntime is not installed.
    """

    def __init__(self, path: Path, prefix: str | None = None, remembered: str | None = None) -> None:
        card = ModelArchive.read(path).card
        if card.role != "dense":
            raise UsageError(
                f"{path} is a sparse model's ({card.role}), no dense one's.", "Name the dense model's zip or folder: --dense DIR|ZIP"
            )
        if card.model_format != "ONNX":
            raise UsageError(
                f"{path} holds TorchScript, which runs in the cluster only.",
                "Name the model folder it was exported from, or a zip of: sparse-ko export --model DIR --format onnx --out DIR",
            )
        from dense_ko.embedding.onnx_encoder import OnnxBiEncoder

        self._encoder = OnnxBiEncoder(path, normalize=False)  # as long as the graph makes them: the node normalises nothing either
        # An int8 graph scales its activations over a batch; alone, a text gets the node's own vector.
        self._batch_size = 1 if card.precision == "int8" else BATCH_SIZE
        own = self._encoder.prefixes
        self.prefix = prefix_for("passage", asked=prefix, remembered=remembered, own=own.passage, why=f"as {path} was exported with")
        self._encoder.prefixes = own._replace(passage=self.prefix)

    def encode(self, texts: Sequence[str]) -> list[list[float]]:
        """Return the vector of each text as a passage, `prefix` before it."""
        rows: list[list[float]] = self._encoder.encode_passages(texts, self._batch_size).tolist()
        return rows


def load_dense_encoder(model: Path, prefix: str | None = None, remembered: str | None = None) -> DenseEncoder:
    """Load a dense model's folder or zip; see `DenseFolder` and `DenseArchive`."""
    return DenseArchive(model, prefix, remembered) if Path(model).is_file() else DenseFolder(model, prefix, remembered)
