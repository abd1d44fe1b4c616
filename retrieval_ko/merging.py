"""Several collections as one: passages, queries, judgements, synonyms and pairs joined, and nothing settled in silence."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TypeVar

from retrieval_ko.collection import Collection, Judged, Judgements, SplitRule
from retrieval_ko.errors import DataError, UsageError
from retrieval_ko.files import new_folder
from retrieval_ko.pairs.splits import part_of
from retrieval_ko.pairs.training_pairs import read_pairs, write_pairs
from retrieval_ko.records import Passage, Query, SynonymPair, TrainingPair

PREFIX_MARK = ":"
"""Between a collection's name and the id of a passage or query of it."""

Record = TypeVar("Record", Passage, Query)


def merge_collections(folders: Sequence[Path], target: Path, *, prefix: bool = False) -> Collection:
    """Write the union of collections to `target`, whole or not at all, and return it without its pairs.

    Args:
        folders: two or more collections; what comes first stays first.
        target: a folder that is not there yet.
        prefix: put each collection's name and a colon before its ids, so that no two clash.

    Raises:
        DataError: two records of one id differ; a query is in two splits; judgements contradict each other or name passages here and
            parents there.
        UsageError: `target` exists; one collection only; with `prefix`, two of one name.
    """
    if len(folders) < 2:
        raise UsageError("One collection alone cannot be merged.", "Name two or more.")
    if target.exists():
        raise UsageError(f"{target} exists.", "Name a new folder with --out.")
    parts = [Collection.read(folder) for folder in folders]
    names = [_id_prefix(part.name) if prefix else "" for part in parts]
    if prefix and len(set(names)) < len(names):
        twice = sorted({part.name for part, name in zip(parts, names, strict=True) if names.count(name) > 1})
        raise UsageError(f"Two collections are called {twice[0]!r}, so their ids would still clash.", "Change a name in collection.json.")
    if prefix:
        parts = [_prefixed(part, name) for part, name in zip(parts, names, strict=True)]
    merged = _joined(parts, folders, target.resolve().name)
    with new_folder(target) as unfinished:
        merged.write(unfinished)
        for stem in sorted({file.stem for folder in folders for file in _pair_files(folder)}):
            write_pairs(unfinished / "pairs" / f"{stem}.jsonl", _merged_pairs(stem, folders, names))
    return merged


def _pair_files(folder: Path) -> list[Path]:
    return sorted((folder / "pairs").glob("*.jsonl"))


def _id_prefix(name: str) -> str:
    return "-".join(name.split()) + PREFIX_MARK


def _prefixed(part: Collection, prefix: str) -> Collection:
    """Return the collection with `prefix` before all its ids, those of parents included."""

    def renamed(record: Record) -> Record:
        metadata = dict(record.metadata)
        if isinstance(metadata.get("parent_id"), str):
            metadata["parent_id"] = prefix + metadata["parent_id"]
        values = {**record.model_dump(by_alias=True), "_id": prefix + record.id, "metadata": metadata}
        return type(record).model_validate(values)

    return Collection(
        part.name,
        {prefix + key: renamed(passage) for key, passage in part.passages.items()},
        {prefix + key: renamed(query) for key, query in part.queries.items()},
        {
            split: {prefix + query: {prefix + key: grade for key, grade in grades.items()} for query, grades in judgements.items()}
            for split, judgements in part.judgements.items()
        },
        part.synonyms,
        part.licence,
        part.sources,
        part.judged,
        part.splits,
    )


def _joined(parts: Sequence[Collection], folders: Sequence[Path], name: str) -> Collection:
    merged = Collection(name, {}, judged=_common_judged(parts, folders))
    owners: dict[str, Path] = {}
    for part, folder in zip(parts, folders, strict=True):
        _add_records(merged.passages, part.passages, "passage", folder)
        _add_records(merged.queries, part.queries, "query", folder)
        for split, judgements in part.judgements.items():
            _add_judgements(merged, split, judgements, folder, owners)
    synonyms: dict[tuple[str, str], SynonymPair] = {}
    for pair in (pair for part in parts for pair in part.synonyms):
        synonyms.setdefault((pair.ko, pair.en), pair)
    merged.synonyms = list(synonyms.values())
    merged.licence = _joined_licences([part.licence for part in parts])
    merged.splits = _common_rules(parts)
    merged.sources = list(dict.fromkeys(source for part in parts for source in part.sources))
    return merged


