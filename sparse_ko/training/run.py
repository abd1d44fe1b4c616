"""One training run from settings to a model folder."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from retrieval_ko.collection import Collection
from retrieval_ko.files import sha256
from retrieval_ko.runs import Run
from retrieval_ko.terms import available_cores
from sparse_ko.building import build_encoder
from sparse_ko.model import SparseEncoder
from sparse_ko.settings import TrainSettings
from sparse_ko.training.data import read_sources, synonym_pairs
from sparse_ko.training.measurement import DevMeasurement
from sparse_ko.training.sampling import SampledDimensions
from sparse_ko.training.trainer import SparseTrainer
from training_ko.arguments import main_process, process_count, process_number
from training_ko.batches import Shares, StepBatches
from training_ko.checkpoints import Progress, failures_recorded
from training_ko.collator import Collator
from training_ko.libraries import quiet_libraries
from training_ko.recording import OnProgress, RunRecorder
from training_ko.run import (
    Plan,
    TrainedModel,
    arguments_of,
    begin,
    count_cut_queries,
    finish,
    fit,
    parameter_count,
    plan_of,
    resume_point,
)


def plan(settings: TrainSettings, collection: Collection) -> Plan[TrainSettings]:
    """Read and check everything that a run needs, without making anything.

    Args:
        settings: of the run.
        collection: `settings.collection`, read.

    Raises:
        UsageError: the batch cannot be shared among the processes.
        DataError: a split, a pair file, negatives or a teacher's scores are missing.
    """
    training = settings.training

    def dev() -> DevMeasurement:
        return DevMeasurement(
            collection,
            settings.dev_split,
            training.eval_queries,
            training.eval_passages,
            ranking=settings.ranking,
            batch_size=training.batch_size,
        )

    return plan_of(settings, collection, dev, read_sources)


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
    hashes = {collection.name: data_hash}
    if settings.synonyms.file and main_process():
        hashes["synonyms"] = sha256(settings.synonyms.file)
    run = begin(settings, collection, planned.others, out, hashes, resume=resume)
    facts: dict[str, Any] = {}
    with failures_recorded(run, facts, main=main_process()), quiet_libraries():
        # before the processes know each other: then transformers saves in one of them only
        workers = max(1, available_cores() // int(os.environ.get("LOCAL_WORLD_SIZE", "1")))
        encoder = build_encoder(settings, collection, workers, planned.others.values())
        progress = _fit(planned, encoder, run, resume_point(run, resume=resume), facts, on_progress)
    return finish(run, progress, facts)


def _fit(
    planned: Plan[TrainSettings],
    encoder: SparseEncoder,
    run: Run,
    resumed_from: Path | None,
    facts: dict[str, Any],
    on_progress: OnProgress | None,
) -> Progress:
    settings, training, schedule = planned.settings, planned.settings.training, planned.schedule
    progress = Progress.read(resumed_from) if resumed_from else Progress(chunk_size=training.chunk_size)
    limit = min(settings.model.max_query_tokens, encoder.max_tokens)
    cut = count_cut_queries(planned.sources, encoder.tokenizer, limit, run)
    facts |= {"processes": process_count(), "parameters": parameter_count(encoder), **cut}
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
        dimensions=SampledDimensions(encoder, settings) if settings.sparsity.sampled_dimensions else None,
    )
    recorder = RunRecorder(run, on_progress, batch_ids=lambda step: batches.ids(step - 1))
    trainer = SparseTrainer(
        encoder,
        settings,
        arguments_of(training, run, schedule),
        batches,
        schedule,
        measure=planned.dev,
        run=run,
        recorder=recorder,
        progress=progress,
    )
    return fit(trainer, run, resumed_from, facts)


def as_json(planned: Plan[TrainSettings], encoder: SparseEncoder) -> dict[str, Any]:
    """Return what `sparse-ko train --dry-run` shows."""
    return planned.as_json(encoder, vocabulary=len(encoder.tokenizer))
