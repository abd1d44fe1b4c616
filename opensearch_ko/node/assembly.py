"""Making a runnable OpenSearch out of the pinned files, once, whole or not at all."""

from __future__ import annotations

import logging
import os
import shutil
import sys
import zipfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from pydantic import BaseModel, ValidationError

from opensearch_ko.node.artifacts import TORCH_FOLDER, PinnedArtifact, PinnedList, platform_classifier
from opensearch_ko.node.errors import NodeError
from opensearch_ko.node.maven import Progress, fetch_with_maven
from opensearch_ko.node.modules import MODULES, TORCH_FLAVOR
from opensearch_ko.node.places import assembly_folder
from retrieval_ko.errors import RetrievalError
from retrieval_ko.files import new_folder, sha256, write_json

logger = logging.getLogger(__name__)

Fetch = Callable[[Sequence[PinnedArtifact], Path, Progress], None]

MARKER = "complete.json"
EXPECTED_FOLDERS = ("bin", "extensions")
"""OpenSearch makes them when they are missing, which it may not do here; they stay empty."""
NEEDED_BYTES = 2_500_000_000
"""Downloads (0.7 GB, kept by Maven once more) and the unpacked software (1.0 GB)."""


class _Marker(BaseModel):
    """Written last into an assembly: which list it was made from and what it holds."""

    fingerprint: str
    sizes: dict[str, int]
    """Bytes of each file, by its path in the assembly."""


def is_complete(pinned: PinnedList, folder: Path) -> bool:
    """Tell whether `folder` holds everything that `pinned` asks for, each file with the size it had when it was verified."""
    try:
        marker = _Marker.model_validate_json((folder / MARKER).read_text(encoding="utf-8"))
    except (OSError, ValidationError):
        return False
    return (
        marker.fingerprint == pinned.fingerprint
        and marker.sizes == _sizes(folder)
        and all((folder / name).is_dir() for name in EXPECTED_FOLDERS)
    )


def ensure_assembled(version: str, progress: Progress) -> Path:
    """Return the folder of a complete assembly of `version`, made now if there is none.

    Raises:
        NodeError: the version is not pinned, Maven is missing, a file is not the pinned one, or the disk is full.
    """
    pinned = PinnedList.of_version(version).for_platform(platform_classifier())
    if not pinned.has_torch():
        logger.warning(
            "No libtorch for %s is on Maven Central: this node serves inference-free (doc-only) queries and ONNX, not TorchScript models.",
            platform_classifier(),
        )
    return assemble(pinned, assembly_folder(version), progress)


def assemble(pinned: PinnedList, folder: Path, progress: Progress, fetch: Fetch = fetch_with_maven) -> Path:
    """Bring `folder` to hold everything in `pinned`; a second call finds it complete and returns at once.

    Files that arrived before an interruption are kept beside `folder` and not fetched again.

    Raises:
        NodeError: as `ensure_assembled`.
    """
    if is_complete(pinned, folder):
        return folder
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with lock(folder.with_name(f".{folder.name}.lock"), waiting_for="another process that assembles OpenSearch"):
            if not is_complete(pinned, folder):
                _assemble(pinned, folder, progress, fetch)
    except OSError as failure:
        raise NodeError(
            f"Cannot write the assembly {folder}: {failure.strerror or failure}.",
            "Free some space, or set SPARSE_KO_CACHE to another folder.",
        ) from failure
    return folder


