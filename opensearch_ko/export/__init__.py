"""Model folder in, ML Commons zip out, and a gate between them that lets no difference through."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from opensearch_ko.export.archive import ExportCard, ModelArchive

__all__ = ["ExportCard", "ModelArchive", "export_model"]


def export_model(
    model_folder: Path,
    out: Path,
    *,
    model_format: str = "torchscript",
    name: str | None = None,
    on_step: Callable[[str], None] | None = None,
) -> ModelArchive:
    """Export a model folder as the zip that ML Commons registers, into the folder `out`.

    Args:
        model_folder: written by `sparse_ko.SparseEncoder.save`, or by sentence-transformers with stock modules.
        out: folder for `{name}-{version}.zip`; made where it is missing.
        model_format: "torchscript".
        name: to register the model under; by default that of the run it came from, else the folder's.
        on_step: is told in words what happens.

    Raises:
        ModelError: the folder can't be served by ML Commons, or the graph differs from the model; says where.
        UsageError: `model_format` is unknown.
    """
    from opensearch_ko.export.writer import write_archive  # loads torch, which a machine that only searches doesn't have

    return write_archive(Path(model_folder), Path(out), model_format=model_format, name=name, on_step=on_step or (lambda _: None))
