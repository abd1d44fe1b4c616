"""Encoders that run on the client: a model folder by torch, an exported zip by onnxruntime, a dense model beside either."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from opensearch_ko.dense_encoding import DenseEncoder, load_dense_encoder
from opensearch_ko.prefixes import without_mark
from retrieval_ko.errors import UsageError
from retrieval_ko.files import folder_sha256

if TYPE_CHECKING:
    from tokenizers import Tokenizer

    from opensearch_ko.export.onnx_session import OnnxEncoder
    from opensearch_ko.index_meta import IndexMeta
    from sparse_ko.model import SparseEncoder

BATCH_SIZE = 32
"""Most texts that go through a network at once, of like length."""
LOGITS = 2**25
"""Numbers in a batch's logits, [texts, tokens, vocabulary]: 128 MB, of which a network holds two or three at once on a CPU."""
GPU_LOGITS = 2**29
"""The same on an accelerator, 2 GB."""
LONGEST_TOKENS = 512
"""Where the node cuts a text whose tokenizer names no limit."""


class PassageEncoder(Protocol):
    """Turns passages into what an index stores."""

    def sparse(self, texts: Sequence[str]) -> list[dict[str, float]]:
        """Return the weights of each text by token, all > 0, nothing pruned that the graph does not prune."""

    def ids(self, token: str) -> int | None:
        """Return the id of a token that `sparse` named, None where it is none of the vocabulary."""

    def dense(self, texts: Sequence[str]) -> list[list[float]] | None:
        """Return the vector of each text as a passage; None where there is no dense model."""


class _WithDense:
    def __init__(self, dense: DenseEncoder | None) -> None:
        self._dense = dense

    def dense(self, texts: Sequence[str]) -> list[list[float]] | None:
        """Return the dense model's vectors, None where there is none."""
        return self._dense.encode(texts) if self._dense else None


class TorchPassageEncoder(_WithDense):
    """A model folder, run by torch.

    Args:
        encoder: the sparse model.
        dense: the dense one beside it.
    """

    def __init__(self, encoder: SparseEncoder, dense: DenseEncoder | None = None) -> None:
        super().__init__(dense)
        self._encoder = encoder
        self._names = _names(encoder.tokenizer.backend_tokenizer)
        self._ids = {name: token for token, name in enumerate(self._names) if name}
        on_cpu = all(parameter.device.type == "cpu" for parameter in encoder.module.parameters())
        self.batch_size = batch_size(encoder.max_tokens, len(self._names), LOGITS if on_cpu else GPU_LOGITS)

    def sparse(self, texts: Sequence[str]) -> list[dict[str, float]]:
        """Return the weights of each text by token."""
        weights = self._encoder.encode_document(list(texts), batch_size=self.batch_size)
        rows = []
        for start, end in zip(weights.indptr[:-1], weights.indptr[1:], strict=True):
            tokens, values = weights.indices[start:end].tolist(), weights.data[start:end].tolist()
            rows.append({self._names[token]: value for token, value in zip(tokens, values, strict=True) if self._names[token]})
        return rows

    def ids(self, token: str) -> int | None:
        """Return the id of a token."""
        return self._ids.get(token)


class OnnxPassageEncoder(_WithDense):
    """A zip of `sparse-ko export --format onnx`, run by onnxruntime; needs no torch.

    Args:
        encoder: the sparse model.
        dense: the dense one beside it.
    """

    def __init__(self, encoder: OnnxEncoder, dense: DenseEncoder | None = None) -> None:
        super().__init__(dense)
        self._encoder = encoder
        self._names = _names(encoder.tokenizer)
        self._ids = {name: token for token, name in enumerate(self._names) if name}
        self.batch_size = batch_size((encoder.tokenizer.truncation or {}).get("max_length", LONGEST_TOKENS), len(self._names))

    def sparse(self, texts: Sequence[str]) -> list[dict[str, float]]:
        """Return the weights of each text by token."""
        rows = self._encoder.encode_ids(list(texts), self.batch_size)
        return [{self._names[token]: weight for token, weight in row.items() if self._names[token]} for row in rows]

    def ids(self, token: str) -> int | None:
        """Return the id of a token."""
        return self._ids.get(token)


