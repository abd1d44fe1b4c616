"""Converted collections kept on disk, so that a set is fetched and converted once."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path

from retrieval_ko.errors import RetrievalError
from retrieval_ko.files import folder_sha256, new_folder, read_json, write_json
from retrieval_ko.sources.report import SourceReport

FORMAT = 1
"""Raised when conversion changes, so that what older code converted is not used."""


def default_cache() -> Path:
    """Return the user's folder for converted sets."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache").resolve() / "sparse-ko" / "sources"


def cached_collection(cache: Path, key: Mapping[str, object], out: Path, report: SourceReport, make: Callable[[Path], None]) -> None:
    """Put the collection of `key` at `out`, from the cache or newly made.

    An entry appears by renaming a folder that is whole, and its hash is checked before it is used: one that is half-written or changed
    is made again. A conversion with problems is not cached, so that they are reported each time.

    Args:
        cache: the folder of all entries.
        key: what the result depends on: the name, the revision or the file's hash, the options.
        out: the collection folder; its name goes into collection.json.
        report: gets the counts, those of the earlier run too.
        make: writes the collection to the folder that it is given.
    """
    name = hashlib.sha256(json.dumps({"format": FORMAT, **key}, sort_keys=True, ensure_ascii=False).encode()).hexdigest()[:24]
    entry = cache / name
    if _is_sound(entry):
        facts = read_json(entry / "entry.json")
        report.from_cache = True
        report.read, report.written, report.left_out = (Counter(facts[kind]) for kind in ("read", "written", "left_out"))
        with new_folder(out) as target:
            shutil.copytree(entry / "collection", target, dirs_exist_ok=True)
            card = read_json(target / "collection.json")
            write_json(target / "collection.json", {**card, "name": out.resolve().name})
        return
    make(out)
    if not report.problems:
        with new_folder(entry) as target:
            shutil.copytree(out, target / "collection")
            counts = {"read": report.read, "written": report.written, "left_out": report.left_out}
            write_json(target / "entry.json", {"key": dict(key), "sha256": folder_sha256(target / "collection"), **counts})


def _is_sound(entry: Path) -> bool:
    try:
        facts = read_json(entry / "entry.json")
    except RetrievalError:
        return False
    return isinstance(facts, dict) and facts.get("sha256") == folder_sha256(entry / "collection")
