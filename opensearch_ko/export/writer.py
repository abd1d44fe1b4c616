"""Writes the zips: graph, tokenizer, card. Every fresh process makes the same bytes of the same folder.

Within one process TorchScript numbers the classes of a second trace on, so its bytes differ; what the graph computes does not.
"""

from __future__ import annotations

import re
import zipfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal, get_args

import yaml
from tokenizers import Tokenizer

from opensearch_ko.export.archive import CARD_NAME, ExportCard, Exported, ModelArchive, Precision, query_name
from opensearch_ko.export.graph import SparseGraph, load_traced, trace
from opensearch_ko.export.parity import (
    Graph,
    Parity,
    check_parity,
    median_milliseconds,
    onnx_graph,
    pytorch_graph,
    reference,
    torchscript_graph,
)
from opensearch_ko.export.parity_texts import PARITY_TEXTS, PROBE_TEXT
from opensearch_ko.export.tokenizer import served_fields, server_tokenizer, spellings
from opensearch_ko.pruning import Pruning
from retrieval_ko.collection import Collection
from retrieval_ko.errors import ModelError, UsageError
from retrieval_ko.files import folder_sha256, new_file
from sparse_ko.model import SparseEncoder

ModelFormat = Literal["torchscript", "onnx"]
REGISTERED: dict[ModelFormat, Literal["TORCH_SCRIPT", "ONNX"]] = {"torchscript": "TORCH_SCRIPT", "onnx": "ONNX"}
ENDINGS: dict[ModelFormat, str] = {"torchscript": ".pt", "onnx": ".onnx"}
INT8_TOLERANCE = 0.05
"""For int8's answer on another processor: how 8-bit products are rounded depends on the instructions it has."""

_FIXED_TIME = (2020, 1, 1, 0, 0, 0)
"""Time stamp of the zip's entries, so that the same model gives the same hash and a cluster knows it again."""


@dataclass(frozen=True)
class ExportSettings:
    """How a graph is written."""

    model_format: ModelFormat
    precision: Precision
    pruning: Pruning
    fields: tuple[str, ...]

    @classmethod
    def checked(cls, model_format: str, precision: str, pruning: Pruning, fields: Sequence[str]) -> ExportSettings:
        """Return the settings.

        Raises:
            UsageError: one is unknown, or doesn't go with another.
        """
        known = [("format", model_format, get_args(ModelFormat)), ("precision", precision, get_args(Precision))]
        known += [("field", field, ("rank_features", "sparse_vector", "knn_vector")) for field in fields]
        for option, value, values in known:
            if value not in values:
                raise UsageError(f"The {option} {value!r} is unknown.", f"Use: --{option} {'|'.join(values)}")
        if precision == "int8" and model_format != "onnx":
            raise UsageError("8-bit weights are written as ONNX only.", "Use: --format onnx --precision int8")
        return cls(model_format, precision, pruning, tuple(fields))  # type: ignore[arg-type]

    def version_of(self, model_folder: Path) -> str:
        """Return the version of this export of a folder; see `ExportCard.version`."""
        parts = [folder_sha256(model_folder)[:12]]
        parts += ["onnx"] if self.model_format == "onnx" else []
        parts += ["int8"] if self.precision == "int8" else []
        parts += [] if self.pruning.ratio is None else [f"{self.pruning.type.replace('_', '-')}-{self.pruning.ratio:g}"]
        return "-".join(parts)


