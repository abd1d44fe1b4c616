"""What is known of a model's training: its run's folder, and the runs of the models that it started from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from retrieval_ko.errors import DataError, ModelError
from retrieval_ko.files import read_json, read_lines
from training_ko.publishing.shown import shown_command

LONGEST_CHAIN = 8
"""Models that each started from the one before; more is a circle."""


@dataclass(frozen=True)
class TrainingRecord:
    """One run: its settings, what it wrote down, and what it started from."""

    folder: Path
    config: Mapping[str, Any]
    metadata: Mapping[str, Any]
    earlier: list[TrainingRecord] = field(default_factory=list)
    """The run of the base model, where the base is the model of a run."""

    @property
    def command(self) -> str:
        """The command that began the run, empty where it is not known."""
        known = self.metadata.get("command") or {}
        return shown_command(known.get("argv") or [], known.get("folder", ""))

    @property
    def typed_in(self) -> str:
        """The folder that the run's relative paths count from, empty where it is not known."""
        return str((self.metadata.get("command") or {}).get("folder", ""))

    @property
    def seconds(self) -> float:
        """How long the run took, all its sittings together."""
        sittings = [*self.metadata.get("earlier", []), self.metadata]
        return float(sum(sitting.get("seconds") or 0 for sitting in sittings))

    @property
    def all(self) -> list[TrainingRecord]:
        """This run and those before it, the first one first."""
        return [run for earlier in self.earlier for run in earlier.all] + [self]

    def asked(self, *path: str) -> Any:  # noqa: ANN401  any YAML value
        """Return a setting by its path, None where there is no such key."""
        value: Any = self.config
        for name in path:
            value = value.get(name) if isinstance(value, Mapping) else None
        return value

    @property
    def bases(self) -> list[str]:
        """The models that the run started from: folders, or names on the hub."""
        found = (self.asked("model", name) for name in ("base", "pretrained"))
        return [str(base) for base in found if base]


@dataclass(frozen=True)
class Places:
    """Where the paths of a config stand on this machine.

    Args:
        named: what the person named; it is taken for every path that ends in its name, a run's folder for its model's.
    """

    named: Sequence[Path] = ()

    def find(self, path: str, typed_in: str) -> Path | None:
        """Return where a path of a config is, None where it is not here."""
        for place in self.named:
            name = place.resolve().name
            if name == Path(path).name and place.exists():
                return place
            if Path(path).name == "model" and name == Path(path).parent.name and (place / "model").is_dir():
                return place / "model"
        candidates = [Path(path)] if Path(path).is_absolute() else [Path(typed_in) / path, Path(path)]
        return next((found for found in candidates if found.exists()), None)


def read_record(model: Path, run: Path | None, places: Places) -> TrainingRecord:
    """Return what is known of the training of a model's folder.

    Args:
        model: the folder, usually RUN/model.
        run: the run's folder where it is another than the one that holds the model's.
        places: where bases stand now.

    Raises:
        ModelError: no run is found, or it is still running.
        DataError: one of the run's files is damaged.
    """
    folder = run or model.resolve().parent
    if not _is_run(folder):
        raise ModelError(
            f"{folder} holds no run (config.yaml, metadata.json), so nobody could say what {model} was trained on.",
            "Name the folder that `train` wrote: --run DIR",
        )
    return _read(folder, places, LONGEST_CHAIN)


def _is_run(folder: Path) -> bool:
    return (folder / "config.yaml").is_file() and (folder / "metadata.json").is_file()


def _read(folder: Path, places: Places, depth: int) -> TrainingRecord:
    if not depth:
        raise DataError(f"{folder}: the runs of the base models go round in a circle.")
    try:
        config = yaml.safe_load("\n".join(line for _, line in read_lines(folder / "config.yaml")))
    except yaml.YAMLError as failure:
        raise DataError(f"{folder / 'config.yaml'} is not YAML: {' '.join(str(failure).split())}.") from failure
    metadata = read_json(folder / "metadata.json")
    for name, values in (("config.yaml", config), ("metadata.json", metadata)):
        if not isinstance(values, dict):
            raise DataError(f"{folder / name} holds no keys and values.")
    if metadata.get("state") == "running":
        raise ModelError(f"The run in {folder} is still running, or was killed.", "Wait for it, or look: sparse-ko runs list DIR")
    record = TrainingRecord(folder, config, metadata)
    found = [places.find(base, record.typed_in) for base in record.bases]
    runs = [base.resolve().parent for base in found if base and _is_run(base.resolve().parent)]
    return TrainingRecord(folder, config, metadata, [_read(run, places, depth - 1) for run in runs])
