"""What a model was trained on, and under which licences: read from the collections, term pairs and base models that its configs name."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import yaml

from retrieval_ko.collection import read_synonyms, sample_folder
from retrieval_ko.errors import DataError, UsageError
from retrieval_ko.files import read_json, sha256
from retrieval_ko.synonyms.reading import UNKNOWN_LICENCE, licence_of
from training_ko.publishing.licences import STATE_IT, objection
from training_ko.publishing.record import Places, TrainingRecord


@dataclass(frozen=True)
class Origin:
    """One thing that a model was trained on or started from."""

    name: str
    kind: str
    """collection, texts, term pairs, base model, morpheme embeddings."""
    licence: str
    sources: tuple[str, ...] = ()
    sha256: str = ""
    missing: str = ""
    """Where the config says it is, if it is not there."""


def origins_of(record: TrainingRecord, places: Places, stated: Mapping[str, str]) -> list[Origin]:
    """Return what a model was made from, each once, the first run's first.

    Args:
        record: of its training.
        places: where the paths of its configs are now.
        stated: name → licence, by the person who publishes.

    Raises:
        DataError: something has no licence, or one that forbids passing on the weights, or is not to be found; names all of them.
        UsageError: a licence is stated for something that the model was not made from.
    """
    found = list(dict.fromkeys(origin for run in record.all for origin in _of_run(run, places)))
    if strangers := sorted(set(stated) - {origin.name for origin in found}):
        known = ", ".join(origin.name for origin in found)
        raise UsageError(f"--licence-of {strangers[0]}: the model was not made from that.", f"It was made from: {known}.")
    origins = [replace(origin, licence=stated[origin.name], missing="") if origin.name in stated else origin for origin in found]
    complaints = [f"  {origin.kind} {origin.name}: {reason}" for origin in origins if (reason := _reason(origin))]
    if complaints:
        raise DataError(
            "The weights can't be passed on, by the licences of what they were learnt from:\n" + "\n".join(complaints),
            f"Leave it out and train anew; where a licence is only not written down: {STATE_IT}, or into collection.json; "
            "where something stands elsewhere now: --at DIR",
        )
    return origins


def _reason(origin: Origin) -> str:
    return f"{origin.missing} is not here, so its licence is not known" if origin.missing else objection(origin.licence)


def _of_run(run: TrainingRecord, places: Places) -> Iterator[Origin]:
    uses_pairs = bool(run.asked("synonyms", "as_pairs") or run.asked("synonyms", "weight"))
    for path in dict.fromkeys(_collections(run)):
        folder = sample_folder() if path is None else places.find(path, run.typed_in)
        if folder is None:
            yield Origin(Path(str(path)).name, "collection", "", missing=str(path))
        elif folder.is_file():
            yield Origin(folder.name, "texts", "", sha256=_hash(run, folder.name))
        else:
            collection = _collection(run, folder)
            yield collection
            if uses_pairs and (folder / "synonyms.jsonl").is_file():
                yield from _term_pairs(folder / "synonyms.jsonl", collection.licence)
    if file := run.asked("synonyms", "file"):
        found = places.find(str(file), run.typed_in)
        if found is None:
            yield Origin(Path(str(file)).name, "term pairs", "", missing=str(file))
        else:
            yield from _term_pairs(found, "")
    for base in run.bases:
        place = places.find(base, run.typed_in)
        if place is None or not any(place.resolve().parent == earlier.folder.resolve() for earlier in run.earlier):
            name = base if place is None else place.name
            yield Origin(name, "base model", _front_matter_licence(place) if place else "")
    from_lexical = run.asked("model", "form") != "lexical-floor" or run.asked("model", "body") == "transformer"
    if not run.bases and run.asked("model", "neighbour_pull") and from_lexical:
        yield Origin("kiwipiepy_model", "morpheme embeddings", "Apache-2.0", ("Kiwi",))


def _collections(run: TrainingRecord) -> Iterator[str | None]:
    """Yield the paths of what was read; None is the sample in the package."""
    if "sources" in run.config:  # a pre-training run
        yield from map(str, run.config["sources"] or []) if run.config["sources"] else [None]
        return
    sources = run.config.get("data") or []
    named = [run.config.get("collection"), *(source.get("collection") for source in sources if isinstance(source, dict))]
    yield from [None] if not any(named) else (str(path) for path in named if path)


def _collection(run: TrainingRecord, folder: Path) -> Origin:
    path = folder / "collection.json"
    card: Any = read_json(path) if path.is_file() else {}
    if not isinstance(card, dict):
        raise DataError(f"{path} holds no keys and values.")
    name = str(card.get("name") or folder.resolve().name)
    return Origin(name, "collection", str(card.get("licence") or ""), tuple(map(str, card.get("sources") or [])), _hash(run, name))


def _hash(run: TrainingRecord, name: str) -> str:
    known = run.metadata.get("data")
    return str(known.get(name, "")) if isinstance(known, dict) else ""


def _term_pairs(file: Path, otherwise: str) -> Iterator[Origin]:
    """Yield an origin for each source of the pairs; one that the project does not know has the licence of the collection it stands in."""
    digest = sha256(file)
    for source in sorted({pair.source for pair in read_synonyms(file)}):
        licence = licence_of(source)
        yield Origin(source or file.name, "term pairs", otherwise if licence == UNKNOWN_LICENCE else licence, sha256=digest)


def _front_matter_licence(folder: Path) -> str:
    """Return what the README.md of a model's folder states as `license:`, empty where it states none."""
    path = folder / "README.md"
    matter = re.match(r"---\n(.*?)\n---\n", path.read_text(encoding="utf-8"), re.DOTALL) if path.is_file() else None
    try:
        values = yaml.safe_load(matter.group(1)) if matter else {}
    except yaml.YAMLError as failure:
        raise DataError(f"{path}: its front matter is not YAML: {' '.join(str(failure).split())}.") from failure
    return str(values.get("license") or "") if isinstance(values, dict) else ""
