"""What stands before the texts of an index's dense model: what it was exported with, on this machine as on the node.

The node puts them before texts by itself. A client that encodes passages or reads queries has only the model's folder, whose template may
be another: the export was told `--query-prefix`, or the folder was renamed. Vectors of two prefixes are vectors of two models.
Which template a folder has is decided in one place, `dense_ko.template_choice`.
"""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Mapping
from typing import TYPE_CHECKING, Literal

from dense_ko.templates import Prefixes, template_of_prompts
from opensearch_ko.export.archive import ModelArchive
from retrieval_ko.errors import UsageError

if TYPE_CHECKING:
    from dense_ko.template_choice import TemplateChoice

Side = Literal["query", "passage"]
MARK = "-prefixes-"
"""In a version, before what tells prefixes apart that the folder's own files do not."""

logger = logging.getLogger(__name__)


def exported_prefixes(choice: TemplateChoice, query: str | None, passage: str | None) -> Prefixes:
    """Return what a zip's node will put before texts, and say it: what was asked for, else the folder's; warn where both are there.

    Args:
        choice: the folder's template.
        query: asked for before queries; None: nothing was.
        passage: asked for before passages.
    """
    sides: tuple[tuple[Side, str | None, str], ...] = (
        ("query", query, choice.prefixes.query),
        ("passage", passage, choice.prefixes.passage),
    )
    for side, asked, own in sides:
        if asked is not None and own and asked != own:
            logger.warning("The %s prefix is %r, as was asked for; the folder's own is %r (%s).", side, asked, own, choice)
    taken = Prefixes(*(own if asked is None else asked for _, asked, own in sides))
    asked_sides = [side for side, asked, _ in sides if asked is not None]
    why = "as was asked for" if asked_sides else str(choice)
    if len(asked_sides) == 1:
        why = f"{asked_sides[0]} as was asked for, else {choice}"
    logger.info("Before queries stands %r, before passages %r: %s.", *taken, why)
    return taken


def prefix_for(side: Side, *, asked: str | None, remembered: str | None, own: str, why: object) -> str:
    """Return what is put before a text, and say it: what was asked for, else what the index remembers, else the model's own.

    Args:
        side: of the text.
        asked: by an option; None: by none.
        remembered: by the index; None: it has no dense model, or was made before indexes remembered that.
        own: that of the folder or the zip which reads texts here.
        why: where `own` is from, such as a `TemplateChoice`.
    """
    if asked is not None:
        if remembered is not None and asked != remembered:
            logger.warning(
                "--%s-prefix %r is used, though the index's dense model was deployed with %r: their vectors are not of one kind.",
                *(side, asked, remembered),
            )
        return asked
    if remembered is None:
        logger.info("The %s prefix is %r (%s).", side, own, why)
        return own
    if remembered != own:
        logger.warning("The %s prefix is %r, as the dense model was deployed with; this one's own is %r (%s).", side, remembered, own, why)
    elif remembered:
        logger.info("The %s prefix is %r, as the dense model was deployed with.", side, remembered)
    return remembered


def version_mark(prefixes: Prefixes, prompts: Mapping[str, str]) -> str:
    """Return what a version says of its prefixes: "" where they are the folder's prompts or neither has any, else a hash of them.

    A folder's SHA-256 covers its prompts, but neither options nor its name.

    Args:
        prefixes: that the node puts before texts.
        prompts: those of the sentence-transformers folder.
    """
    _, own = template_of_prompts(prompts)
    if prefixes == own:
        return ""
    return MARK + hashlib.sha256(json.dumps(prefixes).encode()).hexdigest()[:8]


def without_mark(version: str) -> str:
    """Return a version without what it says of prefixes."""
    return version.partition(MARK)[0]


def check_asked(archive: ModelArchive, query: str | None, passage: str | None) -> None:
    """Make sure that a dense zip has the prefixes that are asked for, and say them: they are part of what was checked when it was written.

    Raises:
        UsageError: it has others.
    """
    config = archive.card.registration or {}
    known = Prefixes(config.get("query_prefix") or "", config.get("passage_prefix") or "")
    sides: tuple[tuple[Side, str | None, str], ...] = (("query", query, known.query), ("passage", passage, known.passage))
    for side, asked, there in sides:
        if asked is not None and asked != there:
            raise UsageError(
                f"{archive.path} was exported with the {side} prefix {there!r}, not {asked!r}, and answers as it was checked with that.",
                f"Leave --{side}-prefix out, or export it anew: sparse-ko export --model DIR --{side}-prefix {asked!r} --out DIR",
            )
    logger.info("Before queries stands %r, before passages %r: as %s was exported with.", *known, archive.path)
