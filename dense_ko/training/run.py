"""One training run of a bi-encoder from settings to a model folder."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, TypeAlias

from dense_ko.building import build_bi_encoder
from dense_ko.encoder import BiEncoder
from dense_ko.settings import DenseTrainSettings
from dense_ko.training.guard import SELF, TEACHER, GuidedEncoder, guard_of
from dense_ko.training.loss import DenseLoss
from dense_ko.training.measurement import DevMeasurement
from dense_ko.training.trainer import HEADLINE, DenseTrainer
from retrieval_ko.collection import Collection
from retrieval_ko.errors import DataError
from retrieval_ko.runs import Run
from retrieval_ko.terms import available_cores
from training_ko.arguments import main_process, process_count, process_number
from training_ko.batches import Shares, StepBatches
from training_ko.checkpoints import Progress, failures_recorded
from training_ko.collator import Collator
from training_ko.data import read_sources
from training_ko.libraries import quiet_libraries
from training_ko.recording import OnProgress, RunRecorder
from training_ko.run import Plan as RunPlan
from training_ko.run import (
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

Plan: TypeAlias = RunPlan[DenseTrainSettings]
"""What a run of a bi-encoder would do."""


def plan(settings: DenseTrainSettings, collection: Collection) -> Plan:
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
            temperature=settings.ranking.temperature,
            batch_size=training.batch_size,
        )

    planned = plan_of(settings, collection, dev, read_sources)
    if settings.guard.guide == TEACHER and not any(example.scores for source in planned.sources for example in source.examples):
        raise DataError(
            "guard.guide: no training pair has a teacher's scores that could guard it.",
            'A pair\'s scores stand in its line: "scores": {"PASSAGE": 12.5, …}; without a teacher use guard.guide: self.',
        )
    return planned


def train(
    settings: DenseTrainSettings,
    collection: Collection,
    out: Path,
    *,
    data_hash: str,
    resume: bool = False,
    on_progress: OnProgress | None = None,
) -> TrainedModel:
    """Train a bi-encoder and write its run's folder.

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
        ModelError: the training diverged, the memory is too small, or the base or the guide is no model.
    """
    planned = plan(settings, collection)
    run = begin(settings, collection, planned.others, out, {collection.name: data_hash}, resume=resume)
    facts: dict[str, Any] = {}
    with failures_recorded(run, facts, main=main_process()), quiet_libraries():
        # before the processes know each other: then transformers saves in one of them only
        workers = max(1, available_cores() // int(os.environ.get("LOCAL_WORLD_SIZE", "1")))
        encoder = build_bi_encoder(settings, collection, workers)
        checkpoint = resume_point(run, resume=resume)
        begun = run.metadata()
        encoder.describe_run(settings.model_dump(mode="json"), begun["data"], settings.training.seed, begun["git_commit"])
        progress = _fit(planned, encoder, run, checkpoint, facts, on_progress)
    return finish(run, progress, facts)


def _fit(
    planned: Plan,
    encoder: BiEncoder,
    run: Run,
    resumed_from: Path | None,
    facts: dict[str, Any],
    on_progress: OnProgress | None,
) -> Progress:
    settings, training, schedule = planned.settings, planned.settings.training, planned.schedule
    progress = Progress.read(resumed_from) if resumed_from else Progress(chunk_size=training.chunk_size)
    cut = count_cut_queries(planned.sources, encoder.tokenizer, encoder.get_max_seq_length("query"), run)
    facts |= {"processes": process_count(), "parameters": parameter_count(encoder), **cut}
    guide = settings.guard.guide
    guided = GuidedEncoder(encoder, BiEncoder(guide)) if guide not in (None, SELF, TEACHER) else None
    batches = StepBatches(
        planned.sources,
        planned.order,
        Collator(guided or encoder, with_scores=settings.ranking.needs_teacher or guide == TEACHER),
        steps=schedule.steps,
        negatives=(training.hard_negatives, training.random_negatives),
        seed=training.seed,
        shares=Shares(process_number(), process_count()),
    )
    trainer = DenseTrainer(
        guided or encoder,
        DenseLoss(settings.ranking, guard_of(settings.guard), encoder.get_embedding_dimension() if guided else None),
        training,
        arguments_of(training, run, schedule),
        batches,
        schedule,
        measure=lambda _: planned.dev(encoder),
        run=run,
        recorder=RunRecorder(run, on_progress, batch_ids=lambda step: batches.ids(step - 1), headline=HEADLINE),
        progress=progress,
    )
    return fit(trainer, run, resumed_from, facts)


def as_json(planned: Plan, encoder: BiEncoder) -> dict[str, Any]:
    """Return what `lex-dpr train --dry-run` shows."""
    return planned.as_json(encoder, dimensions=encoder.get_embedding_dimension(), template=str(encoder.template))