def write_archives(
    model_folder: Path,
    out: Path,
    settings: ExportSettings,
    *,
    name: str | None,
    on_step: Callable[[str], None],
    collection: Collection | None,
) -> Exported:
    """Trace, compare, write; see `opensearch_ko.export.export_model`."""
    name = checked_name(name or default_name(model_folder))
    on_step("reading the model")
    encoder = SparseEncoder.load(model_folder, device="cpu")
    _refuse_prompts(encoder)
    tokenizer_json, max_tokens = server_tokenizer(encoder, settings.fields)
    tokenizer = Tokenizer.from_str(tokenizer_json)
    graph = SparseGraph(encoder, settings.pruning)
    serves = served_fields(tokenizer_json)
    query = _query_files(encoder, serves, on_step)
    on_step(f"checking parity of PyTorch and {'TorchScript' if settings.model_format == 'torchscript' else 'ONNX'}")
    file = write_graph(graph, settings.model_format)
    answer = runnable(file, settings.model_format)
    parity = check_parity(encoder, answer, tokenizer_json, pruning=settings.pruning)
    latency = _latency({"pytorch": pytorch_graph(encoder), settings.model_format: answer}, tokenizer)
    quality = None
    if settings.precision == "int8":
        from opensearch_ko.export.onnx_graph import quantized
        from opensearch_ko.export.quality import retrieval_quality, vector_quality

        on_step("quantising, and measuring what it costs")
        file = quantized(file)
        answer = onnx_graph(file)
        latency |= _latency({"onnx int8": answer}, tokenizer)
        unpruned = SparseGraph(encoder)
        whole = answer if settings.pruning.ratio is None else onnx_graph(quantized(write_graph(unpruned, "onnx")))
        quality = vector_quality(reference(encoder, PARITY_TEXTS, "document", max_tokens), whole, tokenizer, PARITY_TEXTS)
        if collection is not None:
            quality |= retrieval_quality(encoder, file, tokenizer_json, collection)
    probe = answer(tokenizer.encode(PROBE_TEXT).ids) if quality else _probe(encoder, settings.pruning)
    card = ExportCard(
        name=name,
        version=settings.version_of(model_folder),
        form=encoder.form,
        model_format=REGISTERED[settings.model_format],
        precision=settings.precision,
        pruning=settings.pruning,
        serves=serves,  # type: ignore[arg-type]
        vocabulary_size=len(encoder.tokenizer),
        max_tokens=max_tokens,
        heaviest_weight=round(parity.heaviest_weight, 4),
        probe_text=PROBE_TEXT,
        probe_weights=_keyed(probe, tokenizer, by_id="rank_features" not in serves),
        tolerance=INT8_TOLERANCE if quality else parity.tolerance,
        parity=parity.as_json(),
        quality=quality,
        versions=library_versions(settings.model_format),
    )
    archive = write_zip(out, card, {f"{name}{ENDINGS[settings.model_format]}": file, "tokenizer.json": tokenizer_json.encode()}, on_step)
    return Exported(archive, _write_query(out, card, encoder, query, on_step) if query else None, latency)


def write_graph(graph: Any, model_format: ModelFormat) -> bytes:  # noqa: ANN401  an nn.Module
    """Return a sparse graph as a file of the format, fp32."""
    if model_format == "torchscript":
        return trace(graph)
    from opensearch_ko.export.onnx_graph import to_onnx

    return to_onnx(graph)


def runnable(file: bytes, model_format: ModelFormat) -> Graph:
    """Return a graph's file, loaded, as the gate asks it."""
    return torchscript_graph(load_traced(file)) if model_format == "torchscript" else onnx_graph(file)


def write_zip(out: Path, card: ExportCard, entries: Mapping[str, bytes], on_step: Callable[[str], None]) -> ModelArchive:
    """Write a zip with its card, whole or not at all, and read it back."""
    target = out / f"{card.name}-{card.version}.zip"
    on_step(f"writing {target.name}")
    with new_file(target) as temporary, zipfile.ZipFile(temporary, "w") as archive:
        for entry, content in {**entries, CARD_NAME: card.model_dump_json(indent=2).encode()}.items():
            archive.writestr(zipfile.ZipInfo(entry, date_time=_FIXED_TIME), content, compress_type=zipfile.ZIP_DEFLATED)
    return ModelArchive.read(target)


def library_versions(model_format: ModelFormat) -> dict[str, str]:
    """Return the versions of the libraries that write a graph."""
    libraries = ("torch", "transformers", "sentence-transformers", "tokenizers")
    return {library: version(library) for library in (*libraries, *(("onnx", "onnxruntime") if model_format == "onnx" else ()))}