def _common_judged(parts: Sequence[Collection], folders: Sequence[Path]) -> Judged:
    for part, folder in zip(parts, folders, strict=True):
        if part.judged != parts[0].judged and part.judgements and parts[0].judgements:
            raise DataError(
                f"The judgements of {folders[0]} name {parts[0].judged}s, those of {folder} name {part.judged}s.",
                "One collection cannot do both: bring them to one kind first.",
            )
    return next((part.judged for part in parts if part.judgements), parts[0].judged)


def _add_records(merged: dict[str, Record], added: dict[str, Record], name: str, folder: Path) -> None:
    for key, record in added.items():
        if merged.setdefault(key, record) != record:
            raise DataError(
                f"{folder}: the {name} {key!r} is another one than the {name} of that id before it.",
                "With --prefix every id begins with its collection's name.",
            )


def _add_judgements(merged: Collection, split: str, judgements: Judgements, folder: Path, owners: dict[str, Path]) -> None:
    known = merged.judgements.setdefault(split, {})
    for query, grades in judgements.items():
        for other, theirs in merged.judgements.items():
            if query in theirs and owners.get(query) != folder and _exclude_each_other(split, other):
                raise DataError(f"The query {query!r} is in the split '{split}' of {folder} and in '{other}' of {owners.get(query)}.")
        owners[query] = folder
        mine = known.setdefault(query, {})
        for passage, grade in grades.items():
            if mine.setdefault(passage, grade) != grade:
                raise DataError(f"{folder} judges {passage!r} for {query!r} as {grade}, another collection as {mine[passage]}.")


def _exclude_each_other(split: str, other: str) -> bool:
    """Tell whether two splits are parts of one scheme, such as train and dev."""
    one, two = part_of(split), part_of(other)
    return one is not None and two is not None and one[0] == two[0] and one != two


def _common_rules(parts: Sequence[Collection]) -> dict[str, SplitRule]:
    """Return the rule of each scheme on which all collections that have judgements agree; of the others nothing can be promised."""
    judged = [part for part in parts if part.judgements] or list(parts)
    return {scheme: rule for scheme, rule in judged[0].splits.items() if all(part.splits.get(scheme) == rule for part in judged)}


def _joined_licences(licences: Sequence[str]) -> str:
    """Return all licences, each once; a collection that states none makes the whole not free of doubt, and the word for it is SPDX's."""
    distinct = list(dict.fromkeys(licence or "NOASSERTION" for licence in licences))
    return " AND ".join(distinct) if distinct != ["NOASSERTION"] else ""


def _merged_pairs(stem: str, folders: Sequence[Path], prefixes: Sequence[str]) -> Iterator[TrainingPair]:
    """Yield the pairs of all files of one name, each once."""
    seen: set[str] = set()
    for folder, prefix in zip(folders, prefixes, strict=True):
        source = folder / "pairs" / f"{stem}.jsonl"
        for pair in read_pairs(source) if source.exists() else ():
            pair = _renamed_pair(pair, prefix) if prefix else pair
            row = json.dumps(pair.model_dump(), sort_keys=True)
            if row not in seen:
                seen.add(row)
                yield pair


def _renamed_pair(pair: TrainingPair, prefix: str) -> TrainingPair:
    renamed = {name: [prefix + key for key in getattr(pair, name)] for name in ("positive_passages", "hard_negatives", "random_negatives")}
    return TrainingPair.model_validate({**pair.model_dump(), **renamed, "query_id": prefix + pair.query_id if pair.query_id else ""})
