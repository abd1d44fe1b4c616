"""Where the software and the data of the node lie."""

from __future__ import annotations

import os
import stat
from pathlib import Path

SYSTEM_CACHE = Path("/var/cache/sparse-ko")
SYSTEM_DATA = Path("/var/lib/sparse-ko")


def cache_folder() -> Path:
    """Return the folder that holds one assembly for each version: `$SPARSE_KO_CACHE`, else the user's cache folder."""
    if chosen := os.environ.get("SPARSE_KO_CACHE"):
        return Path(chosen).expanduser().resolve()
    return _below_home("XDG_CACHE_HOME", ".cache", SYSTEM_CACHE)


def assembly_folder(version: str) -> Path:
    """Return where the software of one version lies, shared by all nodes."""
    return cache_folder() / f"opensearch-{version}"


def node_home(chosen: Path | None = None) -> Path:
    """Return the folder of one node or cluster: `chosen`, `$SPARSE_KO_NODE_HOME`, else the default."""
    if chosen is None and (from_environment := os.environ.get("SPARSE_KO_NODE_HOME")):
        chosen = Path(from_environment)
    return default_home() if chosen is None else Path(chosen).expanduser().resolve()


def default_home() -> Path:
    """Return the folder in the user's data folder that is used when none is named."""
    return _below_home("XDG_DATA_HOME", ".local/share", SYSTEM_DATA) / "node"


def unreachable_folders(path: Path) -> list[Path]:
    """Return the existing folders above and at `path` through which another account may not pass."""
    return [folder for folder in (path, *path.parents) if folder.is_dir() and not folder.stat().st_mode & stat.S_IXOTH]


def is_root() -> bool:
    """Tell whether this process runs as root, which OpenSearch refuses to do."""
    return hasattr(os, "geteuid") and os.geteuid() == 0


def _below_home(variable: str, below_home: str, system: Path) -> Path:
    base = Path(os.environ.get(variable) or Path.home() / below_home).resolve()
    if is_root() and unreachable_folders(base):
        return system  # /root is closed to the account that the node runs under
    return base / "sparse-ko"
