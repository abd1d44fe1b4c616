"""What every run does around its trainer: its steps, its folder, where it goes on from, what it counts."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar

import torch
from accelerate import PartialState

from retrieval_ko.collection import Collection
from retrieval_ko.errors import ModelError
from retrieval_ko.files import folder_sha256
from retrieval_ko.runs import Run
from training_ko.arguments import main_process, process_count, share_of_batch, training_arguments
from training_ko.batches import BatchOrder, order_of
from training_ko.checkpoints import Progress, checkpoints, drop_unfinished, rewind_events
from training_ko.collator import count_cut, token_counts
from training_ko.data import Source
from training_ko.recording import DEV_METRIC
from training_ko.settings import RunSettings, TrainingSettings
from training_ko.trainer import Schedule, WholeBatchTrainer

if TYPE_CHECKING:
    from transformers import TrainingArguments

    from training_ko.encoder import TrainableEncoder

logger = logging.getLogger(__name__)

SettingsType = TypeVar("SettingsType", bound=RunSettings)


class MeasuresDev(Protocol):
    """What tells how good an encoder is while it is trained."""

    collection: Collection
    """The part of the run's collection that is measured on."""

    def __call__(self, encoder: Any) -> dict[str, float]:  # noqa: ANN401  of the kind that the run trains
        """Return dev figures by name, `DEV_METRIC` among them."""


@dataclass(frozen=True)
class Plan(Generic[SettingsType]):
    """What a run would do: its data, read and checked, and its steps."""

    settings: SettingsType
    collection: Collection
    others: dict[Path, Collection]
    sources: list[Source]
    order: BatchOrder
    schedule: Schedule
    dev: MeasuresDev

    def as_json(self, encoder: TrainableEncoder, **facts: Any) -> dict[str, Any]:  # noqa: ANN401  any JSON value
        """Return what `train --dry-run` shows; `facts` are those of the kind of encoder."""
        return {
            "sources": [{"name": source.name, "pairs": len(source.examples), "weight": source.weight} for source in self.sources],
            "passages": len(self.collection.passages),
            "dev_queries": len(self.dev.collection.relevant(self.settings.dev_split)),
            "dev_passages": len(self.dev.collection.passages),
            **asdict(self.schedule),
            **facts,
            "parameters": parameter_count(encoder),
        }


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


def plan_of(
    settings: SettingsType,
    collection: Collection,
    dev: Callable[[], MeasuresDev],
    read: Callable[[SettingsType, Collection, Mapping[Path, Collection]], list[Source]],
) -> Plan[SettingsType]:
    """Read and check everything that a run needs, without making anything.

    Args:
        settings: of the run.
        collection: `settings.collection`, read.
        dev: makes what measures; called before the other collections are read.
        read: returns the sources of pairs.

    Raises:
        UsageError: the batch cannot be shared among the processes.
        DataError: a split, a pair file, negatives or a teacher's scores are missing.
    """
    training = settings.training
    share_of_batch(training.batch_size)
    measure = dev()
    others = other_collections(settings)
    sources = read(settings, collection, others)
    order = order_of(sources, training.batch_size, training.seed)
    return Plan(settings, collection, others, sources, order, schedule_of(training, order.steps_per_epoch), measure)


def arguments_of(training: TrainingSettings, run: Run, schedule: Schedule) -> TrainingArguments:
    """Return the trainer's arguments for a run that counts in steps, and measures and saves by itself."""
    return training_arguments(
        training,
        run.folder,
        num_train_epochs=1,
        max_steps=schedule.steps,
        eval_strategy="no",
        save_strategy="no",
        ignore_data_skip=True,  # the batches start at the run's step by themselves
    )


def fit(trainer: WholeBatchTrainer, run: Run, resumed_from: Path | None, facts: dict[str, Any]) -> Progress:
    """Measure the encoder as it is, train it, and return how far it came; `facts` are told how often memory was too small.

    Raises:
        ModelError: the training diverged or collapsed, or the memory is too small.
    """
    progress = trainer.progress
    if resumed_from is None:
        trainer.evaluate()
    with counted(progress, facts):
        if not progress.stopped_early:
            trainer.train(resume_from_checkpoint=str(resumed_from) if resumed_from else None)
    check_model(run, progress)
    return progress


def finish(run: Run, progress: Progress, facts: Mapping[str, Any]) -> TrainedModel:
    """Write down how the run ended, in the main process."""
    best = float(progress.best_ndcg or 0.0)
    if main_process():
        run.end("finished", **{DEV_METRIC: best}, best_step=progress.best_step, stopped_early=progress.stopped_early, **facts)
    return TrainedModel(run=run, model_folder=run.folder / "model", dev_ndcg=best)


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
