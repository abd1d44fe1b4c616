"""Public sets by their name on the Hugging Face hub, where there is a network; a local folder goes the same way."""

from __future__ import annotations

import importlib
import os
import re
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from retrieval_ko.errors import DataError, UsageError
from retrieval_ko.sources.tabular import Row

PREFIX = "hub:"
REACH_TIMEOUT_SECONDS = 5
"""Asked once before anything is fetched: the library itself tries again and again, minutes long, where there is no network."""

_NAME = re.compile(r"hub:(?P<name>[^@]+?)(?::(?P<config>[\w.-]+))?(?:@(?P<revision>[\w./-]+))?")


@dataclass(frozen=True, slots=True)
class HubName:
    """A set on the hub: hub:OWNER/NAME[:CONFIG][@REVISION]."""

    name: str
    config: str = ""
    revision: str = ""

    @classmethod
    def parse(cls, text: str) -> HubName:
        """Read a name.

        Raises:
            UsageError: it has another shape.
        """
        found = _NAME.fullmatch(text)
        if not found:
            raise UsageError(
                f"{text!r} is no name on the hub.", "For example: hub:klue/klue:mrc, or with a revision hub:klue/klue:mrc@main"
            )
        return cls(**{key: value or "" for key, value in found.groupdict().items()})

    @property
    def key(self) -> dict[str, str]:
        """Return what tells this set from others."""
        return asdict(self)


def is_offline() -> bool:
    """Tell whether the user has forbidden the hub (HF_HUB_OFFLINE or HF_DATASETS_OFFLINE)."""
    return any(os.environ.get(name, "").upper() in {"1", "ON", "YES", "TRUE"} for name in ("HF_HUB_OFFLINE", "HF_DATASETS_OFFLINE"))


def check_hub_reachable(endpoint: str, timeout_seconds: float = REACH_TIMEOUT_SECONDS) -> None:
    """Ask the hub for one answer, whatever it is.

    Raises:
        DataError: there is none in time.
    """
    try:
        urllib.request.urlopen(urllib.request.Request(endpoint, method="HEAD"), timeout=timeout_seconds).close()
    except urllib.error.HTTPError:
        return
    except (OSError, ValueError) as failure:
        reason = getattr(failure, "reason", failure)
        raise DataError(
            f"The hub {endpoint} cannot be reached ({reason}).",
            "Fetch the files on a machine with a network and give their path instead of hub:…; HF_ENDPOINT names another hub.",
        ) from failure


def read_hub(hub_name: HubName, split: str, cache: Path) -> Iterator[Row]:
    """Yield the rows of one split of a set, fetched by the `datasets` library into `cache`.

    Raises:
        UsageError: `datasets` is not installed.
        DataError: the set, the configuration or the split is not there, or there is no network.
    """
    try:
        datasets = importlib.import_module("datasets")
    except ImportError as missing:
        raise UsageError(
            "Names on the hub need datasets, which this installation leaves out.", "Install it with: pip install 'sparse-ko[train]'"
        ) from missing
    local = Path(hub_name.name).is_dir()
    if not local and is_offline():
        raise DataError(
            f"hub:{hub_name.name} is not in the cache, and HF_HUB_OFFLINE forbids to fetch it.",
            "Unset HF_HUB_OFFLINE, or give the path of a file.",
        )
    if not local:
        check_hub_reachable(os.environ.get("HF_ENDPOINT") or "https://huggingface.co")
    datasets.disable_progress_bars()
    try:
        rows = datasets.load_dataset(
            hub_name.name, hub_name.config or None, split=split, revision=hub_name.revision or None, cache_dir=str(cache / "datasets")
        )
    except (OSError, ValueError, RuntimeError, datasets.exceptions.DatasetsError) as failure:
        lines = str(failure).strip().splitlines() or [type(failure).__name__]
        raise DataError(
            f"hub:{hub_name.name} cannot be loaded: {lines[0]}", "Name it as hub:OWNER/NAME:CONFIG, and the split with --split."
        ) from failure
    for number, values in enumerate(rows, start=1):
        yield Row(f"hub:{hub_name.name}, row {number}", values)
