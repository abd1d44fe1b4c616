"""On what was measured, with what: hashes of the data, and the machine. Numbers are comparable only on identical data."""

from __future__ import annotations

import hashlib
import os
import platform
from pathlib import Path
from typing import Any

from retrieval_ko.collection import Collection
from retrieval_ko.files import sha256
from retrieval_ko.runs import git_commit, versions
from retrieval_ko.terms import available_cores


def data_hashes(folder: Path, collection: Collection, split: str) -> dict[str, str]:
    """Return the SHA-256 of the passages, the queries and the split's judgements, and one over these and how they are judged.

    Args:
        folder: of the collection.
        collection: as read from there.
        split: whose judgements count.
    """
    files = {"corpus": folder / "corpus.jsonl", "queries": folder / "queries.jsonl", "judgements": folder / "qrels" / f"{split}.tsv"}
    hashes = {name: sha256(file) for name, file in files.items()}
    together = "\n".join([collection.judged, *hashes.values()])
    return {"sha256": hashlib.sha256(together.encode()).hexdigest(), **hashes}


def texts_hash(collection: Collection) -> str:
    """Return one SHA-256 over all passages as an encoder reads them, ids and order included."""
    digest = hashlib.sha256()
    for passage in collection.passages.values():
        text = passage.passage_text.encode("utf-8", "surrogatepass")
        digest.update(f"{passage.id}\0{len(text)}\0".encode())
        digest.update(text)
    return digest.hexdigest()


def conditions() -> dict[str, Any]:
    """Return what a number depends on besides data and model: commit, versions, processor, cores."""
    return {
        "platform": platform.platform(terse=True),
        "processor": _processor(),
        "cores": available_cores(),
        "git_commit": git_commit(),
        "versions": versions(),
    }


def _processor() -> str:
    source = Path("/proc/cpuinfo")
    if source.exists():
        for line in source.read_text(encoding="utf-8", errors="replace").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or os.uname().machine
