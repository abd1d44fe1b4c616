"""One training run from settings to a model folder."""

from __future__ import annotations

import logging
import math
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from accelerate import PartialState

from retrieval_ko.collection import Collection
from retrieval_ko.errors import ModelError
from retrieval_ko.files import folder_sha256, sha256
from retrieval_ko.runs import Run
from retrieval_ko.terms import available_cores
from sparse_ko.building import build_encoder
from sparse_ko.libraries import quiet_libraries
from sparse_ko.model import SparseEncoder
from sparse_ko.settings import TrainingSettings, TrainSettings
from sparse_ko.training.arguments import main_process, process_count, process_number, share_of_batch, training_arguments
from sparse_ko.training.batches import BatchOrder, Shares, StepBatches, order_of
from sparse_ko.training.checkpoints import Progress, checkpoints, drop_unfinished, failures_recorded, rewind_events
from sparse_ko.training.collator import Collator, count_cut, token_counts
from sparse_ko.training.data import Source, read_sources, synonym_pairs
from sparse_ko.training.measurement import DevMeasurement
from sparse_ko.training.recording import DEV_METRIC, OnProgress, RunRecorder
from sparse_ko.training.trainer import Schedule, SparseTrainer

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class TrainedModel:
    """Where a run left its model, and how good it was on dev."""

    run: Run
    model_folder: Path
    dev_ndcg: float


@dataclass(frozen=True)
class Plan:
    """What a run would do: its data, read and checked, and its steps."""

    settings: TrainSettings
    collection: Collection
    others: dict[Path, Collection]
    sources: list[Source]
    order: BatchOrder
    schedule: Schedule
    dev: DevMeasurement


def plan(settings: TrainSettings, collection: Collection) -> Plan:
    """Read and check everything that a run needs, without making anything.

    Args:
        settings: of the run.
        collection: `settings.collection`, read.

    Raises:
        UsageError: the batch cannot be shared among the processes.
        DataError: a split, a pair file, negatives or a teacher's scores are missing.
    """
    training = settings.training
    share_of_batch(training.batch_size)
    dev = DevMeasurement(collection, settings.dev_split, training.eval_queries, training.eval_passages)
    folders = dict.fromkeys(place.collection for place in settings.data if place.collection != settings.collection)
    others = {folder: Collection.read(folder) for folder in folders}
    sources = read_sources(settings, collection, others)
    order = order_of(sources, training.batch_size, training.seed)
    return Plan(settings, collection, others, sources, order, _schedule(training, order.steps_per_epoch), dev)


def _schedule(training: TrainingSettings, steps_per_epoch: int) -> Schedule:
    steps = training.max_steps or math.ceil(training.epochs * steps_per_epoch)
    measure = min(training.eval_steps or steps_per_epoch, steps)
    return Schedule(steps, steps_per_epoch, measure, training.save_steps or measure)


