"""A bi-encoder as a TEXT_EMBEDDING zip: transformer, pooling and normalisation in one graph.

What a node does, measured on 3.6.0. TorchScript (framework `sentence_transformers`): it hands over ids and mask and takes the tensor
`sentence_embedding` as it is. ONNX: the node pools the first tensor itself; the graph hands it the finished vector as the one place of
a sequence, and the node is told to pool by the first place (`cls`), which leaves it as it is.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sentence_transformers import SentenceTransformer
from sentence_transformers.base.modules import Transformer
from sentence_transformers.sentence_transformer.modules import Pooling
from tokenizers import Tokenizer
from torch import Tensor, nn

from dense_ko.loading import template_in
from dense_ko.templates import Prefixes
from opensearch_ko.export.archive import ExportCard, ModelArchive
from opensearch_ko.export.graph import plain
from opensearch_ko.export.parity import TOLERANCE
from opensearch_ko.export.parity_texts import PARITY_TEXTS, PROBE_TEXT
from opensearch_ko.export.tokenizer import SERVER_LIMIT_TOKENS, tokenizer_file
from opensearch_ko.export.writer import (
    ENDINGS,
    INT8_TOLERANCE,
    REGISTERED,
    ExportSettings,
    checked_name,
    default_name,
    library_versions,
    runnable,
    write_zip,
)
from opensearch_ko.prefixes import exported_prefixes, version_mark
from retrieval_ko.errors import ModelError
from training_ko.libraries import quiet_libraries

TYPED_MODELS = ("bert", "albert")
"""Kinds of model that a node hands `token_type_ids` to where the graph is ONNX."""
OUTPUT = "sentence_embedding"

Vector = NDArray[np.float32]


class DenseGraph(nn.Module):
    """All modules of a bi-encoder as one graph.

    Args:
        model: Transformer, Pooling and whatever comes after them.
        as_sequence: whether the vector is returned as the one place of a sequence, shape [batch, 1, dimensions].
    """

    def __init__(self, model: SentenceTransformer, *, as_sequence: bool = False) -> None:
        super().__init__()
        modules = list(model)
        fits = len(modules) > 1 and isinstance(modules[0], Transformer) and isinstance(modules[1], Pooling)
        if not fits:
            names = ", ".join(type(module).__name__ for module in modules)
            raise ModelError(
                f"The model consists of {names}; the export knows a Transformer with a Pooling behind it.",
                "Models of that shape are made by sentence-transformers' SentenceTransformer.",
            )
        self.config = modules[0].auto_model.config
        self.body = plain(modules[0].auto_model)
        self.rest = nn.ModuleList(module.eval().float().cpu() for module in modules[1:])
        self.as_sequence = as_sequence

    def forward(self, features: dict[str, Tensor]) -> dict[str, Tensor]:
        """Return `{"sentence_embedding": vectors}`, shape [batch, dimensions].

        Args:
            features: `input_ids` and `attention_mask`, and `token_type_ids` where the graph is to read them, all [batch, tokens].
        """
        state: dict[str, Any] = dict(features)
        state["token_embeddings"] = self.body(**features).last_hidden_state
        for module in self.rest:
            state = module(state)
        vectors: Tensor = state[OUTPUT]
        return {OUTPUT: vectors.unsqueeze(1) if self.as_sequence else vectors}


def is_dense(model_folder: Path) -> bool:
    """Return whether a folder holds a bi-encoder of sentence-transformers: a Pooling, and nothing of a sparse encoder."""
    modules = model_folder / "modules.json"
    if not modules.is_file():
        return False
    kinds = [str(module.get("type", "")).rpartition(".")[2] for module in json.loads(modules.read_text(encoding="utf-8"))]
    return "Pooling" in kinds


def load_dense(model_folder: Path) -> SentenceTransformer:
    """Load a bi-encoder's folder on the CPU; nothing is downloaded.

    Raises:
        ModelError: it can't be loaded; the library's own words.
    """
    from safetensors import SafetensorError

    try:
        with quiet_libraries():
            return SentenceTransformer(str(model_folder), device="cpu", local_files_only=True)
    except (OSError, ValueError, KeyError, RuntimeError, SafetensorError) as failure:
        raise ModelError(f"The model folder {model_folder} cannot be loaded: {' '.join(str(failure).split())[:300]}") from failure


def write_dense_archive(
    model_folder: Path,
    out: Path,
    settings: ExportSettings,
    *,
    name: str | None,
    prefixes: tuple[str | None, str | None],
    on_step: Callable[[str], None],
) -> ModelArchive:
    """Trace, compare, write; see `opensearch_ko.export.export_dense`."""
    name = checked_name(name or default_name(model_folder))
    if not is_dense(model_folder):  # the library would make a bi-encoder of a sparse one, with a pooling that nobody trained
        raise ModelError(
            f"{model_folder} holds no bi-encoder: its modules.json names no Pooling.",
            "Name a folder that sentence-transformers' SentenceTransformer saved; a sparse one is exported by export_model.",
        )
    on_step("reading the model")
    model = load_dense(model_folder)
    taken = exported_prefixes(template_in(model, model_folder), *prefixes)
    max_tokens = min(int(model.max_seq_length or SERVER_LIMIT_TOKENS), SERVER_LIMIT_TOKENS)
    tokenizer_json = tokenizer_file(model.tokenizer.backend_tokenizer, max_tokens)
    graph = DenseGraph(model, as_sequence=settings.model_format == "onnx")
    on_step(f"checking parity of PyTorch and {'TorchScript' if settings.model_format == 'torchscript' else 'ONNX'}")
    config = graph.config
    file = _graph_file(graph, settings, config.model_type)
    largest = check_vectors(model, file, settings, tokenizer_json, max_tokens)
    quality = None
    if settings.precision == "int8":
        from opensearch_ko.export.onnx_graph import quantized

        on_step("quantising, and measuring what it costs")
        file = quantized(file)
        quality = _quality(model, file, settings, tokenizer_json, max_tokens)
    [probe] = vectors_of(model, [taken.passage + PROBE_TEXT], max_tokens)
    if quality:
        probe = answers(file, settings, tokenizer_json, [taken.passage + PROBE_TEXT])[0]
    card = ExportCard(
        name=name,
        version=settings.version_of(model_folder) + version_mark(taken, model.prompts),
        role="dense",
        form="dense",
        function_name="TEXT_EMBEDDING",
        model_format=REGISTERED[settings.model_format],
        precision=settings.precision,
        serves=["knn_vector"],
        vocabulary_size=len(probe),
        max_tokens=max_tokens,
        probe_text=PROBE_TEXT,
        probe_vector=[round(float(value), 6) for value in probe],
        registration=registration(config, len(probe), max_tokens, settings, taken, space_of(model)),
        tolerance=INT8_TOLERANCE if quality else TOLERANCE,
        parity={"texts": len(PARITY_TEXTS), "largest_difference": largest, "tolerance": TOLERANCE},
        quality=quality,
        versions=library_versions(settings.model_format),
    )
    return write_zip(out, card, {f"{name}{ENDINGS[settings.model_format]}": file, "tokenizer.json": tokenizer_json.encode()}, on_step)


def registration(
    config: Any,  # noqa: ANN401  a transformers config
    dimensions: int,
    max_tokens: int,
    settings: ExportSettings,
    prefixes: Prefixes,
    space_type: str = "cosinesimil",
) -> dict[str, Any]:
    """Return the `model_config` that registers the zip.

    Args:
        config: the transformer's.
        dimensions: of the vectors.
        max_tokens: where a text is cut.
        settings: how the graph is written.
        prefixes: of queries and of passages; empty where there is none.
        space_type: how the vectors are compared, in the words of a `knn_vector` field.
    """
    onnx = settings.model_format == "onnx"
    values: dict[str, Any] = {
        "model_type": config.model_type,
        "embedding_dimension": dimensions,
        "framework_type": "huggingface_transformers" if onnx else "sentence_transformers",
        "all_config": json.dumps({"model_type": config.model_type, "hidden_size": config.hidden_size}),
        "additional_config": {"space_type": space_type},
        "model_max_length": max_tokens,
    }
    if onnx:
        values |= {"pooling_mode": "CLS", "normalize_result": False}
    for side, prefix in zip(("query_prefix", "passage_prefix"), prefixes, strict=True):
        if prefix:
            values[side] = prefix
    return values


def space_of(model: SentenceTransformer) -> str:
    """Return what a `knn_vector` field calls the model's similarity."""
    return {"dot": "innerproduct", "euclidean": "l2"}.get(str(model.similarity_fn_name), "cosinesimil")


