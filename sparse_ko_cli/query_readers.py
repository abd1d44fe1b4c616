"""Options of commands that read queries on this machine."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from retrieval_ko.errors import UsageError
from sparse_ko_cli.requirement import need_torch

if TYPE_CHECKING:
    from opensearch_ko.cluster import Cluster
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
QueryPrefixOption = Annotated[
    str | None,
    typer.Option("--query-prefix", help="With --dense-model: what stands before a query; by default what the index's dense model has."),
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


def check_query_prefix(model: Path | None, prefix: str | None) -> None:
    """Refuse a prefix without a model that reads it here.

    Raises:
        UsageError: --query-prefix stands without --dense-model.
    """
    if model is None and prefix is not None:
        raise UsageError(
            "--query-prefix is for queries that this machine reads: --dense-model DIR.",
            "In the cluster the deployed model puts its own before them.",
        )


def dense_query_reader(
    model: Path | None, command: str, cluster: Cluster, index: str, prefix: str | None = None
) -> Callable[[str], list[float]] | None:
    """Return what embeds a query here, as the index's own dense model does; None where no model is named.

    Args:
        model: the option --dense-model.
        command: that needs torch.
        cluster: where the index is.
        index: which remembers what stands before queries.
        prefix: what stands there instead.
    """
    if model is None:
        return None
    need_torch(command)
    from opensearch_ko.indexes import read_meta
    from opensearch_ko.queries.folder_reader import dense_reader

    meta = read_meta(cluster, index)
    return dense_reader(model, prefix, meta.dense.query_prefix if meta and meta.dense else None)
