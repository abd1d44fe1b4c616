"""Writes the zip: graph, tokenizer, card. Every fresh process makes the same bytes of the same folder.

Within one process TorchScript numbers the classes of a second trace on, so its bytes differ; what the graph computes does not.
"""

from __future__ import annotations

import re
import zipfile
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

import yaml

from opensearch_ko.export.archive import CARD_NAME, ExportCard, ModelArchive
from opensearch_ko.export.graph import SparseGraph, load_traced, trace
from opensearch_ko.export.parity import check_parity
from opensearch_ko.export.tokenizer import server_tokenizer
from retrieval_ko.errors import UsageError
from retrieval_ko.files import folder_sha256, new_file
from sparse_ko.model import SparseEncoder

PROBE_TEXT = "전세 보증금을 돌려받지 못하면 어디에 신청하나요? (OpenSearch 3.6)"
"""One sentence with Hangul, Latin letters, digits and punctuation, whose weights travel with the model."""

_FIXED_TIME = (2020, 1, 1, 0, 0, 0)
"""Time stamp of the zip's entries, so that the same model gives the same hash and a cluster knows it again."""


def write_archive(model_folder: Path, out: Path, *, model_format: str, name: str | None, on_step: Callable[[str], None]) -> ModelArchive:
    """Trace, compare, write; see `opensearch_ko.export.export_model`."""
    if model_format != "torchscript":
        raise UsageError(f"The format {model_format!r} is unknown.", "Use: --format torchscript")
    name = name or default_name(model_folder)
    if not re.fullmatch(r"[a-z0-9][a-z0-9-]*", name):
        raise UsageError(f"{name!r} cannot be a model's name.", "Use lower-case letters, digits and hyphens: --name my-model")
    on_step("reading the model")
    encoder = SparseEncoder.load(model_folder, device="cpu")
    tokenizer_json, max_tokens = server_tokenizer(encoder)
    on_step("checking parity of PyTorch and TorchScript")
    [probe_weights] = encoder.to_tokens(encoder.encode_document([PROBE_TEXT]))
    graph = trace(SparseGraph(encoder))
    parity = check_parity(encoder, load_traced(graph), tokenizer_json)
    card = ExportCard(
        name=name,
        version=folder_sha256(model_folder)[:12],
        vocabulary_size=len(encoder.tokenizer),
        max_tokens=max_tokens,
        probe_text=PROBE_TEXT,
        probe_weights=probe_weights,
        parity={"texts": parity.texts, "largest_difference": parity.largest_difference, "tolerance": parity.tolerance},
        versions={library: version(library) for library in ("torch", "transformers", "sentence-transformers", "tokenizers")},
    )
    target = out / f"{name}-{card.version}.zip"
    on_step(f"writing {target.name}")
    entries = {
        f"{name}.pt": graph,
        "tokenizer.json": tokenizer_json.encode(),
        CARD_NAME: card.model_dump_json(indent=2).encode(),
    }
    with new_file(target) as temporary, zipfile.ZipFile(temporary, "w") as archive:
        for entry, content in entries.items():
            archive.writestr(zipfile.ZipInfo(entry, date_time=_FIXED_TIME), content, compress_type=zipfile.ZIP_DEFLATED)
    return ModelArchive.read(target)


def default_name(model_folder: Path) -> str:
    """Return the name of the run that made the model, else the folder's, in the form that a registered name takes."""
    settings = model_folder.resolve().parent / "config.yaml"
    if settings.is_file():
        values = yaml.safe_load(settings.read_text(encoding="utf-8"))
        if isinstance(values, dict) and isinstance(values.get("name"), str):
            return str(values["name"])
    return re.sub(r"[^a-z0-9]+", "-", model_folder.resolve().name.lower()).strip("-") or "sparse-encoder"
