"""Which template a model has: one decision for training, evaluation and serving. Read otherwise, a model gives worse vectors."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from dense_ko.model_record import RECORD, ModelRecord
from dense_ko.templates import PREFIXES, Prefixes, TemplateMode, template_of, template_of_prompts


@dataclass(frozen=True)
class TemplateChoice:
    """A model's template, and what it was taken from."""

    mode: TemplateMode
    prefixes: Prefixes
    source: str
    """In words: "the prompts of DIR"."""

    def __str__(self) -> str:
        """Return it as a person is told: "template e5, by the name of intfloat/multilingual-e5-small"."""
        return f"template {self.mode.value}, by {self.source}"


def choose_template(name: str, prompts: Mapping[str, str], kept: ModelRecord | None = None) -> TemplateChoice:
    """Return what a model's folder keeps of its training, else what its prompts amount to, else what models of its name were trained with.

    Args:
        name: a folder, or a name on the hub.
        prompts: those of sentence-transformers; all empty: it has none.
        kept: its `training_config.json`.
    """
    if kept is not None:
        return TemplateChoice(kept.template, Prefixes(kept.query_prefix, kept.passage_prefix), f"the {RECORD} of {name}")
    mode, prefixes = template_of_prompts(prompts)
    if mode is not TemplateMode.NONE:
        return TemplateChoice(mode, prefixes, f"the prompts of {name}")
    mode = template_of(name)
    return TemplateChoice(mode, PREFIXES[mode], f"the name of {name}")
