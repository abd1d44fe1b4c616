"""Which passages of a collection are in an index, on disk, so that a command that was killed goes on where it was.

A file of JSON lines that only grows: the first says of which run it is, every further one which places of the corpus the cluster has
taken, [[first, last + 1], …]. A line counts when its line break is there, so a process killed while writing costs one request at most.
"""

from __future__ import annotations

import json
import os
import sys
from bisect import bisect_right
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

from retrieval_ko.errors import DataError, UsageError
from retrieval_ko.files import explained

MARK = "sparse_ko_checkpoint"
LAYOUT = 1


class Checkpoint:
    """The passages that are in, by their place in the corpus, from 0.

    Args:
        path: of the file; made if there is none.
        identity: what the run is of (index, collection, model …); a file of another run is refused.

    Raises:
        UsageError: the file belongs to another run, or another process is at it.
        DataError: the file is something else, or damaged.
        RetrievalError: it cannot be written.
    """

    def __init__(self, path: Path, identity: Mapping[str, str]) -> None:
        self.path = Path(path)
        self._header = {MARK: LAYOUT, **identity}
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._file = self.path.open("a+b")
        except OSError as failure:
            raise explained(self.path, failure) or failure from failure
        try:
            self._lock()
            self._starts, self._ends = self._read()
            self._is_empty = not self._starts
        except BaseException:
            self._file.close()
            raise

    def __enter__(self) -> Checkpoint:
        return self

    def __exit__(self, kind: type[BaseException] | None, failure: BaseException | None, trace: TracebackType | None) -> None:
        self._file.close()
        if self._is_empty:
            self.remove()

    def __len__(self) -> int:
        """How many passages were in when the file was opened."""
        return sum(end - start for start, end in zip(self._starts, self._ends, strict=True))

    def __contains__(self, place: int) -> bool:
        found = bisect_right(self._starts, place) - 1
        return found >= 0 and place < self._ends[found]

    def add(self, places: Iterable[int]) -> None:
        """Note that these passages are in; on disk when it returns.

        Raises:
            RetrievalError: the disk is full.
        """
        stretches = _stretches(places)
        if stretches:
            self._write(stretches)
            self._is_empty = False

    def remove(self) -> None:
        """Delete the file: everything is in."""
        self.path.unlink(missing_ok=True)

    def _lock(self) -> None:
        if sys.platform == "win32":
            return
        import fcntl

        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise UsageError(f"Another command is indexing with the checkpoint {self.path}.", "Wait until it has ended.") from None

    def _read(self) -> tuple[list[int], list[int]]:
        self._file.seek(0)
        lines = self._file.read().split(b"\n")
        unfinished = lines.pop()
        if not lines:
            if unfinished and not json.dumps(self._header, ensure_ascii=False).encode().startswith(unfinished):
                raise self._strange()
            self._file.truncate(0)
            self._write(self._header)
            return [], []
        rows = [self._parsed(line) for line in lines]
        self._check_header(rows[0])
        if unfinished:
            self._file.truncate(sum(len(line) + 1 for line in lines))
        places = sorted(stretch for row in rows[1:] for stretch in self._checked(row))
        starts: list[int] = []
        ends: list[int] = []
        for start, end in places:
            if ends and start <= ends[-1]:
                ends[-1] = max(ends[-1], end)
            else:
                starts.append(start)
                ends.append(end)
        return starts, ends

    def _parsed(self, line: bytes) -> Any:  # noqa: ANN401  any JSON value
        try:
            return json.loads(line)
        except ValueError as failure:
            raise self._strange() from failure

    def _check_header(self, header: Any) -> None:  # noqa: ANN401  any JSON value
        if not isinstance(header, dict) or header.get(MARK) != LAYOUT:
            raise self._strange()
        other = [name for name, value in self._header.items() if header.get(name) != value]
        if other:
            told = "; ".join(f"{name}: {header.get(name)}, here {self._header[name]}" for name in other)
            raise UsageError(
                f"The checkpoint {self.path} is of another run ({told}).",
                f"To begin this one anew, name another file with --checkpoint, or: rm {self.path}",
            )

    def _checked(self, row: Any) -> list[tuple[int, int]]:  # noqa: ANN401  any JSON value
        try:
            return [(int(start), int(end)) for start, end in row]
        except (TypeError, ValueError) as failure:
            raise self._strange() from failure

    def _strange(self) -> DataError:
        return DataError(f"{self.path} is no checkpoint of an ingest, or is damaged.", "Name another file: --checkpoint FILE")

    def _write(self, row: Any) -> None:  # noqa: ANN401  any JSON value
        try:
            self._file.write(json.dumps(row, ensure_ascii=False).encode() + b"\n")
            self._file.flush()
            os.fsync(self._file.fileno())
        except OSError as failure:
            raise explained(self.path, failure) or failure from failure


def _stretches(places: Iterable[int]) -> list[tuple[int, int]]:
    found: list[tuple[int, int]] = []
    for place in sorted(places):
        if found and found[-1][1] == place:
            found[-1] = (found[-1][0], place + 1)
        else:
            found.append((place, place + 1))
    return found
