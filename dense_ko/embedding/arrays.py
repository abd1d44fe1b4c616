"""Embeddings as files: `{prefix}.npz`, or `{prefix}_ids.npy` beside `{prefix}_embeds.npy`; written block by block, read without pickle."""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import IO, Any, Literal

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from retrieval_ko.errors import DataError
from retrieval_ko.files import new_file

Vectors = NDArray[np.float32]
Ids = NDArray[np.str_]
FileFormat = Literal["npz", "npy"]
Block = tuple[Sequence[str], Vectors]
"""Some ids, and their vectors, shape [ids, dimensions]."""

IDS, EMBEDDINGS = "ids", "embeddings"
_FIXED_TIME = (2020, 1, 1, 0, 0, 0)
"""Time stamp of the zip's entries, so that the same vectors give the same bytes."""


def files_of(folder: Path, prefix: str, file_format: FileFormat) -> list[Path]:
    """Return the files that a run of this format writes."""
    names = {"npz": [f"{prefix}.npz"], "npy": [f"{prefix}_ids.npy", f"{prefix}_embeds.npy"]}[file_format]
    return [Path(folder) / name for name in names]


def write_embeddings(files: Sequence[Path], blocks: Callable[[], Iterable[Block]], *, count: int, longest_id: int, dimensions: int) -> None:
    """Write embeddings as one `.npz` or two `.npy` (`files_of` names them); each file whole or not at all, one block in memory.

    Args:
        files: where.
        blocks: returns the blocks from the first on; called once for the ids, once for the vectors.
        count: rows of all blocks.
        longest_id: characters of the longest id.
        dimensions: of a vector.
    """
    ids = (np.dtype(f"<U{longest_id}"), (count,), lambda: (np.asarray(block[0], dtype=f"<U{longest_id}") for block in blocks()))
    vectors = (np.dtype("<f4"), (count, dimensions), lambda: (np.ascontiguousarray(block[1], dtype="<f4") for block in blocks()))
    if len(files) == 2:
        for file, array in zip(files, (ids, vectors), strict=True):
            with new_file(file) as temporary, temporary.open("wb") as out:
                _write_array(out, *array)
        return
    with new_file(files[0]) as temporary, zipfile.ZipFile(temporary, "w") as archive:  # stored: vectors don't compress
        for name, array in ((IDS, ids), (EMBEDDINGS, vectors)):
            with archive.open(zipfile.ZipInfo(f"{name}.npy", date_time=_FIXED_TIME), "w", force_zip64=True) as out:
                _write_array(out, *array)


def _write_array(out: IO[bytes], dtype: np.dtype[Any], shape: tuple[int, ...], parts: Callable[[], Iterator[NDArray[Any]]]) -> None:
    npy.write_array_header_1_0(out, {"descr": npy.dtype_to_descr(dtype), "fortran_order": False, "shape": shape})
    written = 0
    for part in parts():
        written += len(part)
        out.write(part.tobytes())
    if written != shape[0]:
        raise ValueError(f"{written} rows were written, {shape[0]} were promised")


def read_embeddings(path: Path | str, *, memory_map: bool = False) -> tuple[Ids, Vectors]:
    """Read what `lex-dpr embed` wrote, and files of others of the same form.

    Args:
        path: an `.npz`; either of the two `.npy`; or both without their ending, such as embeddings/passages.
        memory_map: leave the vectors on disk and read what is asked for; two `.npy` only.

    Returns:
        ids, shape [n], and vectors, float32 [n, dimensions].

    Raises:
        DataError: a file is missing or damaged, holds pickled objects, an id twice, a number that is none, or not as many ids as vectors.
    """
    path = Path(path)
    npz, id_file, vector_file = _found(path)
    ids: Any
    vectors: Any
    if npz is not None:
        try:
            with np.load(npz, allow_pickle=False) as archive:
                missing = [name for name in (IDS, EMBEDDINGS) if name not in archive.files]
                if missing:
                    raise DataError(
                        f"{npz} holds {', '.join(archive.files) or 'nothing'}, but no array {missing[0]!r}.",
                        "Write it with: lex-dpr embed --model DIR --input FILE --outdir DIR --prefix NAME",
                    )
                ids, vectors = archive[IDS], archive[EMBEDDINGS]
        except (OSError, ValueError, zipfile.BadZipFile, zlib.error, EOFError, AttributeError) as failure:
            raise _unreadable(npz, failure) from failure
        name = str(npz)
    else:
        ids, vectors = _load(id_file, None), _load(vector_file, "r" if memory_map else None)
        name = str(vector_file)
    return _checked(name, ids, vectors, whole=not memory_map)


def _found(path: Path) -> tuple[Path | None, Path, Path]:
    stem = path.name
    for ending in ("_embeds.npy", "_ids.npy", ".npz"):
        stem = stem.removesuffix(ending)
    npz, ids, vectors = (path.with_name(f"{stem}{ending}") for ending in (".npz", "_ids.npy", "_embeds.npy"))
    if path.suffix != ".npy" and npz.is_file():
        return npz, ids, vectors
    if path.suffix != ".npz":
        missing = [file for file in (ids, vectors) if not file.is_file()]
        if len(missing) == 1:
            raise DataError(f"{missing[0]} is missing beside {(ids if missing[0] == vectors else vectors).name}.", "Both belong together.")
        if not missing:
            return None, ids, vectors
    raise DataError(
        f"There are no embeddings {path}.", "Write them with: lex-dpr embed --model DIR --input FILE --outdir DIR --prefix NAME"
    )


def _load(file: Path, mode: Literal["r"] | None) -> Any:  # noqa: ANN401  whatever array it holds
    try:
        return np.load(file, allow_pickle=False, mmap_mode=mode)
    except (OSError, ValueError, EOFError) as failure:
        raise _unreadable(file, failure) from failure


def _unreadable(file: Path, failure: Exception) -> DataError:
    if "allow_pickle" in str(failure):
        return DataError(
            f"{file} holds pickled objects, which may run code when they are read, so it is not read.",
            "Where you trust it, write its ids anew as text: ids.astype(str)",
        )
    return DataError(f"{file} cannot be read as NumPy arrays: {' '.join(str(failure).split())[:200]}")


def _checked(name: str, ids: Any, vectors: Any, *, whole: bool) -> tuple[Ids, Vectors]:  # noqa: ANN401  what a file held
    if ids.ndim != 1 or ids.dtype.kind != "U":
        raise DataError(f"{name}: the ids are {ids.dtype} of shape {list(ids.shape)}, not a row of text.")
    if vectors.ndim != 2 or vectors.dtype.kind != "f":
        raise DataError(f"{name}: the embeddings are {vectors.dtype} of shape {list(vectors.shape)}, not [texts, dimensions] of numbers.")
    if len(ids) != len(vectors):
        raise DataError(f"{name}: there are {len(ids):,} ids and {len(vectors):,} embeddings.")
    unique, counts = np.unique(ids, return_counts=True)
    if len(unique) != len(ids):
        raise DataError(f"{name}: the id {str(unique[counts > 1][0])!r} stands there twice.")
    if vectors.dtype != np.float32:
        vectors = vectors.astype(np.float32)
    if whole and not np.isfinite(vectors).all():
        row = int(np.flatnonzero(~np.isfinite(vectors).all(axis=1))[0])
        raise DataError(f"{name}: the embedding of {str(ids[row])!r} holds a number that is none (NaN or infinite).")
    return ids, vectors
