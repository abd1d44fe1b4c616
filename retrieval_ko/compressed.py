"""Files and archives as people pass them on: `.zst`, `.gz`, `.tar.zst`, `.tar.gz`, read without unpacking them by hand."""

from __future__ import annotations

import gzip
import io
import shutil
import tarfile
import tempfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import BinaryIO, NamedTuple

import zstandard

from retrieval_ko.errors import DataError

ARCHIVE_SUFFIXES = (".tar.zst", ".tar.gz", ".tgz", ".tar")
_WINDOW_LIMIT_BYTES = 1 << 27
_CHUNK_BYTES = 1 << 18


class _ZstandardFile(io.RawIOBase):
    """A zstandard stream of one or more frames. A stream that ends inside a frame is an error here, not a short file."""

    def __init__(self, source: BinaryIO) -> None:
        self._source = source
        self._decompressor = zstandard.ZstdDecompressor(max_window_size=_WINDOW_LIMIT_BYTES)
        self._frame: zstandard.ZstdDecompressionObj | None = None
        self._ready = b""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]  # typeshed's buffer type has no public name before Python 3.12
        while not self._ready:
            left_over = self._frame.unused_data if self._frame is not None and self._frame.eof else b""
            chunk = left_over or self._source.read(_CHUNK_BYTES)
            if not chunk:
                if self._frame is not None and not self._frame.eof:
                    raise EOFError("it ends in the middle")
                return 0
            if self._frame is None or self._frame.eof:
                self._frame = self._decompressor.decompressobj()
            self._ready = self._frame.decompress(chunk)
        count = min(len(buffer), len(self._ready))
        buffer[:count] = self._ready[:count]
        self._ready = self._ready[count:]
        return count

    def close(self) -> None:
        self._source.close()
        super().close()


class ArchivedFile(NamedTuple):
    """A file inside an archive: named and read like one that lies in a folder."""

    archive: Archive
    name: str
    start: int
    size: int

    @property
    def suffix(self) -> str:
        """Return `.md` for `kr/민법/법률.md`."""
        return PurePosixPath(self.name).suffix

    def __str__(self) -> str:
        return f"{self.archive.path}:{self.name}"


Readable = Path | ArchivedFile
"""What `opened` opens."""


@dataclass(slots=True, eq=False)
class Archive:
    """A tar archive, open: its files by name, and what was wrong with it (empty where nothing was)."""

    path: Path
    problem: str
    _tar: BinaryIO
    _files: list[ArchivedFile] = field(default_factory=list)

    def files(self) -> list[ArchivedFile]:
        """Return its files in the order they were packed; those after a damage are missing."""
        return list(self._files)

    def read(self, file: ArchivedFile) -> bytes:
        """Return a file's bytes."""
        self._tar.seek(file.start)
        return self._tar.read(file.size)


@contextmanager
def opened(source: Readable) -> Iterator[BinaryIO]:
    """Open a file for reading bytes; `.zst` and `.gz` are decompressed on the way.

    Raises:
        DataError: the file is missing, cut off, or not compressed as its name says (also while it is read).
    """
    if isinstance(source, ArchivedFile):
        yield io.BytesIO(source.archive.read(source))
        return
    source = Path(source)
    try:
        raw = source.open("rb")
    except OSError as failure:
        raise DataError(f"Cannot read {source}: {failure.strerror}.") from failure
    with raw:
        try:
            if source.suffix == ".zst":
                yield io.BufferedReader(_ZstandardFile(raw), _CHUNK_BYTES)
            elif source.suffix in {".gz", ".tgz"}:
                with gzip.open(raw) as file:
                    yield file  # type: ignore[misc]  # GzipFile is a BinaryIO in all but name
            else:
                yield raw
        except (EOFError, zlib.error, gzip.BadGzipFile, zstandard.ZstdError) as failure:
            raise DataError(f"{source}: the compressed file is damaged or cut off ({failure}).", "Fetch it again.") from failure


def is_archive(source: Path) -> bool:
    """Tell by its name whether a file is an archive of files."""
    return source.name.lower().endswith(ARCHIVE_SUFFIXES) and not source.is_dir()


@contextmanager
def opened_archive(path: Path) -> Iterator[Archive]:
    """Open a tar archive, compressed or not, for reading its files in any order.

    Nothing is unpacked: the decompressed archive is one temporary file, since tens of thousands of small files
    take minutes to write and to remove. What stands before a damage can be read.

    Raises:
        DataError: the archive is missing, or not one file of it can be read.
    """
    path = Path(path)
    with tempfile.TemporaryFile(prefix="retrieval-ko-") as plain:
        problem = ""
        try:
            with opened(path) as stream:
                shutil.copyfileobj(stream, plain, _CHUNK_BYTES)
        except DataError as failure:
            problem = failure.problem
        archive = Archive(path, problem, plain)
        size = plain.seek(0, io.SEEK_END)
        plain.seek(0)
        try:
            with tarfile.open(fileobj=plain, mode="r:") as tar:
                for member in tar:
                    if member.isreg() and member.offset_data + member.size <= size:
                        archive._files.append(ArchivedFile(archive, member.name, member.offset_data, member.size))
        except tarfile.TarError as failure:
            archive.problem = archive.problem or f"{path}: the archive is damaged or cut off ({failure})."
        if not archive._files:
            raise DataError(archive.problem or f"{path} holds no file.", "Fetch it again." if archive.problem else "")
        yield archive
