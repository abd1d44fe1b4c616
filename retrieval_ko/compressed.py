"""Files and archives as people pass them on: `.zst`, `.gz`, `.tar.zst`, `.tar.gz`, read without unpacking them by hand."""

from __future__ import annotations

import gzip
import io
import tarfile
import tempfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

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


@contextmanager
def opened(source: Path) -> Iterator[BinaryIO]:
    """Open a file for reading bytes; `.zst` and `.gz` are decompressed on the way.

    Raises:
        DataError: the file is missing, cut off, or not compressed as its name says (also while it is read).
    """
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
    return source.name.lower().endswith(ARCHIVE_SUFFIXES)


@contextmanager
def unpacked(archive: Path) -> Iterator[tuple[Path, str]]:
    """Unpack an archive into a temporary folder, and remove that afterwards.

    Yields:
        The folder, and what was wrong with the archive: empty where nothing was. What stood before the damage is there.

    Raises:
        DataError: the archive is missing, or not one file of it can be read.
    """
    archive = Path(archive)
    with tempfile.TemporaryDirectory(prefix="retrieval-ko-") as temporary:
        folder, problem, count = Path(temporary), "", 0
        try:
            with opened(archive) as stream, tarfile.open(fileobj=stream, mode="r|") as tar:
                for member in tar:
                    tar.extract(member, folder, filter="data")
                    count += member.isfile()
        except tarfile.FilterError as failure:
            raise DataError(f"{archive}: holds a file that would land outside its folder ({failure}).") from failure
        except DataError as failure:
            problem = failure.problem
        except tarfile.TarError as failure:
            problem = f"{archive}: the archive is damaged or cut off ({failure})."
        if not count:
            raise DataError(problem or f"{archive} holds no file.", "Fetch it again." if problem else "")
        yield folder, problem
