"""What stands before the texts of an index's dense model: what it was exported with, on this machine as on the node.

The node puts them before texts by itself. A client that encodes passages or reads queries has only the model's folder, whose prompts may be
others: the export was told `--query-prefix`, or the folder has none. Vectors of two prefixes are vectors of two models.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Literal

from opensearch_ko.export.archive import ModelArchive
from retrieval_ko.errors import UsageError

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

Side = Literal["query", "passage"]
PROMPTS: dict[Side, tuple[str, ...]] = {"query": ("query",), "passage": ("document", "passage", "corpus")}
"""Names under which sentence-transformers folders keep their prompts, in the order in which the library looks for one."""

logger = logging.getLogger(__name__)


def prompt_of(model: SentenceTransformer, side: Side) -> str:
    """Return a folder's own prompt, "" where it has none."""
    return next((str(model.prompts[name]) for name in PROMPTS[side] if model.prompts.get(name)), "")


def exported_prefix(model: SentenceTransformer, side: Side, asked: str | None) -> str:
    """Return what a zip's node will put before texts: what was asked for, else the folder's prompt; say where an option goes before one."""
    own = prompt_of(model, side)
    if asked is not None and own and asked != own:
        logger.warning("The %s prefix is %r, as was asked for; the folder's own prompt is %r.", side, asked, own)
    return own if asked is None else asked


def prefix_for(side: Side, *, asked: str | None, remembered: str | None, own: str) -> str:
    """Return what is put before a text: what was asked for, else what the index remembers, else the folder's own; say where they differ.

    Args:
        side: of the text.
        asked: by an option; None: by none.
        remembered: by the index; None: it was made before indexes remembered that.
        own: the folder's prompt.
    """
    if asked is not None:
        if remembered is not None and asked != remembered:
            logger.warning(
                "--%s-prefix %r is used, though the index's dense model was deployed with %r: their vectors are not of one kind.",
                *(side, asked, remembered),
            )
        return asked
    if remembered is None:
        return own
    if remembered != own:
        logger.warning("The %s prefix is %r, as the dense model was deployed with; its folder's own is %r.", side, remembered, own)
    return remembered


def check_asked(archive: ModelArchive, query: str | None, passage: str | None) -> None:
    """Make sure that a dense zip has the prefixes that are asked for: they are part of what was checked when it was written.

    Raises:
        UsageError: it has others.
    """
    known = archive.card.registration or {}
    sides: tuple[tuple[Side, str | None], ...] = (("query", query), ("passage", passage))
    for side, asked in sides:
        there = known.get(f"{side}_prefix") or ""
        if asked is not None and asked != there:
            raise UsageError(
                f"{archive.path} was exported with the {side} prefix {there!r}, not {asked!r}, and answers as it was checked with that.",
                f"Leave --{side}-prefix out, or export it anew: sparse-ko export --model DIR --{side}-prefix {asked!r} --out DIR",
            )