def train(
    settings: TrainSettings,
    collection: Collection,
    out: Path,
    *,
    data_hash: str,
    resume: bool = False,
    on_progress: OnProgress | None = None,
) -> TrainedModel:
    """Train an encoder and write its run's folder.

    Under `accelerate launch` or torchrun all processes call it; the main one alone writes.

    Args:
        settings: of the run.
        collection: with the splits train and dev.
        out: the run's folder.
        data_hash: SHA-256 of the collection, for the record.
        resume: go on from the newest checkpoint in `out`.
        on_progress: called after each step with (steps done, steps in all, the newest figures in words).

    Raises:
        UsageError: `out` holds another run.
        DataError: a split or pairs are missing.
        ModelError: the training diverged or collapsed, or the memory is too small.
    """
    planned = plan(settings, collection)
    run = _begin(planned, out, data_hash, resume=resume)
    facts: dict[str, Any] = {}
    with failures_recorded(run, facts, main=main_process()), quiet_libraries():
        # before the processes know each other: then transformers saves in one of them only
        workers = max(1, available_cores() // int(os.environ.get("LOCAL_WORLD_SIZE", "1")))
        encoder = build_encoder(settings, collection, workers)
        progress = _fit(planned, encoder, run, _resume_point(run, resume=resume), facts, on_progress)
    best = float(progress.best_ndcg or 0.0)
    if main_process():
        run.end("finished", **{DEV_METRIC: best}, best_step=progress.best_step, stopped_early=progress.stopped_early, **facts)
    return TrainedModel(run=run, model_folder=run.folder / "model", dev_ndcg=best)


def _begin(planned: Plan, out: Path, data_hash: str, *, resume: bool) -> Run:
    """Open the run's folder, which the main process makes or checks."""
    settings = planned.settings
    if main_process():
        hashes = {planned.collection.name: data_hash}
        hashes |= {collection.name: folder_sha256(folder) for folder, collection in planned.others.items()}
        if settings.synonyms.file:
            hashes["synonyms"] = sha256(settings.synonyms.file)
        run = Run.begin(out, settings.model_dump(mode="json"), seed=settings.training.seed, data=hashes, resume=resume)
        drop_unfinished(run.folder)
    return Run(out)


def _resume_point(run: Run, *, resume: bool) -> Path | None:
    """Return the checkpoint to go on from, the same in all processes, after dropping the events that come again; None: the beginning."""
    if process_count() > 1:
        PartialState(cpu=not torch.cuda.is_available()).wait_for_everyone()
    found = checkpoints(run.folder) if resume else []
    step, checkpoint = found[-1] if found else (-1, None)
    if resume and main_process():
        dropped = rewind_events(run.folder, step)
        run.record(step=max(step, 0), resumed=True, events_dropped=dropped)
    return checkpoint


def _fit(
    planned: Plan,
    encoder: SparseEncoder,
    run: Run,
    resumed_from: Path | None,
    facts: dict[str, Any],
    on_progress: OnProgress | None,
) -> Progress:
    settings, training, schedule = planned.settings, planned.settings.training, planned.schedule
    progress = Progress.read(resumed_from) if resumed_from else Progress(chunk_size=training.chunk_size)
    arguments = training_arguments(
        training,
        run.folder,
        num_train_epochs=1,
        max_steps=schedule.steps,
        eval_strategy="no",
        save_strategy="no",
        ignore_data_skip=True,  # the batches start at the run's step by themselves
    )
    facts |= {"processes": process_count(), "parameters": parameter_count(encoder), **_count_cut_queries(planned, encoder, run)}
    batches = StepBatches(
        planned.sources,
        planned.order,
        Collator(encoder, settings.model.max_query_tokens, with_scores=settings.ranking.needs_teacher),
        steps=schedule.steps,
        negatives=(training.hard_negatives, training.random_negatives),
        seed=training.seed,
        terms=synonym_pairs([planned.collection, *planned.others.values()]) if settings.synonyms.weight else [],
        terms_a_step=settings.synonyms.batch_size,
        shares=Shares(process_number(), process_count()),
    )
    recorder = RunRecorder(run, on_progress, batch_ids=lambda step: batches.ids(step - 1))
    trainer = SparseTrainer(
        encoder,
        settings,
        arguments,
        batches,
        schedule,
        measure=planned.dev,
        run=run,
        recorder=recorder,
        progress=progress,
    )
    if resumed_from is None:
        trainer.evaluate()
    with _counted(progress, facts):
        if not progress.stopped_early:
            trainer.train(resume_from_checkpoint=str(resumed_from) if resumed_from else None)
    if progress.best_step == 0:
        logger.warning("Training made nothing better on dev: the model is the one before the first step.")
    if main_process() and not (run.folder / "model").is_dir():
        raise ModelError(f"The run in {run.folder} has no model: {run.folder / 'model'} is missing.", "Train again with another --out.")
    return progress


@contextmanager
def _counted(progress: Progress, facts: dict[str, Any]) -> Iterator[None]:
    try:
        yield
    finally:
        facts |= {"out_of_memory": progress.out_of_memory, "chunk_size": progress.chunk_size}


def _count_cut_queries(planned: Plan, encoder: SparseEncoder, run: Run) -> dict[str, int]:
    """Count the training queries that are longer than a query may be, and say so once."""
    texts = dict.fromkeys(example.query for source in planned.sources for example in source.examples)
    limit = min(planned.settings.model.max_query_tokens, encoder.max_tokens)
    cut = count_cut(token_counts(encoder.tokenizer, texts), limit)
    if cut and main_process():
        logger.warning(
            "%d of %d training queries have more than %d tokens and are cut there (model.max_query_tokens).",
            cut,
            len(texts),
            limit,
        )
        run.record(step=0, queries_cut=cut)
    return {"queries": len(texts), "queries_cut": cut}


def parameter_count(encoder: SparseEncoder) -> int:
    """Return the number of weights of an encoder that are trained."""
    return sum(parameter.numel() for parameter in encoder.module.parameters() if parameter.requires_grad)


def as_json(planned: Plan, encoder: SparseEncoder) -> dict[str, Any]:
    """Return what `sparse-ko train --dry-run` shows."""
    return {
        "sources": [{"name": source.name, "pairs": len(source.examples), "weight": source.weight} for source in planned.sources],
        "passages": len(planned.collection.passages),
        "dev_queries": len(planned.dev.collection.relevant(planned.settings.dev_split)),
        "dev_passages": len(planned.dev.collection.passages),
        **asdict(planned.schedule),
        "vocabulary": len(encoder.tokenizer),
        "parameters": parameter_count(encoder),
    }
