"""What every command that speaks to a cluster shares."""

from __future__ import annotations

import re
from typing import Annotated, Any

import typer
from typer.core import TyperCommand, TyperGroup

_CLUSTER_VALUE = re.compile(r"[A-Za-z0-9][\x21-\x7e]*")


class ClusterCommand(TyperCommand):
    """A command whose `--cluster` may stand without a value: the environment's cluster, else the running embedded node.

    Typer has no options with an optional value, so the missing one is filled in before parsing. What follows `--cluster` is
    its value if it could be an address or a profile's name: no option, no white space, no Hangul.
    """

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:  # noqa: ANN401  click's or typer's own context
        """Parse `args` as Typer does, `--cluster` completed."""
        return super().parse_args(ctx, complete_cluster(args))


class ClusterGroup(TyperGroup):
    """A command with commands of its own, whose `--cluster` may stand without a value."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:  # noqa: ANN401  click's or typer's own context
        """Parse `args` as Typer does, `--cluster` completed."""
        return super().parse_args(ctx, complete_cluster(args))


class DefaultCommandGroup(TyperGroup):
    """Commands of which the first may go unnamed: `search QUERY` beside `search tune`."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:  # noqa: ANN401  click's or typer's own context
        """Parse `args` as Typer does, the first command put before them where they name none."""
        return super().parse_args(ctx, args if args and args[0] in self.commands else [next(iter(self.commands)), *args])


def complete_cluster(args: list[str]) -> list[str]:
    """Return `args` with an empty value after every `--cluster` that has none."""
    completed: list[str] = []
    for position, argument in enumerate(args):
        if argument == "--":
            return completed + args[position:]
        completed.append(argument)
        following = args[position + 1] if position + 1 < len(args) else ""
        if argument == "--cluster" and following and not _CLUSTER_VALUE.fullmatch(following):
            completed.append("")
        elif argument == "--cluster" and not following:
            completed += [] if position + 1 < len(args) else [""]
    return completed


ClusterOption = Annotated[
    str | None,
    typer.Option(
        help="Address or profile. Without a value, or left out: SPARSE_KO_CLUSTER, else the running embedded node. "
        "User and password: SPARSE_KO_CLUSTER_USER, SPARSE_KO_CLUSTER_PASSWORD.",
        metavar="[URL|PROFILE]",
        show_default=False,
    ),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]
