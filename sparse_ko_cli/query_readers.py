"""Options of commands that read queries on this machine."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sparse_ko_cli.requirement import need_torch

if TYPE_CHECKING:
    from opensearch_ko.queries import QueryReader

ModelOption = Annotated[
    Path | None,
    typer.Option(
        help="Reads queries on this machine: a doc-only encoder's query zip (no torch needed), or a model folder.", metavar="ZIP|DIR"
    ),
]
DenseModelOption = Annotated[
    Path | None, typer.Option("--dense-model", help="Reads queries on this machine: a sentence-transformers folder.", metavar="DIR")
]


def query_reader(model: Path | None, command: str) -> QueryReader | None:
    """Return what weighs a query's tokens here; None where no model is named."""
    if model is None:
        return None
    if not model.is_dir():
        from opensearch_ko.queries.query_table import QueryTable

        return QueryTable.read(model)
    need_torch(command)
    from opensearch_ko.queries.folder_reader import FolderReader

    return FolderReader.read(model)


def dense_query_reader(model: Path | None, command: str) -> Callable[[str], list[float]] | None:
    """Return what embeds a query here; None where no model is named."""
    if model is None:
        return None
    need_torch(command)
    from opensearch_ko.queries.folder_reader import dense_reader

    return dense_reader(model)
