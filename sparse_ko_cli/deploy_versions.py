"""`sparse-ko deploy list`, `promote`, `rollback`, `undeploy` and `delete`: what is there, which version is searched, and away with it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.markup import escape
from rich.table import Table

from retrieval_ko.errors import UsageError
from retrieval_ko.terminal import exit_on_error, out, print_json
from sparse_ko_cli.cluster import ClusterCommand, ClusterOption, JsonOption
from sparse_ko_cli.deploy_output import note, show_moved, show_removed, show_requests

if TYPE_CHECKING:
    from opensearch_ko.cluster import Cluster

AliasOption = Annotated[str, typer.Option(help="The name that searches go to.")]
IndexOption = Annotated[str, typer.Option(help="An index that `sparse-ko deploy` made.")]
DryRunOption = Annotated[bool, typer.Option("--dry-run", help="Print every request that would be sent, and write nothing.")]


def register(app: typer.Typer) -> None:
    """Add the commands to the group `deploy`."""
    app.command("list", cls=ClusterCommand)(list_indexes)
    for command in (promote, rollback, undeploy, delete):
        app.command(cls=ClusterCommand)(command)


def list_indexes(
    cluster: ClusterOption = None,
    alias: Annotated[str | None, typer.Option(help="Only the versions of this alias.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Show our indexes: alias, model, documents, and the state of each model.

    Example: sparse-ko deploy list --cluster --alias demo
    """
    with exit_on_error():
        from opensearch_ko.cluster import connect
        from opensearch_ko.inventory import our_indexes
        from opensearch_ko.models import model_state
        from opensearch_ko.versions import count_documents

        target = connect(cluster)
        rows: list[dict[str, Any]] = []
        for index in our_indexes(target):
            if alias and alias not in index.aliases and not (index.meta and index.meta.alias == alias):
                continue
            models = index.meta.models if index.meta else []
            rows.append(
                {
                    "index": index.name,
                    "aliases": list(index.aliases),
                    "documents": count_documents(target, index.name),
                    "form": index.meta.form if index.meta else None,
                    "models": [
                        {"model_id": model.model_id, "name": model.name, "version": model.version}
                        | {"state": model_state(target, model.model_id) or "gone"}
                        for model in models
                    ],
                    "previous": index.meta.previous if index.meta else None,
                }
            )
        if as_json:
            print_json(rows)
            return
        table = Table(box=None, pad_edge=False)
        for column in ("index", "alias", "documents", "models"):
            table.add_column(column, justify="right" if column == "documents" else "left", overflow="fold")
        for row in rows:
            running = "\n".join(f"{model['name']} {model['version']}  {model['state'].lower()}" for model in row["models"])
            table.add_row(
                escape(row["index"]), escape(", ".join(row["aliases"])), f"{row['documents']:,}", escape(running or "another version's")
            )
        out.print(table if rows else "No index of ours.")


def promote(
    alias: AliasOption,
    index: IndexOption,
    cluster: ClusterOption = None,
    force: Annotated[bool, typer.Option("--force", help="Even if the new index holds fewer documents.")] = False,
    dry_run: DryRunOption = False,
    as_json: JsonOption = False,
) -> None:
    """Move an alias to another version, once that version's models answer as they should.

    Example: sparse-ko deploy promote --cluster --alias demo --index demo-0123456789ab
    """
    with exit_on_error():
        from opensearch_ko.cluster import connect
        from opensearch_ko.versions import promote as promote_version

        target = connect(cluster)
        with _rehearsed(target, dry_run, as_json) as stage:
            moved = promote_version(stage, alias, index, force=force, on_step=note)
        if not dry_run:
            show_moved(moved, as_json)


def rollback(alias: AliasOption, cluster: ClusterOption = None, dry_run: DryRunOption = False, as_json: JsonOption = False) -> None:
    """Move an alias back to the version before, once that version's models answer as they should.

    Example: sparse-ko deploy rollback --cluster --alias demo
    """
    with exit_on_error():
        from opensearch_ko.cluster import connect
        from opensearch_ko.versions import rollback as rollback_version

        target = connect(cluster)
        with _rehearsed(target, dry_run, as_json) as stage:
            moved = rollback_version(stage, alias, on_step=note)
        if not dry_run:
            show_moved(moved, as_json)


def undeploy(index: IndexOption, cluster: ClusterOption = None, dry_run: DryRunOption = False, as_json: JsonOption = False) -> None:
    """Take an index's models out of the nodes' memory; index and registered models stay. `deploy` brings them back.

    Example: sparse-ko deploy undeploy --cluster --index demo-0123456789ab
    """
    with exit_on_error():
        from opensearch_ko.cluster import connect
        from opensearch_ko.removal import undeploy_index

        target = connect(cluster)
        with _rehearsed(target, dry_run, as_json) as stage:
            removed = undeploy_index(stage, index, note)
        if not dry_run:
            show_removed(removed, "undeployed", as_json)


def delete(
    index: IndexOption,
    cluster: ClusterOption = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do it: the passages in the index are lost.")] = False,
    force: Annotated[bool, typer.Option("--force", help="Even if an alias points at it; the alias goes with it.")] = False,
    dry_run: DryRunOption = False,
    as_json: JsonOption = False,
) -> None:
    """Delete an index with its companion, its pipeline, and the models that no other index of ours uses.

    Example: sparse-ko deploy delete --cluster --index demo-0123456789ab --yes
    """
    with exit_on_error():
        from opensearch_ko.cluster import connect
        from opensearch_ko.removal import delete_index

        if not yes and not dry_run:
            raise UsageError(
                f"This deletes the index {index}, its passages and its models.", "Add --yes to do it, or --dry-run to see the requests."
            )
        target = connect(cluster)
        with _rehearsed(target, dry_run, as_json) as stage:
            removed = delete_index(stage, index, force=force, on_step=note)
        if not dry_run:
            show_removed(removed, "deleted", as_json)


@contextmanager
def _rehearsed(target: Cluster, dry_run: bool, as_json: bool) -> Iterator[Cluster]:
    """Yield the cluster itself, or one that only notes down what it is asked to write, which is shown at the end."""
    if not dry_run:
        yield target
        return
    from opensearch_ko.inventory import our_indexes
    from opensearch_ko.rehearsal import Rehearsal

    models = [model for index in our_indexes(target) if index.meta for model in index.meta.models]
    rehearsal = Rehearsal(target, {model.name: model.probe for model in models if model.probe})
    yield rehearsal
    show_requests(target, rehearsal.requests, [], as_json)