def batch_size(max_tokens: int, vocabulary_size: int, logits: int = LOGITS) -> int:
    """Return how many texts may go through a network at once, so that a large vocabulary does not fill the memory."""
    return max(1, min(BATCH_SIZE, logits // (max_tokens * vocabulary_size)))


def load_encoder(model: Path, dense: Path | None = None, *, meta: IndexMeta | None = None, prefix: str | None = None) -> PassageEncoder:
    """Load what encodes passages on this machine.

    Args:
        model: a model folder (torch), or a zip with an ONNX graph (onnxruntime).
        dense: a sentence-transformers folder (torch), or a dense zip with an ONNX graph (onnxruntime).
        meta: of the index that is filled, which says what stands before the dense model's passages; None: its folder or zip does.
        prefix: what stands there whatever they say.

    Raises:
        ModelError, DataError: one of them is missing or damaged.
        UsageError: a zip holds TorchScript or another kind of model, or onnxruntime is not installed.
    """
    model = Path(model)
    remembered = meta.dense.passage_prefix if meta and meta.dense else None
    beside = load_dense_encoder(Path(dense), prefix, remembered) if dense else None
    if model.is_dir():
        from sparse_ko.model import SparseEncoder

        return TorchPassageEncoder(SparseEncoder.load(model), beside)
    from opensearch_ko.export.archive import ModelArchive
    from opensearch_ko.export.onnx_session import OnnxEncoder

    card = ModelArchive.read(model).card
    if card.role != "encoder":
        raise UsageError(f"{model} is a {card.role}, no sparse encoder of passages.", "Name the encoder's zip or folder: --model DIR|ZIP")
    if card.model_format != "ONNX":
        raise UsageError(
            f"{model} holds TorchScript, which runs in the cluster only.",
            "Name the model folder it was exported from, or a zip of: sparse-ko export --model DIR --format onnx --out DIR",
        )
    return OnnxPassageEncoder(OnnxEncoder(model), beside)


def check_versions(meta: IndexMeta, index: str, model: Path, dense: Path | None = None) -> None:
    """Make sure that client-side weights are those of the index's own model: mixed, no score would mean anything.

    Raises:
        UsageError: the model or the dense model is another one, or the index's graph differs from the folder (int8, pruned).
    """
    _check_version(meta.encoder.name, meta.encoder.version, index, Path(model), "--model")
    if meta.dense is None and dense is not None:
        raise UsageError(f"The index {index} has no dense field.", "Leave --dense out, or deploy a dense model into a new index.")
    if meta.dense is not None and dense is not None:
        _check_version(meta.dense.name, meta.dense.version, index, Path(dense), "--dense")


def _check_version(name: str, wanted: str, index: str, model: Path, option: str) -> None:
    """Prefixes are left aside: whatever encodes here puts those before texts that the index remembers."""
    graph = _graph_of(wanted)
    if model.is_dir():
        found = folder_sha256(model)[:12]
        same, graph_differs = graph.partition("-")[0] == found, "-" in graph
    else:
        from opensearch_ko.export.archive import ModelArchive

        found = ModelArchive.read(model).card.version
        same, graph_differs = _graph_of(found) == graph, False
    if not same:
        deploy = f"--model {model}" if option == "--model" else f"--model DIR|ZIP {option} {model}"
        raise UsageError(
            f"The index {index} belongs to version {wanted} of {name}; {model} is version {found}.",
            f"Their weights cannot be mixed. Make an index for this one: sparse-ko deploy {deploy} --index OTHER",
        )
    if graph_differs:
        traced = "-onnx" not in wanted  # such a zip runs in the cluster only
        raise UsageError(
            f"The index {index} was made for version {wanted} of {name}, whose graph answers otherwise than the folder {model}.",
            f"Export it as it was deployed, but with --format onnx, and name that zip: {option} ZIP"
            if traced
            else f"Name the zip that was deployed: {option} ZIP",
        )


def _graph_of(version: str) -> str:
    """Leave out the prefixes, and `-onnx`: in fp32 both formats give the same weights. Without a hyphen it is the folder's own graph."""
    return without_mark(version).removesuffix("-onnx").replace("-onnx-", "-")


def _names(tokenizer: Tokenizer) -> list[str]:
    """Return what each id is called: as the node spells it where that is unique, else as the vocabulary has it; '' where it has no name."""
    from opensearch_ko.export.tokenizer import spellings

    names = spellings(tokenizer)
    spelt = [name for name in names if name]
    if len(set(spelt)) == len(spelt):
        return names
    return [tokenizer.id_to_token(token) or "" for token in range(len(names))]