def _assemble(pinned: PinnedList, folder: Path, progress: Progress, fetch: Fetch) -> None:
    for leftover in folder.parent.glob(f".{folder.name}.*.unfinished"):  # of an assembly that was killed
        shutil.rmtree(leftover)
    downloads = folder.with_name(f"{folder.name}.downloads")
    downloads.mkdir(exist_ok=True)
    wanted = {pin.download_name: pin for pin in pinned.artifacts}
    missing = [pin for name, pin in wanted.items() if not _arrived(pin, downloads / name)]
    if missing:
        _require_space(folder.parent, len(missing) / len(wanted))
        fetch(missing, downloads, progress)
    for done, (name, pin) in enumerate(wanted.items(), start=1):
        progress("verifying", done, len(wanted))
        if not (downloads / name).is_file():
            raise NodeError(f"{pin.artifact.coordinates} did not arrive.", "Start again: what has arrived is kept.")
        try:
            pin.verify(downloads / name)
        except NodeError:
            (downloads / name).unlink()
            raise
    try:
        with new_folder(folder) as unfinished:
            for done, pin in enumerate(pinned.artifacts, start=1):
                progress("unpacking", done, len(pinned.artifacts))
                _place(pin, downloads / pin.download_name, unfinished)
            _describe_modules(unfinished, pinned.version)
            for name in EXPECTED_FOLDERS:
                (unfinished / name).mkdir(exist_ok=True)
            _open_to_all(unfinished)
            write_json(unfinished / MARKER, _Marker(fingerprint=pinned.fingerprint, sizes=_sizes(unfinished)).model_dump())
    except RetrievalError as failure:
        raise NodeError(
            failure.problem, "Free some space (`df -h`), or set SPARSE_KO_CACHE to another folder; then start again."
        ) from failure
    shutil.rmtree(downloads)


def _arrived(pin: PinnedArtifact, file: Path) -> bool:
    return file.is_file() and sha256(file) == pin.sha256


def _require_space(folder: Path, share_missing: float) -> None:
    free = shutil.disk_usage(folder).free
    needed = int(NEEDED_BYTES * share_missing)
    if free < needed:
        raise NodeError(
            f"The disk of {folder} is too full: {free / 1e9:.1f} GB are free, the assembly takes {needed / 1e9:.1f} GB.",
            "Free some space (`df -h`), or set SPARSE_KO_CACHE to a folder on another disk.",
        )


def _place(pin: PinnedArtifact, file: Path, assembly: Path) -> None:
    destination = assembly / pin.destination
    destination.mkdir(parents=True, exist_ok=True)
    if pin.destination == TORCH_FOLDER:
        _unpack_native_libraries(file, destination)
    elif pin.artifact.packaging == "zip":
        with zipfile.ZipFile(file) as archive:
            archive.extractall(destination)
    else:
        shutil.copyfile(file, destination / pin.artifact.file_name)


def _unpack_native_libraries(jar: Path, destination: Path) -> None:
    """Unpack the libraries of this platform, flat, as `PYTORCH_LIBRARY_PATH` wants them."""
    here = platform_classifier()
    folders = (f"pytorch/{TORCH_FLAVOR}/{here}/", f"jnilib/{here}/{TORCH_FLAVOR}/")
    with zipfile.ZipFile(jar) as archive:
        for entry in archive.infolist():
            if entry.filename.startswith(folders) and not entry.is_dir():
                with archive.open(entry) as packed, (destination / Path(entry.filename).name).open("wb") as unpacked:
                    shutil.copyfileobj(packed, unpacked)


def _describe_modules(assembly: Path, version: str) -> None:
    for module in MODULES:
        folder = assembly / "modules" / module.folder
        if not folder.is_dir():
            continue
        (folder / "plugin-descriptor.properties").write_text(module.descriptor(version), encoding="utf-8")
        if policy := module.policy():
            (folder / "plugin-security.policy").write_text(policy, encoding="utf-8")


def _open_to_all(assembly: Path) -> None:
    """Let every account read: the node of a root user runs under another one, whatever the umask."""
    assembly.chmod(0o755)
    for path in assembly.rglob("*"):
        path.chmod(0o755 if path.is_dir() else 0o644)


def _sizes(assembly: Path) -> dict[str, int]:
    files = (Path(folder) / name for folder, _, names in os.walk(assembly) for name in names if name != MARKER)
    return {file.relative_to(assembly).as_posix(): file.stat().st_size for file in files}


@contextmanager
def lock(file: Path, waiting_for: str) -> Iterator[None]:
    """Hold `file` alone; wait for another holder and say for whom. The system lets go when the holder dies.

    Raises:
        NodeError: on Windows, where neither this lock nor the node's account exists.
    """
    if sys.platform == "win32":
        raise NodeError("The embedded node runs on Linux and macOS only.", "Use WSL, or point --url at a cluster of your own.")
    import fcntl

    with file.open("w") as held:
        try:
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            logger.info("Waiting for %s.", waiting_for)
            fcntl.flock(held, fcntl.LOCK_EX)
        yield
