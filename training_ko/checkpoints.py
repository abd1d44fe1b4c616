"""What a run needs to go on after a power cut: checkpoints that are there whole or not at all, and events that tell one story.

checkpoint-N/            after N steps; the newest one alone is kept
  model.safetensors        weights of the encoder
  optimizer.pt scheduler.pt scaler.pt rng_state*.pth trainer_state.json   the trainer's own
  loss.safetensors         what a loss counted, where it does
  progress.json            `Progress`
.checkpoint-N.unfinished a checkpoint that is being written; dropped by the next start
"""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Self

from retrieval_ko.errors import DataError, RetrievalError
from retrieval_ko.files import explained, read_json, write_json, write_text
from retrieval_ko.runs import Run

_CHECKPOINT = re.compile(r"checkpoint-(\d+)")
PROGRESS = "progress.json"


@dataclass
class Progress:
    """How far a run is, beside weights, optimiser and random numbers.

    Args:
        best_ndcg: nDCG@10 on dev of the model in model/; None before the first measurement.
        best_step: after how many steps it was measured.
        best_meets_targets: whether its active dimensions were where they are steered to.
        without_better: measurements since then that count for early stopping.
        stopped_early: whether they were too many.
        chunk_size: texts that go through the encoder at once; None: all.
        out_of_memory: how often it had to be halved.
        figures: of the last batch, e.g. active dimensions; empty before the first.
        loss: of that batch.
        steering: state of what steers the run, e.g. a sparsity controller.
    """

    best_ndcg: float | None = None
    best_step: int = 0
    best_meets_targets: bool = False
    without_better: int = 0
    stopped_early: bool = False
    chunk_size: int | None = None
    out_of_memory: int = 0
    figures: dict[str, float] = field(default_factory=dict)
    loss: float | None = None
    steering: dict[str, Any] = field(default_factory=dict)

    def write(self, checkpoint: Path) -> None:
        """Write it into a checkpoint."""
        write_json(checkpoint / PROGRESS, asdict(self))

    @classmethod
    def read(cls, checkpoint: Path) -> Self:
        """Read it from a checkpoint."""
        return cls(**read_json(checkpoint / PROGRESS))


def unfinished_name(checkpoint: Path) -> Path:
    """Return where a checkpoint is written before it is renamed."""
    return checkpoint.with_name(f".{checkpoint.name}.unfinished")


def drop_unfinished(folder: Path) -> None:
    """Delete what a killed process left half-written: checkpoints, models, files."""
    for left in folder.glob(".*.unfinished"):
        shutil.rmtree(left, ignore_errors=True) if left.is_dir() else left.unlink(missing_ok=True)


def checkpoints(folder: Path) -> list[tuple[int, Path]]:
    """Return (steps done, checkpoint) of a run's folder, oldest first."""
    found = [(int(match[1]), path) for path in folder.glob("checkpoint-*") if (match := _CHECKPOINT.fullmatch(path.name))]
    return sorted(found)


def keep_newest(folder: Path) -> None:
    """Delete all checkpoints but the newest."""
    for _, older in checkpoints(folder)[:-1]:
        shutil.rmtree(older, ignore_errors=True)


def rewind_events(folder: Path, step: int) -> int:
    """Drop the events after `step`, which a resumed run goes through again, and return how many they were.

    A last line that a power cut left unfinished is dropped too.

    Raises:
        DataError: another line is damaged.
    """
    source = folder / "events.jsonl"
    if not source.exists():
        return 0
    lines = source.read_text(encoding="utf-8", errors="replace").splitlines()
    kept = []
    for number, line in enumerate(lines, start=1):
        try:
            event = json.loads(line)
        except json.JSONDecodeError as failure:
            if number == len(lines):
                continue
            raise DataError(f"{source}, line {number}, column {failure.colno}: not JSON ({failure.msg}).") from failure
        if event.get("step", 0) <= step:
            kept.append(line)
    write_text(source, "".join(f"{line}\n" for line in kept))
    return len(lines) - len(kept)


@contextmanager
def failures_recorded(run: Run, facts: dict[str, Any], *, main: bool) -> Iterator[None]:
    """Write down that a run failed, and why, and leave nothing half-written; a full disk and the like is explained.

    Args:
        run: whose folder it is.
        facts: what is known by then; may grow inside.
        main: whether this process is the one that writes.
    """
    try:
        yield
    except BaseException as failure:
        if main:
            drop_unfinished(run.folder)
            with suppress(RetrievalError):  # on a full disk even this may not be written; the failure itself is what counts
                run.end("failed", error=str(failure) or type(failure).__name__, **facts)
        if problem := explained(run.folder, failure):
            raise problem from failure
        raise
