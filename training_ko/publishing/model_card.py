"""The card of a model: README.md for the hub, with front matter, or MODEL_CARD.md for the model that comes with a package."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import yaml

from retrieval_ko.markdown import table
from training_ko.publishing.energy import energy_section
from training_ko.publishing.figures import figures_section
from training_ko.publishing.likeness import Likeness
from training_ko.publishing.model import PublishedModel
from training_ko.publishing.origins import Origin
from training_ko.publishing.record import TrainingRecord
from training_ko.publishing.shown import shown_values
from training_ko.weights import Precision

NEWLINE = "\n"  # not white space: a section may begin with an indented command
HUB_LICENCES = frozenset(
    {"apache-2.0", "mit", "bsd-3-clause", "cc0-1.0", "cc-by-4.0", "cc-by-sa-3.0", "cc-by-sa-4.0", "unlicense", "other"}
)
"""Those that the hub knows by these names and that are used here; another is `other` with its name beside."""


@dataclass(frozen=True)
class CardFacts:
    """All that a card says."""

    name: str
    repo: str | None
    """OWNER/NAME on the hub; None: the packaged model."""
    licence: str
    model: PublishedModel
    record: TrainingRecord
    origins: Sequence[Origin]
    evaluations: Sequence[Mapping[str, Any]]
    system: str
    """The model's name in the evaluations."""
    limits: str
    """Markdown, by who publishes; empty: nothing was written."""
    watts: float | None
    precision: Precision
    likeness: Likeness
    files: Sequence[tuple[str, int, str]]
    """(name, bytes, SHA-256)."""


def front_matter(facts: CardFacts) -> str:
    """Return what the hub reads, in YAML between two lines of dashes."""
    from huggingface_hub import ModelCardData

    licence = facts.licence.lower()
    known = licence in HUB_LICENCES
    bases = [origin.name for origin in facts.origins if origin.kind == "base model" and "/" in origin.name]
    data = ModelCardData(
        language="ko",
        license=licence if known else "other",
        license_name=None if known else re.sub(r"[^a-z0-9.]+", "-", licence).strip("-"),
        library_name=facts.model.library,
        pipeline_tag="feature-extraction",
        tags=list(facts.model.tags),
        datasets=sorted({origin.name for origin in facts.origins if origin.kind == "collection"}) or None,
        base_model=bases or None,
    )
    return f"---\n{data.to_yaml().strip()}\n---\n"


def model_card(facts: CardFacts, *, with_front_matter: bool) -> str:
    """Return the whole card.

    Args:
        facts: what it says.
        with_front_matter: for the hub.
    """
    sections = [
        (f"# {facts.name}", _introduction(facts)),
        ("## How to use", facts.model.usage(facts.name, facts.repo)),
        ("## Figures", figures_section(facts.evaluations, facts.system)),
        ("## Training data and licences", _origins(facts.origins)),
        ("## Recipe", _recipe(facts.record)),
        ("## Limits", facts.limits.strip() or "Who published this wrote none down. What is not in the figures above was not measured."),
        ("## Time and energy", energy_section(facts.record.all, facts.watts)),
        ("## Files", _files(facts)),
    ]
    card = "\n".join(f"{heading}\n\n{text.strip(NEWLINE)}\n" for heading, text in sections)
    return f"{front_matter(facts)}\n{card}" if with_front_matter else card


def _introduction(facts: CardFacts) -> str:
    on_disk = "fp16 (matrices; vectors float32)" if facts.precision == "fp16" else "float32"
    rows = [*facts.model.facts, ("precision on disk", on_disk), ("precision in memory", "float32"), ("licence", facts.licence)]
    return f"{facts.model.kind} for Korean search on OpenSearch.\n\n{table(['', 'value'], rows)}"


def _origins(origins: Sequence[Origin]) -> str:
    rows = [
        [origin.name, origin.kind, origin.licence, ", ".join(origin.sources), f"`{origin.sha256[:12]}`" if origin.sha256 else ""]
        for origin in origins
    ]
    return table(["name", "what", "licence", "sources to name", "SHA-256 begins"], rows)


def _recipe(record: TrainingRecord) -> str:
    parts = []
    for run in record.all:
        metadata = run.metadata
        versions = ", ".join(f"{name} {value}" for name, value in (metadata.get("versions") or {}).items())
        rows = [
            ("commit", str(metadata.get("git_commit") or "not recorded")),
            ("seed", str(metadata.get("seed", ""))),
            ("begun", str(metadata.get("started_at", ""))),
            ("state", str(metadata.get("state", ""))),
            *((name, str(metadata[key])) for name, key in (("steps", "steps"), ("best step", "best_step")) if key in metadata),
            *([("nDCG@10 on dev while training", f"{metadata['dev_ndcg@10']:.4f}")] if "dev_ndcg@10" in metadata else []),
            ("versions", versions),
        ]
        config = yaml.safe_dump(shown_values(dict(run.config), run.typed_in), allow_unicode=True, sort_keys=False)
        command = f"    {run.command}\n" if run.command else "The command was not recorded.\n"
        parts += [f"### {run.config.get('name', run.folder.name)}\n", command, table(["", "value"], rows), f"```yaml\n{config}```\n"]
    return "\n".join(parts)


def _files(facts: CardFacts) -> str:
    rows = [[name, f"{size:,}", f"`{digest}`"] for name, size, digest in facts.files]
    alike = facts.likeness
    return (
        table(["file", "bytes", "SHA-256"], rows)
        + f"\nLoaded again, the folder answered {alike.texts} sample texts as the trained model does: largest deviation of a number "
        f"{alike.largest_deviation:.2g}, lowest cosine of a vector {alike.lowest_cosine:.6f}."
        + (" The figures above were measured before rounding to fp16." if facts.precision == "fp16" and facts.evaluations else "")
    )
