"""Reading and writing files so that nothing is half-written and every defect has a line number."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import secrets
import shutil
from collections.abc import Container, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from retrieval_ko.compressed import Readable, opened
from retrieval_ko.errors import DataError, RetrievalError, UsageError


def _unfinished_name(target: Path) -> Path:
    return target.with_name(f".{target.name}.{secrets.token_hex(4)}.unfinished")


def _explain_write_failure(target: Path, failure: OSError) -> RetrievalError:
    reasons = {
        errno.ENOSPC: ("the disk is full", "Free some space (`df -h` shows where) and run the command again."),
        errno.EDQUOT: ("the disk quota is used up", "Free some space and run the command again."),
        errno.EACCES: ("permission denied", "Choose another folder with --out, or change the permissions."),
        errno.EPERM: ("permission denied", "Choose another folder with --out, or change the permissions."),
        errno.EROFS: ("the file system is read-only", "Choose another folder with --out."),
    }
    reason, remedy = reasons.get(failure.errno or 0, (failure.strerror or str(failure), ""))
    return RetrievalError(f"Cannot write {target}: {reason}. Nothing was left half-written.", remedy)


def _is_write_failure(failure: BaseException) -> OSError | None:
    """Find the OSError behind `failure`; libraries written in Rust or C++ wrap it in their own type."""
    if isinstance(failure, OSError):
        return failure
    text = str(failure)
    if "os error 28" in text or "No space left on device" in text:
        return OSError(errno.ENOSPC, "No space left on device")
    return None


def explained(target: Path, failure: BaseException) -> RetrievalError | None:
    """Return what a person should read where `failure` is that `target` could not be written, None where it is something else."""
    cause = _is_write_failure(failure)
    return None if cause is None else _explain_write_failure(target, cause)


@contextmanager
def new_file(target: Path) -> Iterator[Path]:
    """Yield a temporary path beside `target`; rename it over `target` when the block ends without an error.

    Raises:
        RetrievalError: the disk is full, read-only, or the folder may not be written.
    """
    target = Path(target)
    temporary = _unfinished_name(target)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        yield temporary
        with temporary.open("rb+") as written:
            os.fsync(written.fileno())
        temporary.replace(target)
    except Exception as failure:
        temporary.unlink(missing_ok=True)
        if problem := explained(target, failure):
            raise problem from failure
        raise
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


@contextmanager
def new_folder(target: Path) -> Iterator[Path]:
    """Yield a temporary folder beside `target`; put it in `target`'s place when the block ends without an error.

    An older folder at `target` stays whole until the new one is complete.

    Raises:
        RetrievalError: the disk is full, read-only, or the folder may not be written.
    """
    target = Path(target)
    temporary = _unfinished_name(target)
    try:
        temporary.mkdir(parents=True)
        yield temporary
        if target.exists():
            old = _unfinished_name(target)
            target.replace(old)
            try:
                temporary.replace(target)
            except BaseException:
                old.replace(target)
                raise
            shutil.rmtree(old, ignore_errors=True)
        else:
            temporary.replace(target)
    except Exception as failure:
        shutil.rmtree(temporary, ignore_errors=True)
        if problem := explained(target, failure):
            raise problem from failure
        raise
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise


def check_replaceable(folder: Path, own: Container[str], mark: str) -> None:
    """Make sure that a new folder at `folder` replaces nothing but an earlier one of its kind.

    Args:
        folder: where the new one is to be.
        own: the names such a folder may hold.
        mark: the one every such folder holds; without it, the others are somebody's own files that bear the same names.

    Raises:
        UsageError: it is a file, or holds something else.
    """
    if folder.exists() and not folder.is_dir():
        raise UsageError(f"{folder} is a file.", "Name a folder with --out.")
    held = sorted(entry.name for entry in folder.iterdir()) if folder.exists() else []
    others = [name for name in held if name not in own] if mark in held else held
    if others:
        raise UsageError(f"{folder} holds other files ({', '.join(others[:3])}), which would be replaced.", "Name a new folder with --out.")


def write_text(target: Path, text: str) -> None:
    """Write `text` as UTF-8, whole or not at all."""
    with new_file(target) as temporary:
        temporary.write_text(text, encoding="utf-8", newline="\n")


def write_json(target: Path, value: Any) -> None:  # noqa: ANN401  any JSON value
    """Write `value` as indented JSON with Hangul readable, whole or not at all."""
    write_text(target, json.dumps(value, ensure_ascii=False, indent=2) + "\n")


def write_jsonl(target: Path, rows: Iterable[dict[str, Any]]) -> int:
    """Write one JSON object a line and return how many, whole or not at all."""
    count = 0
    with new_file(target) as temporary, temporary.open("w", encoding="utf-8", newline="\n") as out:
        for row in rows:
            out.write(json.dumps(row, ensure_ascii=False) + "\n")
            count += 1
    return count


def read_lines(source: Readable) -> Iterator[tuple[int, str]]:
    """Yield (line number from 1, line without its end) of a UTF-8 file; `.zst` and `.gz` are decompressed on the way.

    Raises:
        DataError: the file is missing, cut off, a line is not UTF-8 or holds a NUL byte.
    """
    with opened(source) as file:
        for number, raw in enumerate(file, start=1):
            if number == 1:
                raw = raw.removeprefix(b"\xef\xbb\xbf")
            if b"\0" in raw:
                raise DataError(
                    f"{source}, line {number}: holds a NUL byte, so this is not a text file (or is damaged).",
                    f"Remove it, e.g. with: tr -d '\\000' < {source} > clean.jsonl",
                )
            try:
                line = raw.decode("utf-8")
            except UnicodeDecodeError as failure:
                raise DataError(
                    f"{source}, line {number}, byte {failure.start + 1}: not valid UTF-8.",
                    f"If the file is in CP949 (Windows): iconv -f cp949 -t utf-8 {source} > utf8.jsonl",
                ) from failure
            yield number, line.rstrip("\r\n")


def read_jsonl(source: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield (line number from 1, object) of a JSON-lines file, blank lines passed over.

    Raises:
        DataError: as `read_lines`, or a line is not a JSON object.
    """
    for number, line in read_lines(source):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except json.JSONDecodeError as failure:
            raise DataError(f"{source}, line {number}, column {failure.colno}: not JSON ({failure.msg}).") from failure
        except (ValueError, RecursionError) as failure:  # a number of thousands of digits, brackets of thousands of levels
            raise DataError(f"{source}, line {number}: not JSON that can be read ({failure}).") from failure
        if not isinstance(row, dict):
            raise DataError(f"{source}, line {number}: expected a JSON object, found {type(row).__name__}.")
        yield number, row


def read_json(source: Path) -> Any:  # noqa: ANN401  any JSON value
    """Read one JSON value from a UTF-8 file.

    Raises:
        DataError: the file is missing or is not JSON.
    """
    text = "\n".join(line for _, line in read_lines(source))
    try:
        return json.loads(text)
    except json.JSONDecodeError as failure:
        raise DataError(f"{source}, line {failure.lineno}, column {failure.colno}: not JSON ({failure.msg}).") from failure
    except (ValueError, RecursionError) as failure:
        raise DataError(f"{source}: not JSON that can be read ({failure}).") from failure


def sha256(source: Path) -> str:
    """Return the SHA-256 of a file's bytes as 64 hexadecimal digits."""
    with Path(source).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def folder_sha256(folder: Path) -> str:
    """Return one SHA-256 over the names and bytes of all files below `folder`, hidden ones left out."""
    digest = hashlib.sha256()
    for file in sorted(path for path in Path(folder).rglob("*") if path.is_file() and not path.name.startswith(".")):
        digest.update(f"{file.relative_to(folder).as_posix()}\0{sha256(file)}\n".encode())
    return digest.hexdigest()
