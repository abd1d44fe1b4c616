"""`--option NAME=VALUE`: what the query forms can be told, for one search or a whole benchmark."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer
from pydantic import ValidationError

from retrieval_ko.errors import UsageError

if TYPE_CHECKING:
    from opensearch_ko.queries import SearchOptions

SearchOptionsOption = Annotated[
    list[str] | None,
    typer.Option(
        "--option",
        help="Tell the query forms more, e.g. depth=200, top_n=20, heap_factor=1.2, two_phase_ratio=0.4; may be repeated. "
        "An unknown name lists them all.",
        metavar="NAME=VALUE",
    ),
]
_WEIGHTS = "weights"


def search_options(given: list[str] | None) -> SearchOptions:
    """Return the options that were named, the others at their defaults.

    Raises:
        UsageError: a name is unknown, or a value out of range.
    """
    from opensearch_ko.queries import SearchOptions

    known = [name for name in SearchOptions.model_fields if name != _WEIGHTS]
    values: dict[str, str] = {}
    for option in given or []:
        name, equals, value = option.partition("=")
        if name not in known or not equals:
            raise UsageError(f"--option {option} is not NAME=VALUE with a name of ours.", f"Names: {', '.join(known)}. See docs/search.md")
        values[name] = value
    try:
        return SearchOptions.model_validate(values)
    except ValidationError as failure:
        wrong = "; ".join(f"--option {error['loc'][0]}={error['input']}: {error['msg']}" for error in failure.errors())
        raise UsageError(f"{wrong}.", "For example: --option top_n=20") from failure
