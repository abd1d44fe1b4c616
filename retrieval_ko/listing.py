"""Which collections and pair files lie below a folder, how large they are; counted by lines, not read."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from retrieval_ko.collection_statistics.reading import count_lines, stream_judgements
from retrieval_ko.errors import DataError
from retrieval_ko.files import read_json

_LONGEST_FIRST_LINE_BYTES = 1 << 20


def find_collections(folder: Path) -> list[dict[str, Any]]:
    """Return the collections and the lone pair files below `folder`, sorted by path; hidden folders are passed over.

    Raises:
        DataError: there is no such folder, or a file of judgements is damaged.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise DataError(f"There is no folder {folder}.")
    return sorted(_found_below(folder), key=lambda row: row["path"])


def _found_below(folder: Path) -> Iterator[dict[str, Any]]:
    for place, names, files in os.walk(folder):
        here = Path(place)
        names[:] = sorted(name for name in names if not name.startswith("."))
        if "corpus.jsonl" in files:
            yield _collection_row(here)
            names[:] = [name for name in names if name not in {"qrels", "pairs"}]
            continue
        for name in sorted(files):
            if name.endswith(".jsonl") and not name.startswith(".") and _is_pair_file(here / name):
                yield {"path": str(here / name), "kind": "pairs", "pairs": count_lines(here / name), "bytes": (here / name).stat().st_size}


def _collection_row(folder: Path) -> dict[str, Any]:
    card = folder / "collection.json"
    facts = read_json(card) if card.exists() else {}
    return {
        "path": str(folder),
        "kind": "collection",
        "name": facts.get("name") or folder.resolve().name,
        "licence": facts.get("licence", ""),
        "passages": count_lines(folder / "corpus.jsonl"),
        "queries": _lines(folder / "queries.jsonl"),
        "synonyms": _lines(folder / "synonyms.jsonl"),
        "splits": {file.stem: len({query for query, _, _ in stream_judgements(file)}) for file in sorted((folder / "qrels").glob("*.tsv"))},
        "pairs": {file.stem: count_lines(file) for file in sorted((folder / "pairs").glob("*.jsonl"))},
        "bytes": sum(file.stat().st_size for file in folder.rglob("*") if file.is_file()),
    }


def _lines(source: Path) -> int:
    return count_lines(source) if source.exists() else 0


def _is_pair_file(source: Path) -> bool:
    with source.open("rb") as file:
        line = file.readline(_LONGEST_FIRST_LINE_BYTES)
    try:
        row = json.loads(line)
    except (ValueError, RecursionError):
        return False
    return isinstance(row, dict) and {"query_text", "positive_passages"} <= row.keys()
