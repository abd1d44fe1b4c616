"""The folder in which an embedding run collects finished shards, so that a run that was killed goes on where it stopped."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from dense_ko.embedding.arrays import Block, Vectors, read_embeddings, write_embeddings
from retrieval_ko.errors import DataError, UsageError
from retrieval_ko.files import new_folder, read_json, write_json

PLAN = "plan.json"


class Shards:
    """Shards of a run, each written whole, and the plan they were made by.

    Args:
        folder: holds plan.json and 000000.npz, 000001.npz …
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @classmethod
    def open(cls, folder: Path, plan: Mapping[str, Any], *, resume: bool) -> Shards:
        """Begin a run, or go on with one that stopped.

        Args:
            folder: of the shards.
            plan: everything that a vector depends on, as JSON values.
            resume: whether a run that is there may be gone on with.

        Raises:
            UsageError: a run is there and `resume` is not asked for, or it was made by another plan; says what differs.
            DataError: its plan.json is damaged.
        """
        if not folder.exists():
            with new_folder(folder) as target:
                write_json(target / PLAN, plan)
            return cls(folder)
        remedy = f"Begin anew by removing it: rm -r {folder}"
        if not resume:
            raise UsageError(f"{folder} holds an unfinished run.", f"Go on with it: --resume    {remedy}")
        check_same(plan, read_json(folder / PLAN), str(folder), remedy)
        return cls(folder)

    def _file(self, number: int) -> Path:
        return self.folder / f"{number:06}.npz"

    def is_done(self, number: int) -> bool:
        """Return whether a shard is there."""
        return self._file(number).is_file()

    def write(self, number: int, ids: list[str], vectors: Vectors) -> None:
        """Write a shard, whole or not at all; vectors have shape [ids, dimensions]."""
        write_embeddings(
            [self._file(number)],
            lambda: [(ids, vectors)],
            count=len(ids),
            longest_id=max(map(len, ids)),
            dimensions=vectors.shape[1],
        )

    def read(self, number: int) -> Block:
        """Return a shard's ids and vectors.

        Raises:
            DataError: it is damaged; says how the run goes on.
        """
        file = self._file(number)
        try:
            ids, vectors = read_embeddings(file)
        except DataError as failure:
            raise DataError(failure.problem, f"Remove that shard and go on with --resume: rm {file}") from failure
        return ids.tolist(), vectors

    def check_ids(self, number: int, ids: list[str]) -> None:
        """Make sure that a finished shard is of these texts.

        Raises:
            DataError: it is damaged, or holds others.
        """
        if self.read(number)[0] != ids:
            raise DataError(
                f"{self._file(number)} holds other texts than the input.", f"Remove it and go on with --resume: rm {self._file(number)}"
            )

    def blocks(self, count: int) -> Iterator[Block]:
        """Yield the first `count` shards, in order."""
        for number in range(count):
            yield self.read(number)

    def remove(self) -> None:
        """Remove the folder and what is left of it. Its name goes first, so that a half-removed one is never taken for a run."""
        leaving = self.folder.with_name(f"{self.folder.name}.unfinished")
        shutil.rmtree(leaving, ignore_errors=True)
        if self.folder.exists():
            self.folder.replace(leaving)
            shutil.rmtree(leaving, ignore_errors=True)


def check_same(wanted: Mapping[str, Any], found: Any, where: str, remedy: str) -> None:  # noqa: ANN401  any JSON value
    """Make sure that a run is gone on with as it was begun.

    Raises:
        UsageError: it differs; names the first value that does.
    """
    if not isinstance(found, dict):
        raise DataError(f"{where}: {PLAN} holds no plan of a run.", remedy)
    if differing := _differences(wanted, found):
        key, now, before = differing[0]
        raise UsageError(f"{where} was begun with {key} {before!r}, now it is {now!r}; their vectors cannot be mixed.", remedy)


def _differences(wanted: Mapping[str, Any], found: Mapping[str, Any]) -> list[tuple[str, Any, Any]]:
    rows: list[tuple[str, Any, Any]] = []
    for key in dict.fromkeys([*wanted, *found]):
        now, before = wanted.get(key), found.get(key)
        if isinstance(now, Mapping) and isinstance(before, Mapping):
            rows += [(f"{key}.{name}", *values) for name, *values in _differences(now, before)]
        elif now != before:
            rows.append((key, now, before))
    return rows
