"""The journal of a synthesis: every answer, on the disk before the next passage is asked, so that no answer is paid for twice."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import threading
from pathlib import Path
from types import TracebackType
from typing import Any

from retrieval_ko.errors import DataError, UsageError
from retrieval_ko.files import explained, read_jsonl
from retrieval_ko.records import Passage


def passage_digest(passage: Passage) -> str:
    """Return 16 hexadecimal digits that change when the passage's title or text does."""
    return hashlib.sha256(passage.passage_text.encode()).hexdigest()[:16]


class Journal:
    """A file that begins with the settings and goes on with one answer a line, in the order of their arrival.

    A process that is killed while it writes leaves a last line without its end; it is cut off here and that passage is asked again.

    Args:
        path: the file; it is made where there is none.
        settings: what the answers depend on (model, prompt, seed, …); a journal made with other settings is not continued.

    Raises:
        UsageError: the journal at `path` has other settings, or another process writes to it.
        DataError: a line before the last is damaged.
    """

    def __init__(self, path: Path, settings: dict[str, Any]) -> None:
        self.path = path
        self._settings = settings
        self._lock = threading.Lock()
        self._answers: dict[tuple[str, str], str] = {}

    def __enter__(self) -> Journal:
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._file = self.path.open("ab", buffering=0)
            self._claim()
            self._cut_torn_line()
            self._read()
            if not self.path.stat().st_size:
                self._append({"settings": self._settings})
        except OSError as failure:
            raise explained(self.path, failure) or failure from failure
        except BaseException:
            self._file.close()
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None) -> None:
        self._file.close()

    def answer(self, passage: Passage) -> str | None:
        """Return the answer to a passage, None where it was not asked yet or reads differently now."""
        return self._answers.get((passage.id, passage_digest(passage)))

    def keep(self, passage: Passage, answer: str) -> str:
        """Write an answer, wait until the disk has it, and return it as it was written. Several threads may call this.

        Half characters (lone surrogates), which no file can hold, become question marks.

        Raises:
            RetrievalError: the disk is full or the file may not be written.
        """
        answer = answer.encode("utf-8", "replace").decode()
        row = {"_id": passage.id, "passage": passage_digest(passage), "answer": answer}
        with self._lock:
            try:
                self._append(row)
            except OSError as failure:
                raise explained(self.path, failure) or failure from failure
            self._answers[passage.id, passage_digest(passage)] = answer
        return answer

    def _append(self, row: dict[str, Any]) -> None:
        line = json.dumps(row, ensure_ascii=False).encode() + b"\n"
        whole = self._file.seek(0, os.SEEK_END)
        try:
            if self._file.write(line) < len(line):
                raise OSError(errno.ENOSPC, "No space left on device")
            os.fsync(self._file.fileno())
        except OSError:
            self._file.truncate(whole)
            raise

    def _claim(self) -> None:
        """Take the file for this process alone; where the system has no such locks, go on without."""
        try:
            import fcntl
        except ImportError:  # Windows
            return
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise UsageError(
                f"Another process is writing to {self.path}.", "Wait until it is done, or name another file with --out."
            ) from None

    def _cut_torn_line(self) -> None:
        content = self.path.read_bytes()
        whole = content.rfind(b"\n") + 1
        if whole < len(content):
            os.truncate(self.path, whole)

    def _read(self) -> None:
        for number, row in read_jsonl(self.path):
            if number == 1:
                self._check_settings(row)
                continue
            try:
                self._answers[str(row["_id"]), str(row["passage"])] = str(row["answer"])
            except KeyError as missing:
                raise DataError(f"{self.path}, line {number}: has no {missing}, so it is no line of a journal.") from None

    def _check_settings(self, row: dict[str, Any]) -> None:
        known = row.get("settings")
        if not isinstance(known, dict):
            raise DataError(f"{self.path}, line 1: does not name its settings, so it is no journal.", "Name another file with --out.")
        other = [name for name in sorted({*known, *self._settings}) if known.get(name) != self._settings.get(name)]
        if other:
            differences = "; ".join(f"{name} was {known.get(name)!r}, now {self._settings.get(name)!r}" for name in other)
            raise UsageError(
                f"{self.path} holds answers that were made with other settings: {differences}.",
                "Go on with the same settings, name another file with --out, or delete the journal.",
            )
