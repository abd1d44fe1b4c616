"""One teacher's training run: the floor of training_ko, with a pair of texts where an encoder has a passage.

The whole-batch step knows documents and what they become. Here a document is a pair and becomes one logit, so chunks, several
processes, memory faults (halved, counted, said), checkpoints, `--resume` and events are those of every run.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from dense_ko.teacher.building import build_teacher, check_vocabulary
from dense_ko.teacher.data import PairCollator, limited
from dense_ko.teacher.losses import TeacherLoss
from dense_ko.teacher.model import CrossEncoderTeacher
from dense_ko.teacher.reranking import RerankingMeasurement
from dense_ko.teacher.settings import TeacherSettings
from retrieval_ko.collection import Collection
from retrieval_ko.files import folder_sha256
from retrieval_ko.runs import Run
from training_ko.arguments import main_process, process_count, process_number, share_of_batch
from training_ko.batches import BatchOrder, Shares, StepBatches, order_of
from training_ko.checkpoints import Progress, failures_recorded
from training_ko.data import Source, read_sources
from training_ko.encoder import TrainableEncoder
from training_ko.libraries import quiet_libraries
from training_ko.recording import DEV_METRIC, OnProgress, RunRecorder
from training_ko.run import TrainedModel, arguments_of, begin, finish, fit, other_collections, parameter_count, resume_point, schedule_of
from training_ko.trainer import Schedule, WholeBatchTrainer

HEADLINE = {
    "loss": "loss {:.3f}",
    "positive_leads": "{:.0%} of positives lead",
    DEV_METRIC: "dev nDCG@10 {:.3f}",
    "dev_margin": "margin {:.2f}",
}
"""What the line of progress says, in this order, as far as it was logged."""


@dataclass(frozen=True)
class TeacherPlan:
    """What a run would do: its data, read and checked, and its steps."""

    settings: TeacherSettings
    collection: Collection
    others: dict[Path, Collection]
    sources: list[Source]
    order: BatchOrder
    schedule: Schedule
    dev: RerankingMeasurement

    def as_json(self) -> dict[str, Any]:
        """Return what `lex-dpr teacher train --dry-run` shows."""
        return {
            "sources": [{"name": source.name, "lists": len(source.examples)} for source in self.sources],
            "passages": len(self.collection.passages),
            "steps": self.schedule.steps,
            "steps_per_epoch": self.schedule.steps_per_epoch,
            "bm25_ndcg@10": round(self.dev.before, 4),
        }


def plan_teacher(settings: TeacherSettings, collection: Collection) -> TeacherPlan:
    """Read and check everything that a run needs, without making anything.

    Args:
        settings: of the run.
        collection: `settings.collection`, read.

    Raises:
        UsageError: the batch cannot be shared among the processes.
        DataError: a split, a pair file or negatives are missing.
        ModelError: the vocabulary is no tokenizer's folder.
    """
    training, asked = settings.training, settings.rerank
    share_of_batch(training.batch_size)
    check_vocabulary(settings.model.vocabulary)
    dev = RerankingMeasurement(
        collection, settings.dev_split, training.eval_queries, training.eval_passages, asked.depth, asked.tokenization
    )
    others = other_collections(settings)
    sources = limited(read_sources(settings, collection, others), training.max_samples)
    order = order_of(sources, training.batch_size, training.seed)
    return TeacherPlan(settings, collection, others, sources, order, schedule_of(training, order.steps_per_epoch), dev)


def train_teacher(
    settings: TeacherSettings,
    collection: Collection,
    out: Path,
    *,
    data_hash: str,
    resume: bool = False,
    on_progress: OnProgress | None = None,
) -> TrainedModel:
    """Train a cross-encoder and write its run's folder; the model of the best measurement is in its model/.

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
        ModelError: the base cannot be used, the training diverged, or the memory is too small.
    """
    planned = plan_teacher(settings, collection)
    hashes = {collection.name: data_hash}
    for place in (settings.model.base, settings.model.vocabulary):
        if place is not None and Path(place).is_dir() and main_process():
            hashes[f"model:{Path(place).name}"] = folder_sha256(Path(place))
    run = begin(settings, collection, planned.others, out, hashes, resume=resume)
    facts: dict[str, Any] = {"bm25_ndcg@10": planned.dev.before}
    with failures_recorded(run, facts, main=main_process()), quiet_libraries():
        teacher = build_teacher(settings.model, settings.training.seed)
        progress = _fit(planned, teacher, run, resume_point(run, resume=resume), facts, on_progress)
    return finish(run, progress, facts)


def _fit(
    planned: TeacherPlan,
    teacher: CrossEncoderTeacher,
    run: Run,
    resumed_from: Path | None,
    facts: dict[str, Any],
    on_progress: OnProgress | None,
) -> Progress:
    settings, training, schedule = planned.settings, planned.settings.training, planned.schedule
    progress = Progress.read(resumed_from) if resumed_from else Progress(chunk_size=training.chunk_size)
    encoder = cast(TrainableEncoder, teacher)  # but for `tokenize`, which the collator does for pairs
    facts |= {
        "processes": process_count(),
        "parameters": parameter_count(encoder),
        "lists": sum(len(source.examples) for source in planned.sources),
        **_cut(planned.sources, teacher),
    }
    batches = StepBatches(
        planned.sources,
        planned.order,
        PairCollator(teacher),
        steps=schedule.steps,
        negatives=(training.hard_negatives, training.random_negatives),
        seed=training.seed,
        shares=Shares(process_number(), process_count()),
    )
    trainer = WholeBatchTrainer(
        encoder,
        TeacherLoss(settings.loss),
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


def _cut(sources: list[Source], teacher: CrossEncoderTeacher) -> dict[str, int]:
    """Return how many positives, read with their query, are longer than the teacher reads."""
    pairs = [(one.query, source.text_of(one.positive)) for source in sources for one in source.examples]
    cut = 0
    for start in range(0, len(pairs), 1000):
        some = pairs[start : start + 1000]
        read = teacher.tokenizer([query for query, _ in some], [text for _, text in some], truncation=False, padding=False)
        cut += sum(len(ids) > teacher.max_tokens for ids in read["input_ids"])
    return {"positives": len(pairs), "positives_cut": cut}
