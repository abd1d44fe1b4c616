"""A collection's passages one after the other, so that a corpus of any size takes the memory of a few."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from retrieval_ko.collection import first_complaint
from retrieval_ko.errors import DataError
from retrieval_ko.files import read_jsonl, sha256
from retrieval_ko.records import Passage


@dataclass(frozen=True)
class Corpus:
    """A corpus.jsonl that was read once from beginning to end, and found sound."""

    path: Path
    passages: int
    sha256: str

    @classmethod
    def check(cls, folder: Path) -> Corpus:
        """Read the corpus of a collection folder: every line, before the first passage goes anywhere.

        Raises:
            DataError: it is missing, empty or damaged, or an id stands twice; names the line.
        """
        if not Path(folder).is_dir():
            raise DataError(f"There is no collection folder {folder}.", "A collection is a folder with corpus.jsonl.")
        path = Path(folder) / "corpus.jsonl"
        known: dict[bytes, int] = {}
        for number, passage in _read(path):
            # 16 bytes of each id: of ten million passages the ids alone would be a gigabyte.
            key = hashlib.blake2b(passage.id.encode(), digest_size=16).digest()
            if key in known:
                raise DataError(f"{path}, line {number}: the _id {passage.id!r} was used before, in line {known[key]}.")
            known[key] = number
        if not known:
            raise DataError(f"{path} is empty: it holds no passage.", 'Write one a line: {"_id": "…", "title": "…", "text": "…"}')
        return cls(path, len(known), sha256(path))

    def __len__(self) -> int:
        return self.passages

    def __iter__(self) -> Iterator[Passage]:
        return (passage for _, passage in _read(self.path))


def _read(path: Path) -> Iterator[tuple[int, Passage]]:
    for number, row in read_jsonl(path):
        for key in ("_id", "id"):
            if isinstance(row.get(key), int) and not isinstance(row[key], bool):
                row[key] = str(row[key])
        try:
            passage = Passage.model_validate(row)
        except ValidationError as failure:
            raise DataError(f"{path}, line {number}: {first_complaint(failure)}.") from failure
        if not passage.text.strip():
            raise DataError(f"{path}, line {number}: the text of {passage.id!r} is empty.")
        yield number, passage
