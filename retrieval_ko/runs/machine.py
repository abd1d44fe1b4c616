"""What a run stands on: versions, commit, hardware; and what it took of the memory."""

from __future__ import annotations

import os
import platform
import resource
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import psutil

RECORDED_VERSIONS = (
    "sparse-ko",
    "torch",
    "transformers",
    "sentence-transformers",
    "peft",
    "optuna",
    "tokenizers",
    "kiwipiepy",
    "numpy",
    "scipy",
)


def versions() -> dict[str, str]:
    """Return the versions of Python and of the libraries that decide about numbers, as far as they are installed."""
    found = {"python": platform.python_version()}
    for name in RECORDED_VERSIONS:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def hardware() -> dict[str, Any]:
    """Return the machine, its cores and memory, and the names of its GPUs where torch is loaded."""
    found: dict[str, Any] = {
        "machine": platform.machine(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "memory_gb": round(psutil.virtual_memory().total / 2**30),
    }
    torch = _loaded_torch()
    if torch is not None:
        found["gpus"] = [torch.cuda.get_device_name(number) for number in range(torch.cuda.device_count())]
    return found


def peak_memory() -> dict[str, int]:
    """Return the most memory this process held until now: {"rss_mb", "cuda_mb"?} in MiB, the latter of all GPUs together."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    found = {"rss_mb": round(peak / (2**20 if sys.platform == "darwin" else 2**10))}  # Linux counts KiB, macOS bytes
    torch = _loaded_torch()
    if torch is not None and torch.cuda.is_initialized():
        held = sum(torch.cuda.max_memory_allocated(number) for number in range(torch.cuda.device_count()))
        found["cuda_mb"] = round(held / 2**20)
    return found


def git_commit() -> str | None:
    """Return the commit of the code that runs; None where it is not a git checkout."""
    try:
        answer = subprocess.run(
            ["git", "rev-parse", "HEAD"], cwd=Path(__file__).parent, capture_output=True, text=True, timeout=10, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return answer.stdout.strip() or None


def _loaded_torch() -> Any:  # noqa: ANN401  the module, which this package does not import
    return sys.modules.get("torch")