def vectors_of(model: SentenceTransformer, texts: Sequence[str], max_tokens: int) -> list[Vector]:
    """Return PyTorch's vectors of texts as they are, no prompt before them, cut where a node cuts."""
    model.max_seq_length = max_tokens
    with quiet_libraries():
        found = model.encode(list(texts), prompt="", convert_to_numpy=True, show_progress_bar=False, batch_size=16)
    return list(found)


def answers(file: bytes, settings: ExportSettings, tokenizer_json: str, texts: Sequence[str]) -> list[Vector]:
    """Return the graph's vectors of texts, one at a time."""
    graph, tokenizer = runnable(file, settings.model_format), Tokenizer.from_str(tokenizer_json)
    return [np.asarray(graph(tokenizer.encode(text).ids)).reshape(-1) for text in texts]


def check_vectors(model: SentenceTransformer, file: bytes, settings: ExportSettings, tokenizer_json: str, max_tokens: int) -> float:
    """Compare PyTorch's vectors with the graph's and return the largest difference of a number, rounded up.

    Raises:
        ModelError: one differs by more than the tolerance; names the text, the dimension and both numbers.
    """
    largest = 0.0
    expected, found = vectors_of(model, PARITY_TEXTS, max_tokens), answers(file, settings, tokenizer_json, PARITY_TEXTS)
    for text, wanted, given in zip(PARITY_TEXTS, expected, found, strict=True):
        differences = np.abs(wanted - given)
        if not (differences <= TOLERANCE).all():
            worst = int(np.where(np.isnan(differences), np.inf, differences).argmax())
            raise ModelError(
                f"The exported graph is not the model: for {text[:40]!r} the dimension {worst} is {given[worst]:.6f} instead of "
                f"{wanted[worst]:.6f} (tolerance {TOLERANCE:g}). Nothing was written.",
                "Please report it with the model's config.json; `pip install -c constraints.txt` gives the tested library versions.",
            )
        largest = max(largest, float(differences.max()))
    return float(np.ceil(largest * 1e6) / 1e6)


def _graph_file(graph: DenseGraph, settings: ExportSettings, model_type: str) -> bytes:
    if settings.model_format == "torchscript":
        from opensearch_ko.export.graph import trace

        return trace(graph)
    from opensearch_ko.export.onnx_graph import to_onnx

    names = ["input_ids", "attention_mask", *(["token_type_ids"] if model_type in TYPED_MODELS else [])]
    return to_onnx(graph, names, OUTPUT)


def _quality(model: SentenceTransformer, file: bytes, settings: ExportSettings, tokenizer_json: str, max_tokens: int) -> dict[str, float]:
    pairs = zip(vectors_of(model, PARITY_TEXTS, max_tokens), answers(file, settings, tokenizer_json, PARITY_TEXTS), strict=True)
    cosines = [float(one @ other / (np.linalg.norm(one) * np.linalg.norm(other))) for one, other in pairs]
    return {"mean_cosine": round(float(np.mean(cosines)), 4), "worst_cosine": round(min(cosines), 4)}
