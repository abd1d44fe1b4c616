"""A bi-encoder's exported graph, run by onnxruntime: needs neither torch nor the model folder, and int8 graphs run nowhere else.

What it reads: a zip of `sparse-ko export --format onnx` (one `.onnx`, `tokenizer.json`, and a card `sparse_ko.json` with the prefixes),
or an `.onnx` file with its `tokenizer.json` beside it. Pooling and normalisation are in the graph; its one output is [texts, 1,
dimensions] or [texts, dimensions].
"""

from __future__ import annotations

import hashlib
import json
import zipfile
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from tokenizers import Tokenizer

from dense_ko.embedding.arrays import Vectors
from dense_ko.templates import PREFIXES, Prefixes, TemplateMode, prefixes_of
from retrieval_ko.errors import ModelError, UsageError
from retrieval_ko.files import read_lines

CARD_NAME = "sparse_ko.json"
EXPORT_REMEDY = "Write one: sparse-ko export --model DIR --format onnx --precision int8 --out DIR"
PROVIDERS = {"cpu": "CPUExecutionProvider", "cuda": "CUDAExecutionProvider"}


class OnnxBiEncoder:
    """A bi-encoder out of an ONNX graph.

    An int8 graph scales its activations over a whole batch, so a text's vector depends a little on what it is encoded with.

    Args:
        source: the zip, or an `.onnx` file with tokenizer.json beside it.
        template: what stands before texts; None: what the zip's card says, nothing for an `.onnx` file.
        normalize: whether vectors get the length 1; None: unless the zip's card says that they are compared by the inner product.
        device: cpu or cuda; None: cpu.
        threads: for one batch; None lets onnxruntime choose.

    Raises:
        ModelError: it is missing or damaged, no bi-encoder, or can't be loaded.
        UsageError: onnxruntime or the device is missing, the zip holds TorchScript, or it was exported with another template.
    """

    def __init__(
        self,
        source: Path | str,
        template: TemplateMode | None = None,
        *,
        normalize: bool | None = None,
        device: str | None = None,
        threads: int | None = None,
    ) -> None:
        self.source = Path(source)
        graph, tokenizer, card = _parts(self.source)
        self.card = card
        self.prefixes = _prefixes(self.source, card, template)
        self.normalize = _is_cosine(card) if normalize is None else normalize
        self.device = device or "cpu"
        self._sha256 = hashlib.sha256(graph).hexdigest()
        self._tokenizer_sha256 = hashlib.sha256(tokenizer.encode()).hexdigest()
        try:
            self.tokenizer = Tokenizer.from_str(tokenizer)
        except Exception as failure:  # the library raises Exception itself
            raise ModelError(f"{self.source}: its tokenizer.json cannot be read: {' '.join(str(failure).split())[:200]}") from failure
        self.session = _session(graph, self.device, threads)
        known = {"input_ids", "attention_mask", "token_type_ids"}
        names = [node.name for node in self.session.get_inputs()]
        if not set(names) <= known:
            raise ModelError(
                f"The graph in {self.source} reads {', '.join(names)}, which no bi-encoder's does; is it a sparse encoder's?", EXPORT_REMEDY
            )

    def identity(self) -> dict[str, Any]:
        """Return what its vectors depend on, as JSON values."""
        return {
            "engine": "onnxruntime",
            "graph_sha256": self._sha256,
            "tokenizer_sha256": self._tokenizer_sha256,
            "precision": str(self.card.get("precision", "unknown")),
            "query_prefix": self.prefixes.query,
            "passage_prefix": self.prefixes.passage,
            "normalize": self.normalize,
            "device": self.device,
        }

    def encode_queries(self, texts: Sequence[str], batch_size: int = 64, on_progress: Callable[[int], None] | None = None) -> Vectors:
        """Return the vectors of queries, float32 [texts, dimensions]; `on_progress` is told how many are done."""
        return self._encode(texts, self.prefixes.query, batch_size, on_progress)

    def encode_passages(self, texts: Sequence[str], batch_size: int = 64, on_progress: Callable[[int], None] | None = None) -> Vectors:
        """Return the vectors of passages, float32 [texts, dimensions]; `on_progress` is told how many are done."""
        return self._encode(texts, self.prefixes.passage, batch_size, on_progress)

    def _encode(self, texts: Sequence[str], prefix: str, batch_size: int, on_progress: Callable[[int], None] | None) -> Vectors:
        encodings = [encoding.ids for encoding in self.tokenizer.encode_batch([prefix + text for text in texts])]
        order = sorted(range(len(texts)), key=lambda place: -len(encodings[place]))  # like lengths together: little padding
        rows: Vectors | None = None
        for start in range(0, len(order), batch_size):
            places = order[start : start + batch_size]
            vectors = self._run([encodings[place] for place in places])
            if rows is None:
                rows = np.empty((len(texts), vectors.shape[1]), dtype=np.float32)
            rows[places] = vectors
            if on_progress:
                on_progress(start + len(places))
        return np.empty((0, 0), dtype=np.float32) if rows is None else rows

    def _run(self, encodings: Sequence[Sequence[int]]) -> Vectors:
        longest = max(1, *map(len, encodings))
        ids = np.zeros((len(encodings), longest), dtype=np.int64)
        mask = np.zeros_like(ids)
        for place, row in enumerate(encodings):
            ids[place, : len(row)] = row
            mask[place, : len(row)] = 1
        values = {"input_ids": ids, "attention_mask": mask, "token_type_ids": np.zeros_like(ids)}
        output = np.asarray(self.session.run(None, {node.name: values[node.name] for node in self.session.get_inputs()})[0])
        if output.ndim == 3 and output.shape[1] == 1:
            output = output[:, 0]
        if output.ndim != 2:
            raise ModelError(
                f"The graph in {self.source} returns the shape {list(output.shape)} for {len(encodings)} texts: not pooled.",
                EXPORT_REMEDY,
            )
        vectors = output.astype(np.float32)
        if self.normalize:
            vectors /= np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)
        return vectors


