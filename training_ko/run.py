"""What every run does around its trainer: its steps, its folder, where it goes on from, what it counts."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from accelerate import PartialState

from retrieval_ko.collection import Collection
from retrieval_ko.errors import ModelError
from retrieval_ko.files import folder_sha256
from retrieval_ko.runs import Run
from training_ko.arguments import main_process, process_count
from training_ko.checkpoints import Progress, checkpoints, drop_unfinished, rewind_events
from training_ko.collator import count_cut, token_counts
from training_ko.data import Source
from training_ko.settings import RunSettings, TrainingSettings
from training_ko.trainer import Schedule

if TYPE_CHECKING:
    from training_ko.encoder import TrainableEncoder

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class TrainedModel:
    """Where a run left its model, and how good it was on dev."""

    run: Run
    model_folder: Path
    dev_ndcg: float


def schedule_of(training: TrainingSettings, steps_per_epoch: int) -> Schedule:
    """Return when a run measures and saves."""
    steps = training.max_steps or math.ceil(training.epochs * steps_per_epoch)
    measure = min(training.eval_steps or steps_per_epoch, steps)
    return Schedule(steps, steps_per_epoch, measure, training.save_steps or measure)


def other_collections(settings: RunSettings) -> dict[Path, Collection]:
    """Return the collections that `data` names besides the run's own, read."""
    folders = dict.fromkeys(place.collection for place in settings.data if place.collection != settings.collection)
    return {folder: Collection.read(folder) for folder in folders}


def begin(
    settings: RunSettings, collection: Collection, others: Mapping[Path, Collection], out: Path, hashes: Mapping[str, str], *, resume: bool
) -> Run:
    """Open the run's folder, which the main process makes or checks.

    Args:
        settings: of the run.
        collection: the run's own.
        others: the collections that `data` names besides.
        out: the folder.
        hashes: of the data, by name; those of `others` are added.
        resume: whether the folder holds the beginning of this very run.

    Raises:
        UsageError: `out` holds another run.
    """
    if main_process():
        known = dict(hashes) | {other.name: folder_sha256(folder) for folder, other in others.items()}
        run = Run.begin(out, settings.model_dump(mode="json"), seed=settings.training.seed, data=known, resume=resume)
        drop_unfinished(run.folder)
    return Run(out)


def resume_point(run: Run, *, resume: bool) -> Path | None:
    """Return the checkpoint to go on from, the same in all processes, after dropping the events that come again; None: the beginning."""
    if process_count() > 1:
        PartialState(cpu=not torch.cuda.is_available()).wait_for_everyone()
    found = checkpoints(run.folder) if resume else []
    step, checkpoint = found[-1] if found else (-1, None)
    if resume and main_process():
        dropped = rewind_events(run.folder, step)
        run.record(step=max(step, 0), resumed=True, events_dropped=dropped)
    return checkpoint


def check_model(run: Run, progress: Progress) -> None:
    """Say where training made nothing better; raise `ModelError` where there is no model at all."""
    if progress.best_step == 0:
        logger.warning("Training made nothing better on dev: the model is the one before the first step.")
    if main_process() and not (run.folder / "model").is_dir():
        raise ModelError(f"The run in {run.folder} has no model: {run.folder / 'model'} is missing.", "Train again with another --out.")


@contextmanager
def counted(progress: Progress, facts: dict[str, Any]) -> Iterator[None]:
    """Add to `facts`, whatever happens inside, how often memory was too small."""
    try:
        yield
    finally:
        facts |= {"out_of_memory": progress.out_of_memory, "chunk_size": progress.chunk_size}


def count_cut_queries(
    sources: Sequence[Source], tokenizer: Callable[..., dict[str, list[list[int]]]], limit: int, run: Run
) -> dict[str, int]:
    """Count the training queries that have more tokens than `limit`, and say so once."""
    texts = dict.fromkeys(example.query for source in sources for example in source.examples)
    cut = count_cut(token_counts(tokenizer, texts), limit)
    if cut and main_process():
        logger.warning(
            "%d of %d training queries have more than %d tokens and are cut there (model.max_query_tokens).",
            cut,
            len(texts),
            limit,
        )
        run.record(step=0, queries_cut=cut)
    return {"queries": len(texts), "queries_cut": cut}


def parameter_count(encoder: TrainableEncoder) -> int:
    """Return the number of weights of an encoder that are trained."""
    return sum(parameter.numel() for parameter in encoder.module.parameters() if parameter.requires_grad)