def checked_name(name: str) -> str:
    """Return `name`.

    Raises:
        UsageError: a model can't be registered under it.
    """
    if not re.fullmatch(r"[a-z0-9][a-z0-9-]*", name):
        raise UsageError(f"{name!r} cannot be a model's name.", "Use lower-case letters, digits and hyphens: --name my-model")
    return name


def default_name(model_folder: Path) -> str:
    """Return the name of the run that made the model, else the folder's, in the form that a registered name takes."""
    settings = model_folder.resolve().parent / "config.yaml"
    if settings.is_file():
        values = yaml.safe_load(settings.read_text(encoding="utf-8"))
        if isinstance(values, dict) and isinstance(values.get("name"), str):
            return str(values["name"])
    return re.sub(r"[^a-z0-9]+", "-", model_folder.resolve().name.lower()).strip("-") or "sparse-encoder"


def _refuse_prompts(encoder: SparseEncoder) -> None:
    prompts = {kind: text for kind, text in getattr(getattr(encoder.network, "stock", None), "prompts", {}).items() if text}
    if prompts:
        kind, text = next(iter(prompts.items()))
        raise ModelError(
            f"The model puts {text!r} before every {kind}; ML Commons can't be told to do that for a sparse model.",
            "Train or save it without prompts in config_sentence_transformers.json, or encode on the client.",
        )


@dataclass(frozen=True)
class _QueryFiles:
    tokenizer_json: str
    idf_json: str
    parity: Parity


def _query_files(encoder: SparseEncoder, serves: Sequence[str], on_step: Callable[[str], None]) -> _QueryFiles | None:
    if encoder.form == "siamese":
        return None
    from opensearch_ko.export.query_tokenizer import check_query_parity, query_tokenizer

    if "rank_features" not in serves:
        on_step("no query tokenizer: tokens are spelt alike, so a node can't tell their weights apart; the client makes query_tokens")
        return None
    parts = query_tokenizer(encoder)
    return _QueryFiles(*parts, check_query_parity(encoder, *parts))


def _write_query(out: Path, card: ExportCard, encoder: SparseEncoder, files: _QueryFiles, on_step: Callable[[str], None]) -> ModelArchive:
    [(_, probe)] = reference(encoder, [PROBE_TEXT], "query", card.max_tokens)
    query = ExportCard(
        name=query_name(card.name),
        version=card.folder_version,
        role="query-tokenizer",
        form=card.form,
        function_name="SPARSE_TOKENIZE",
        serves=card.serves,
        vocabulary_size=card.vocabulary_size,
        max_tokens=card.max_tokens,
        probe_text=PROBE_TEXT,
        probe_weights=_keyed(probe, Tokenizer.from_str(files.tokenizer_json), by_id=False),
        parity=files.parity.as_json(),
        versions=library_versions("torchscript"),
    )
    entries = {"tokenizer.json": files.tokenizer_json.encode(), "idf.json": files.idf_json.encode()}
    return write_zip(out, query, entries, on_step)


def _probe(encoder: SparseEncoder, pruning: Pruning) -> Any:  # noqa: ANN401  a row of weights
    [(_, row)] = reference(encoder, [PROBE_TEXT], "document", encoder.max_tokens)
    kept = pruning.apply({place: float(weight) for place, weight in enumerate(row) if weight > 0})
    return [kept.get(place, 0.0) for place in range(len(row))]


def _keyed(row: Any, tokenizer: Tokenizer, *, by_id: bool) -> dict[str, float]:  # noqa: ANN401  a row of weights
    names = spellings(tokenizer)
    found = {str(token) if by_id else names[token]: round(float(weight), 6) for token, weight in enumerate(row) if weight > 0}
    return dict(sorted(found.items(), key=lambda item: (-item[1], item[0])))


def _latency(graphs: Mapping[str, Graph], tokenizer: Tokenizer) -> dict[str, float]:
    ids = tokenizer.encode(PROBE_TEXT).ids
    return {name: round(median_milliseconds(graph, ids), 2) for name, graph in graphs.items()}
