"""What stands before a query and before a passage: a model must read the words in front that it was trained with."""

from __future__ import annotations

import re
from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path
from typing import NamedTuple

from retrieval_ko.errors import UsageError


class TemplateMode(StrEnum):
    """The known pairs of prefixes."""

    NONE = "none"
    """Texts as they are: bge-m3, KoSimCSE, models built from scratch."""
    BGE = "bge"
    """An instruction on both sides, as LexDPR was published with. The one on passages is no model's own."""
    BGE_QUERY = "bge-query"
    """An instruction on queries alone, as bge-*-en-v1.5 was trained."""
    E5 = "e5"
    """`query: ` and `passage: `: the family of e5."""
    E5_INSTRUCT = "e5-instruct"
    """A task on queries alone: *-instruct of the family of e5."""
    OWN = "own"
    """Prompts that a model folder of others brings and that are none of the above."""


class Prefixes(NamedTuple):
    """What stands before a query, and before a passage."""

    query: str
    passage: str


_BGE_QUERY = "Represent this sentence for searching relevant passages: "
_BGE_PASSAGE = "Represent this sentence for retrieving relevant passages: "
_INSTRUCTION = "Instruct: Given a web search query, retrieve relevant passages that answer the query\nQuery: "

PREFIXES = {
    TemplateMode.NONE: Prefixes("", ""),
    TemplateMode.BGE: Prefixes(_BGE_QUERY, _BGE_PASSAGE),
    TemplateMode.BGE_QUERY: Prefixes(_BGE_QUERY, ""),
    TemplateMode.E5: Prefixes("query: ", "passage: "),
    TemplateMode.E5_INSTRUCT: Prefixes(_INSTRUCTION, ""),
}
PASSAGE_NAMES = ("document", "passage", "corpus")
"""Names of the prompt for passages, in the order in which sentence-transformers looks for one."""

_BACKBONES = (
    (re.compile(r"e5.*-instruct"), TemplateMode.E5_INSTRUCT),
    (re.compile(r"(^|[^a-z0-9])(ko)?e5([^a-z0-9]|$)"), TemplateMode.E5),
    (re.compile(r"^bge-(small|base|large)-en"), TemplateMode.BGE_QUERY),
)


def tq(query: str, mode: TemplateMode | str) -> str:
    """Return a query with what stands before it.

    Raises:
        UsageError: there is no such template.
    """
    return prefixes_of(mode).query + query


def tp(passage: str, mode: TemplateMode | str) -> str:
    """Return a passage with what stands before it.

    Raises:
        UsageError: there is no such template.
    """
    return prefixes_of(mode).passage + passage


def template_named(name: TemplateMode | str) -> TemplateMode:
    """Return a template by its name, in capitals or not.

    Raises:
        UsageError: there is none of that name.
    """
    try:
        return TemplateMode(str(name).lower().replace("_", "-"))
    except ValueError as failure:
        raise UsageError(f"There is no template {name!r}.", f"Known: {', '.join(mode.value for mode in PREFIXES)}.") from failure


def prefixes_of(mode: TemplateMode | str) -> Prefixes:
    """Return the two prefixes of a template.

    Raises:
        UsageError: there is no such template, or it is `own`, whose prefixes only the model folder knows.
    """
    known = PREFIXES.get(template_named(mode))
    if known is None:
        raise UsageError("The template `own` stands for the prompts of a model folder; it has none of its own.", "Load the folder.")
    return known


def template_of(name_or_path: str) -> TemplateMode:
    """Return the template that a backbone was trained with, by its name: "intfloat/multilingual-e5-small" → E5; unknown ones: NONE."""
    path = Path(name_or_path).absolute()  # "." too has a name
    if path.parent.name == "snapshots":  # the hub's cache: models--intfloat--multilingual-e5-small/snapshots/COMMIT
        path = path.parent.parent
    name = path.name.lower().rpartition("--")[2]
    return next((mode for pattern, mode in _BACKBONES if pattern.search(name)), TemplateMode.NONE)


def template_of_prompts(prompts: Mapping[str, str]) -> tuple[TemplateMode, Prefixes]:
    """Return the template that a sentence-transformers folder's prompts amount to, OWN where they are none of the known ones."""
    passage = next((prompts[name] for name in PASSAGE_NAMES if prompts.get(name)), "")
    found = Prefixes(prompts.get("query") or "", passage)
    return next((mode for mode, known in PREFIXES.items() if known == found), TemplateMode.OWN), found


def prompts_of(prefixes: Prefixes) -> dict[str, str]:
    """Return prefixes as sentence-transformers keeps them; it reads `document` before `passage`."""
    return {"query": prefixes.query, "document": prefixes.passage, "passage": prefixes.passage}