def _parts(source: Path) -> tuple[bytes, str, dict[str, Any]]:
    """Return (graph, tokenizer.json, card)."""
    if not source.is_file():
        raise ModelError(f"There is no file {source}.", EXPORT_REMEDY)
    if source.suffix != ".zip":
        tokenizer = source.with_name("tokenizer.json")
        if not tokenizer.is_file():
            raise ModelError(f"There is no tokenizer.json beside {source}.", "Put the model's there, or name a zip of `sparse-ko export`.")
        return source.read_bytes(), "\n".join(line for _, line in read_lines(tokenizer)), {}
    try:
        with zipfile.ZipFile(source) as archive:
            names = archive.namelist()
            card = json.loads(archive.read(CARD_NAME)) if CARD_NAME in names else {}
            graphs = [name for name in names if name.endswith(".onnx")]
            if isinstance(card, dict) and card.get("role", "dense") != "dense":
                raise ModelError(f"{source} is a sparse model's ({card['role']}), no bi-encoder's.", EXPORT_REMEDY)
            if not graphs and any(name.endswith(".pt") for name in names):
                raise UsageError(f"{source} holds TorchScript, which runs in the cluster only.", EXPORT_REMEDY)
            if len(graphs) != 1 or "tokenizer.json" not in names or not isinstance(card, dict):
                raise ModelError(f"{source} is no exported bi-encoder: it holds {', '.join(names) or 'nothing'}.", EXPORT_REMEDY)
            return archive.read(graphs[0]), archive.read("tokenizer.json").decode(), card
    except (zipfile.BadZipFile, zlib.error, OSError, ValueError) as failure:
        raise ModelError(f"{source} cannot be read: {' '.join(str(failure).split())[:200]}.", EXPORT_REMEDY) from failure


def _prefixes(source: Path, card: dict[str, Any], template: TemplateMode | None) -> Prefixes:
    registration = card.get("registration")
    if not isinstance(registration, dict):
        return prefixes_of(template or TemplateMode.NONE)
    own = Prefixes(*(str(registration.get(f"{side}_prefix") or "") for side in ("query", "passage")))
    if template is not None and prefixes_of(template) != own:
        name = next((f", which is {mode.value}" for mode, known in PREFIXES.items() if known == own), "")
        raise UsageError(
            f"{source} puts {own.query!r} before queries and {own.passage!r} before passages{name}; the template {template.value} differs.",
            "Leave --template out: the zip knows what its model was trained with.",
        )
    return own


def _is_cosine(card: dict[str, Any]) -> bool:
    registration = card.get("registration")
    more = registration.get("additional_config") if isinstance(registration, dict) else None
    return not isinstance(more, dict) or more.get("space_type", "cosinesimil") == "cosinesimil"


def _session(graph: bytes, device: str, threads: int | None) -> Any:  # noqa: ANN401  an onnxruntime.InferenceSession, imported late
    try:
        import onnxruntime
    except ImportError as missing:
        raise UsageError("Running an ONNX graph needs onnxruntime.", "Install it: pip install 'sparse-ko[export]'") from missing
    provider = PROVIDERS.get(device.partition(":")[0])
    if provider is None or provider not in onnxruntime.get_available_providers():
        raise UsageError(
            f"This onnxruntime runs nothing on {device}.", "Leave --device out; for an NVIDIA GPU: pip install onnxruntime-gpu"
        )
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")  # waiting threads that spin starve everything beside them
    if threads:
        options.intra_op_num_threads = threads
    try:
        return onnxruntime.InferenceSession(graph, options, providers=[provider])
    except Exception as failure:  # the library's exceptions share no base class but this
        raise ModelError(f"onnxruntime can't load the graph: {' '.join(str(failure).split())[:300]}") from failure
