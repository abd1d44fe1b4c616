"""The folder that is passed on: the model's files in the precision that is asked for, a card, and the proof that it still answers alike."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from retrieval_ko.collection import Collection, sample_folder, texts_of
from retrieval_ko.errors import UsageError
from retrieval_ko.files import check_replaceable, new_folder, read_json, read_lines, sha256, write_json, write_text
from training_ko.publishing.figures import figures_section, read_evaluation
from training_ko.publishing.likeness import Likeness, compare
from training_ko.publishing.model import Publisher
from training_ko.publishing.model_card import CardFacts, model_card
from training_ko.publishing.origins import origins_of
from training_ko.publishing.record import Places, read_record
from training_ko.publishing.shown import shown_values
from training_ko.weights import Precision, repack

HUB_CARD, PACKAGE_CARD = "README.md", "MODEL_CARD.md"
SAMPLE_PASSAGES, SAMPLE_QUERIES = 12, 8
_SETTINGS = ("config.json", "tokenizer_config.json", "training_config.json", "adapter_config.json", "sparse_ko.json")
"""Files in which libraries and this package leave the folder that a model was loaded from."""


@dataclass(frozen=True)
class PublishSettings:
    """What is published, and what its card says that no file knows."""

    model: Path
    name: str
    repo: str | None = None
    """OWNER/NAME on the hub; None: the model that comes with a package, with MODEL_CARD.md and no front matter."""
    licence: str = "apache-2.0"
    precision: Precision = "fp32"
    max_shard_size: int | None = None
    run: Path | None = None
    evaluations: Sequence[Path] = ()
    system: str = ""
    limits: Path | None = None
    watts: float | None = None
    stated: Mapping[str, str] = field(default_factory=dict)
    """Name of something that the model was made from → its licence."""
    places: Places = field(default_factory=Places)

    @property
    def card(self) -> str:
        """The card's file name."""
        return HUB_CARD if self.repo else PACKAGE_CARD


@dataclass(frozen=True)
class PublishedFolder:
    """What was written."""

    folder: Path
    files: list[tuple[str, int, str]]
    """(name, bytes, SHA-256), the card among them."""
    likeness: Likeness

    def as_json(self) -> dict[str, Any]:
        """Return what `publish --json` prints."""
        alike = self.likeness
        return {
            "folder": str(self.folder),
            "bytes": sum(size for _, size, _ in self.files),
            "files": [{"name": name, "bytes": size, "sha256": digest} for name, size, digest in self.files],
            "likeness": {"texts": alike.texts, "largest_deviation": alike.largest_deviation, "lowest_cosine": alike.lowest_cosine},
        }


def write_published_folder(
    settings: PublishSettings, publisher: Publisher, out: Path, on_step: Callable[[str], None] = lambda step: None
) -> PublishedFolder:
    """Write the folder, whole or not at all; licences and evaluations are looked at before anything is loaded.

    Args:
        settings: what is published.
        publisher: how its kind of model is loaded.
        out: the folder; an earlier one of the kind is replaced.
        on_step: told what is done next.

    Raises:
        DataError: a licence forbids it or is not stated, or a file is damaged.
        ModelError: there is no run, the model can't be loaded or rounded, or the folder does not answer as the model does.
        UsageError: `out` holds other files, or an evaluation does not measure the model.
    """
    _check_out(settings, out)
    on_step("what it was trained on")
    record = read_record(settings.model, settings.run, settings.places)
    origins = origins_of(record, settings.places, settings.stated)
    evaluations = [read_evaluation(folder) for folder in settings.evaluations]
    figures_section(evaluations, settings.system)
    limits = "\n".join(line for _, line in read_lines(settings.limits)) if settings.limits else ""
    on_step("loading the model")
    source = publisher.load(settings.model)
    passages, queries = _sample()
    before = source.vectors(passages, queries)
    with new_folder(out) as target:
        on_step(f"writing it in {settings.precision}")
        shutil.copytree(settings.model, target, ignore=_left_out, dirs_exist_ok=True)
        _hide_places(target)
        repack(target, settings.precision, settings.max_shard_size, publisher.card)
        on_step("loading what was written")
        likeness = compare(before, publisher.load(target).vectors(passages, queries))
        facts = CardFacts(
            name=settings.name,
            repo=settings.repo,
            licence=settings.licence,
            model=source,
            record=record,
            origins=origins,
            evaluations=evaluations,
            system=settings.system,
            limits=limits,
            watts=settings.watts,
            precision=settings.precision,
            likeness=likeness,
            files=_files(target),
        )
        write_text(target / settings.card, model_card(facts, with_front_matter=settings.repo is not None))
        files = _files(target)
    return PublishedFolder(out, files, likeness)


def _check_out(settings: PublishSettings, out: Path) -> None:
    if out.resolve() == settings.model.resolve():
        raise UsageError(f"{out} is the model itself, which would be replaced.", "Name another folder with --out.")
    held = {path.name for path in out.iterdir()} if out.is_dir() else set()
    is_earlier = settings.card in held and bool({"modules.json", "sparse_ko.json"} & held)
    check_replaceable(out, held if is_earlier else set(), settings.card)


def _left_out(folder: str, names: list[str]) -> set[str]:
    return {name for name in names if name.startswith(".") or name in (HUB_CARD, PACKAGE_CARD)}


def _hide_places(folder: Path) -> None:
    """Take out of the settings where on this machine a model, its base and its data stood."""
    for path in sorted(folder.rglob("*.json")):
        if path.name in _SETTINGS:
            values = read_json(path)
            if (shown := shown_values(values)) != values:
                write_json(path, shown)


def _sample() -> tuple[list[str], list[str]]:
    """Return passages and queries of the sample collection, from all over it."""
    sample = Collection.read(sample_folder())
    passages, queries = texts_of(sample.passages.values()), [query.text for query in sample.queries.values()]
    return passages[:: len(passages) // SAMPLE_PASSAGES][:SAMPLE_PASSAGES], queries[:: len(queries) // SAMPLE_QUERIES][:SAMPLE_QUERIES]


def _files(folder: Path) -> list[tuple[str, int, str]]:
    paths = sorted(path for path in folder.rglob("*") if path.is_file())
    return [(path.relative_to(folder).as_posix(), path.stat().st_size, sha256(path)) for path in paths]
