"""Model folder in, ML Commons zip out, and a gate between them that lets no difference through."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from opensearch_ko.export.archive import ExportCard, Exported, ModelArchive, query_archive_beside
from opensearch_ko.pruning import Pruning

if TYPE_CHECKING:
    from retrieval_ko.collection import Collection
    from sparse_ko.vocabulary.findings import Finding

__all__ = ["ExportCard", "Exported", "ModelArchive", "check_archive", "export_dense", "export_model", "query_archive_beside"]

# what these functions import late loads torch, which a machine that only searches doesn't have


def export_model(
    model_folder: Path | str,
    out: Path | str,
    *,
    model_format: str = "torchscript",
    precision: str = "fp32",
    pruning: Pruning = Pruning(),  # noqa: B008  frozen
    name: str | None = None,
    on_step: Callable[[str], None] | None = None,
    fields: Sequence[str] = ("rank_features",),
    collection: Collection | None = None,
) -> Exported:
    """Export a sparse model's folder as the zip that ML Commons registers, into the folder `out`.

    A doc-only or lexical-floor model gets a second zip, `{name}-query-{version}.zip`, whose tokenizer and table read the queries.

    Args:
        model_folder: written by `sparse_ko.SparseEncoder.save`, or by sentence-transformers with stock modules.
        out: folder for `{name}-{version}.zip`; made where it is missing.
        model_format: "torchscript" or "onnx".
        precision: "fp32", or "int8" (ONNX only): the card then holds what it costs.
        pruning: what the graph itself drops of a text's weights.
        name: to register the model under; by default that of the run it came from, else the folder's.
        on_step: is told in words what happens.
        fields: the types of field that the model must be able to fill: "rank_features", "sparse_vector".
        collection: int8's nDCG@10 is measured on its dev split beside that of fp32.

    Raises:
        ModelError: the folder can't be served by ML Commons, or the graph differs from the model; says where.
        UsageError: an argument is unknown, or goes with no other.
        DataError: `collection` has no dev split.
    """
    from opensearch_ko.export.writer import ExportSettings, write_archives

    settings = ExportSettings.checked(model_format, precision, pruning, fields)
    return write_archives(Path(model_folder), Path(out), settings, name=name, on_step=on_step or (lambda _: None), collection=collection)


def export_dense(
    model_folder: Path | str,
    out: Path | str,
    *,
    model_format: str = "torchscript",
    precision: str = "fp32",
    name: str | None = None,
    query_prefix: str | None = None,
    passage_prefix: str | None = None,
    on_step: Callable[[str], None] | None = None,
) -> ModelArchive:
    """Export a bi-encoder's folder (sentence-transformers: Transformer, Pooling, …) as a TEXT_EMBEDDING zip.

    Args:
        model_folder: a stock sentence-transformers folder.
        out: folder for `{name}-{version}.zip`; made where it is missing.
        model_format: "torchscript" or "onnx".
        precision: "fp32", or "int8" (ONNX only).
        name: to register the model under; by default the folder's.
        query_prefix: the node puts it before queries; None: that of the folder's template, as `dense_ko.BiEncoder` reads it.
        passage_prefix: the node puts it before passages; None: that of the folder's template.
        on_step: is told in words what happens.

    Raises:
        ModelError: the folder can't be served by ML Commons, contradicts itself, or the graph differs from the model; says where.
        UsageError: an argument is unknown, or goes with no other.
        DataError: its `training_config.json` is damaged.
    """
    from opensearch_ko.export.dense import write_dense_archive
    from opensearch_ko.export.writer import ExportSettings

    settings = ExportSettings.checked(model_format, precision, Pruning(), ("knn_vector",))
    return write_dense_archive(
        Path(model_folder),
        Path(out),
        settings,
        name=name,
        prefixes=(query_prefix, passage_prefix),
        on_step=on_step or (lambda _: None),
    )


def check_archive(path: Path | str) -> list[Finding]:
    """Return what a zip of any maker means for a deploy, the gravest first; a finding of the level "forbids" stands in the way.

    Raises:
        ModelError: there is no such file.
    """
    from opensearch_ko.export.checking import findings_of_archive

    return findings_of_archive(Path(path))
