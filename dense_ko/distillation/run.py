"""One distillation run: the teacher scores candidates once and stays as it is; then the student is trained on what it said."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dense_ko.building import build_bi_encoder
from dense_ko.distillation.losses import DistillationLoss
from dense_ko.distillation.scoring import ScoringReport, already_scored, score_pairs
from dense_ko.distillation.settings import DistillSettings
from dense_ko.encoder import BiEncoder
from dense_ko.teacher.building import check_vocabulary
from dense_ko.teacher.ensemble import LoadModel
from dense_ko.teacher.loading import load_teacher, teacher_sha256
from dense_ko.training.run import Plan, plan
from dense_ko.training.trainer import DenseTrainer
from retrieval_ko.collection import Collection
from retrieval_ko.errors import UsageError
from retrieval_ko.files import folder_sha256
from retrieval_ko.runs import Run
from retrieval_ko.terms import available_cores
from training_ko.arguments import process_count
from training_ko.batches import StepBatches
from training_ko.checkpoints import Progress, failures_recorded
from training_ko.collator import Collator
from training_ko.libraries import quiet_libraries
from training_ko.recording import DEV_METRIC, OnProgress, RunRecorder
from training_ko.run import TrainedModel, arguments_of, begin, count_cut_queries, finish, fit, parameter_count, resume_point

HEADLINE = {
    "loss": "loss {:.3f}",
    "positive_cosine": "answers {:.2f}",
    "own_negative_cosine": "own negatives {:.2f}",
    DEV_METRIC: "dev nDCG@10 {:.3f}",
}
"""What the line of progress says, in this order, as far as it was logged."""

SCORED = "-scored"
"""What the name of a scored pair file ends with."""


@dataclass(frozen=True)
class DistilledModel:
    """Where a run left its student, and what the teacher scored."""

    trained: TrainedModel
    scored: dict[str, ScoringReport]


def score_sources(
    settings: DistillSettings,
    collections: Mapping[Path, Collection],
    on_scored: Callable[[int, int], None] | None = None,
    load_model: LoadModel | None = None,
) -> tuple[dict[tuple[Path, str], str], dict[str, ScoringReport]]:
    """Write a scored pair file beside every one that the settings name.

    Args:
        settings: of the run.
        collections: those that `settings.data` names, read.
        on_scored: told (queries done, queries in all) of the file that is being scored.
        load_model: path → encoder, for an ensemble that asks one.

    Returns:
        (collection, pair file) → name of the scored one; and that name → its report.
    """
    made_by = teacher_sha256(settings.teacher)
    names: dict[tuple[Path, str], str] = {}
    reports: dict[str, ScoringReport] = {}
    for place in settings.data:
        name = f"{place.pairs}{SCORED}"
        folder = place.collection / "pairs"
        source, target = folder / f"{place.pairs}.jsonl", folder / f"{name}.jsonl"
        report = already_scored(made_by, source, target, settings.candidates)
        if report is None:
            collection = collections[place.collection]
            teacher = load_teacher(settings.teacher, collection, place.collection, load_model)
            report = score_pairs(teacher, made_by, collection, source, target, settings.candidates, on_progress=on_scored)
        reports[str(target)] = report
        names[place.collection, place.pairs or ""] = name
    return names, reports


def distill(
    settings: DistillSettings,
    collections: Mapping[Path, Collection],
    out: Path,
    *,
    resume: bool = False,
    on_scored: Callable[[int, int], None] | None = None,
    on_progress: OnProgress | None = None,
    load_model: LoadModel | None = None,
) -> DistilledModel:
    """Score candidates, train the student, and write its run's folder.

    What was scored before is not scored again, so `resume` goes on wherever the run was stopped.

    Args:
        settings: of the run.
        collections: the run's own and those that `settings.data` names, read, by folder.
        out: the run's folder.
        resume: go on from the newest checkpoint in `out`.
        on_scored: told (queries done, queries in all).
        on_progress: called after each step with (steps done, steps in all, the newest figures in words).
        load_model: path → encoder, for an ensemble that asks one.

    Raises:
        UsageError: `out` holds another run.
        DataError: pairs are missing or have no negatives, or the teacher leaves none.
        ModelError: teacher or base cannot be used, the training diverged, or the memory is too small.
    """
    if process_count() > 1:
        raise UsageError(
            "lex-dpr distill runs in one process.",
            "For several: `lex-dpr teacher score`, then `lex-dpr train` on the scored pairs with ranking.loss=kl.",
        )
    check_vocabulary(Path(settings.model.vocabulary) if settings.model.vocabulary else None)  # before an hour of scoring
    assert settings.collection is not None  # RunSettings asks for it where `data` names sources
    own = collections[settings.collection]
    names, reports = score_sources(settings, collections, on_scored, load_model)
    student = settings.of_student(names)
    planned = plan(student, own)
    # after scoring: the scored pairs are part of the data, and a resumed run finds them there
    hashes = {own.name: folder_sha256(settings.collection), "teacher": teacher_sha256(settings.teacher)}
    run = begin(student, own, planned.others, out, hashes, resume=resume)
    facts: dict[str, Any] = {"scored": {Path(name).stem: report.as_json() for name, report in reports.items()}}
    with failures_recorded(run, facts, main=True), quiet_libraries():
        encoder = build_bi_encoder(student, own, available_cores())
        checkpoint = resume_point(run, resume=resume)
        begun = run.metadata()
        encoder.describe_run(student.model_dump(mode="json"), begun["data"], student.training.seed, begun["git_commit"])
        progress = _fit(settings, planned, encoder, run, checkpoint, facts, on_progress)
    return DistilledModel(finish(run, progress, facts), reports)


def _fit(
    settings: DistillSettings,
    planned: Plan,
    encoder: BiEncoder,
    run: Run,
    resumed_from: Path | None,
    facts: dict[str, Any],
    on_progress: OnProgress | None,
) -> Progress:
    training, schedule = planned.settings.training, planned.schedule
    progress = Progress.read(resumed_from) if resumed_from else Progress(chunk_size=training.chunk_size)
    cut = count_cut_queries(planned.sources, encoder.tokenizer, encoder.get_max_seq_length("query"), run)
    facts |= {"parameters": parameter_count(encoder), **cut}
    batches = StepBatches(
        planned.sources,
        planned.order,
        Collator(encoder, with_scores=True),
        steps=schedule.steps,
        negatives=(training.hard_negatives, 0),
        seed=training.seed,
    )
    trainer = DenseTrainer(
        encoder,
        DistillationLoss(settings.distillation),
        training,
        arguments_of(training, run, schedule),
        batches,
        schedule,
        measure=planned.dev,
        run=run,
        recorder=RunRecorder(run, on_progress, batch_ids=lambda step: batches.ids(step - 1), headline=HEADLINE),
        progress=progress,
    )
    return fit(trainer, run, resumed_from, facts)
