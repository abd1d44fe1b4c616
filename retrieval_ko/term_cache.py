"""Kiwi's analyses on disk, so that a text is analysed once, whatever commands read it and however often."""

from __future__ import annotations

import hashlib
import os
import sqlite3
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from types import TracebackType

from retrieval_ko.errors import DataError, RetrievalError
from retrieval_ko.files import explained

_LAYOUT = 1
"""Goes up when what is stored for a text changes; the file's name holds it."""
_WAIT_SECONDS = 60
_KEYS_AT_ONCE = 500


def default_folder() -> Path:
    """Return where caches of terms lie: below `$SPARSE_KO_CACHE`, else below the user's cache folder."""
    if chosen := os.environ.get("SPARSE_KO_CACHE"):
        return Path(chosen).expanduser().resolve() / "terms"
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache").resolve() / "sparse-ko" / "terms"


def analyser() -> str:
    """Return which analyser makes the terms: an update of Kiwi or of its model is another analyser."""
    return f"kiwi-{version('kiwipiepy')}-{version('kiwipiepy_model')}-{_LAYOUT}"


class TermCache:
    """Texts and their analyses, in one SQLite file for each version of the analyser.

    Several processes may use one cache at once, and one that is killed leaves it whole (write-ahead log). A paragraph of 270 characters
    takes about 1 KB. The file grows without a limit; `clear`, or deleting the folder, empties it.

    Args:
        folder: where the file lies; made if need be.

    Raises:
        DataError: the file is damaged.
        RetrievalError: the folder cannot be written.
    """

    def __init__(self, folder: Path | None = None) -> None:
        self.path = Path(folder or default_folder()) / f"{analyser()}.sqlite3"
        with self._explained():
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._database = sqlite3.connect(self.path, timeout=_WAIT_SECONDS, isolation_level=None)
            try:
                self._database.execute("PRAGMA journal_mode = WAL")
                self._database.execute("PRAGMA synchronous = NORMAL")
                self._database.execute("CREATE TABLE IF NOT EXISTS analyses (text BLOB PRIMARY KEY, analysis BLOB NOT NULL) WITHOUT ROWID")
            except BaseException:
                self._database.close()
                raise

    def __enter__(self) -> TermCache:
        return self

    def __exit__(self, kind: type[BaseException] | None, failure: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def __len__(self) -> int:
        with self._explained():
            return int(self._database.execute("SELECT count(*) FROM analyses").fetchone()[0])

    def get(self, texts: Sequence[str]) -> dict[str, str]:
        """Return the analyses of those texts that are known."""
        keys = {_key(text): text for text in texts}
        found: dict[str, str] = {}
        wanted = list(keys)
        with self._explained():
            for start in range(0, len(wanted), _KEYS_AT_ONCE):
                some = wanted[start : start + _KEYS_AT_ONCE]
                marks = ",".join("?" * len(some))
                rows = self._database.execute(f"SELECT text, analysis FROM analyses WHERE text IN ({marks})", some)
                found |= {keys[key]: zlib.decompress(packed).decode() for key, packed in rows}
        return found

    def add(self, analyses: Mapping[str, str]) -> None:
        """Store analyses by text, all of them or, where the process ends meanwhile, none."""
        if not analyses:
            return
        rows = [(_key(text), zlib.compress(analysis.encode(), 6)) for text, analysis in analyses.items()]
        with self._explained():
            self._database.execute("BEGIN IMMEDIATE")
            try:
                self._database.executemany("INSERT OR REPLACE INTO analyses VALUES (?, ?)", rows)
                self._database.execute("COMMIT")
            except BaseException:
                if self._database.in_transaction:
                    self._database.execute("ROLLBACK")
                raise

    def clear(self) -> None:
        """Forget all analyses and give their space back."""
        with self._explained():
            self._database.execute("DELETE FROM analyses")
            self._database.execute("VACUUM")

    def close(self) -> None:
        """Close the file; what was added is on disk."""
        self._database.close()

    @contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except OSError as failure:
            raise explained(self.path, failure) or failure from failure
        except sqlite3.OperationalError as failure:
            raise RetrievalError(
                f"Cannot use the cache of Kiwi's analyses {self.path}: {failure}.",
                "Is the disk full, or the folder closed to you? Name another folder with SPARSE_KO_CACHE, or work without --cache.",
            ) from failure
        except (sqlite3.DatabaseError, zlib.error, UnicodeDecodeError) as failure:
            raise DataError(
                f"The cache of Kiwi's analyses {self.path} is damaged ({failure}).",
                f"Delete it, it is filled anew: rm {self.path}*",
            ) from failure


def _key(text: str) -> bytes:
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).digest()
