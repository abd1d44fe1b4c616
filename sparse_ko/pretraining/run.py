"""One pre-training run from settings to a model folder that `model.base` takes."""

from __future__ import annotations

import logging
import math
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from accelerate import PartialState
from transformers import PrinterCallback

from retrieval_ko.collection import sample_folder
from retrieval_ko.errors import DataError, UsageError
from retrieval_ko.files import new_folder, sha256
from retrieval_ko.runs import Run
from sparse_ko.pretraining.base import start_at_frequencies, starting_model
from sparse_ko.pretraining.masking import Masking
from sparse_ko.pretraining.packing import Rows, open_rows, pack, write_rows
from sparse_ko.pretraining.settings import PretrainSettings
from sparse_ko.pretraining.trainer import HeldOut, HeldOutRows, PretrainingTrainer, RowBatches
from sparse_ko.vocabulary.sources import TextFile, drawn, hashes, read_texts, text_files
from training_ko.arguments import main_process, process_count, process_number, training_arguments
from training_ko.checkpoints import checkpoints, drop_unfinished, failures_recorded, rewind_events
from training_ko.libraries import quiet_libraries
from training_ko.recording import OnProgress, RunRecorder

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

logger = logging.getLogger(__name__)

HEADLINE = {"loss": "loss {:.3f}", "dev_loss": "held out {:.3f}", "dev_accuracy": "accuracy {:.3f}"}
_ROWS_AT_ONCE = 4_096


@dataclass(frozen=True)
class PretrainedModel:
    """Where a run left its model, and how well it guesses hidden tokens of held-out texts."""

    run: Run
    model_folder: Path
    held_out: HeldOut
    unigram: HeldOut
    """What a guess without context reaches on the same tokens."""


def pretrain(settings: PretrainSettings, out: Path, *, resume: bool = False, on_progress: OnProgress | None = None) -> PretrainedModel:
    """Train a masked language model and write its run's folder; under `accelerate launch` all processes call it.

    Args:
        settings: of the run.
        out: the run's folder: config.yaml, metadata.json, events.jsonl, checkpoint-N/, model/; while it runs, packed/ as well.
        resume: go on from the newest checkpoint in `out`.
        on_progress: called after each step with (steps done, steps in all, the newest figures in words).

    Raises:
        UsageError: `out` holds another run, or settings contradict each other.
        DataError: a source is missing, damaged or too small.
        ModelError: the base cannot be used, or the training diverged.
    """
    training = settings.training
    if training.batch_size % process_count():
        raise UsageError(f"training.batch_size: {training.batch_size} rows cannot be shared evenly among {process_count()} processes.")
    files = text_files(settings.sources or [sample_folder()], "passages")
    run = Run(out)
    if main_process():
        run = Run.begin(out, settings.model_dump(mode="json"), seed=training.seed, data=_data(settings, files), resume=resume)
        drop_unfinished(run.folder)
        _drop_cut_checkpoints(run.folder)
    _wait()
    facts: dict[str, Any] = {}
    with failures_recorded(run, facts, main=main_process()), quiet_libraries():
        found, unigram = _fit(settings, files, run, facts, resume=resume, on_progress=on_progress)
    if main_process():
        run.end("finished", dev_loss=found.loss, dev_accuracy=found.accuracy, **facts)
        shutil.rmtree(run.folder / "packed", ignore_errors=True)
    return PretrainedModel(run, run.folder / "model", found, unigram)


def _data(settings: PretrainSettings, files: Sequence[TextFile]) -> dict[str, str]:
    found = hashes(files)
    if settings.vocabulary.source:
        found["tokenizer.json"] = sha256(settings.vocabulary.source / "tokenizer.json")
    if settings.model.embeddings:
        found[settings.model.embeddings.name] = sha256(settings.model.embeddings)
    return found


def _fit(
    settings: PretrainSettings, files: Sequence[TextFile], run: Run, facts: dict[str, Any], *, resume: bool, on_progress: OnProgress | None
) -> tuple[HeldOut, HeldOut]:
    training, length = settings.training, settings.model.max_tokens
    model, tokenizer = starting_model(settings, files)
    rows, held_out_rows = _packed(settings, files, tokenizer, run.folder / "packed")
    steps = training.max_steps or math.ceil(training.epochs * len(rows) / training.batch_size)
    masking = Masking(tokenizer, settings.masking, training.seed)
    held_out = HeldOutRows(held_out_rows[: training.eval_rows], masking, training.batch_size)
    counts = _counts(rows, tokenizer)
    unigram = held_out.unigram(counts)
    if not settings.model.base:
        start_at_frequencies(model, counts)
    facts |= {
        "rows": len(rows),
        "tokens": len(rows) * length,
        "held_out_rows": len(held_out_rows),
        "pieces": len(tokenizer),
        "parameters": model.num_parameters(),
        "processes": process_count(),
        "unigram_loss": unigram.loss,
        "unigram_accuracy": unigram.accuracy,
    }
    checkpoint = _resumed_from(run, resume=resume)
    if checkpoint is None and main_process():
        run.record(step=0, unigram_loss=unigram.loss, unigram_accuracy=unigram.accuracy)
    logger.info("%d rows of %d tokens; without context: loss %.3f, accuracy %.3f", len(rows), length, unigram.loss, unigram.accuracy)
    trainer = PretrainingTrainer(
        model,
        training_arguments(
            training.as_training(),
            run.folder,
            num_train_epochs=1,
            max_steps=steps,
            per_device_train_batch_size=training.batch_size // process_count(),
            eval_strategy="steps",
            eval_steps=training.eval_steps,
            ignore_data_skip=True,  # the batches start at the run's step by themselves
        ),
        RowBatches(rows, masking, training.batch_size, steps, training.seed, (process_number(), process_count())),
        held_out,
        [RunRecorder(run, on_progress, batch_ids=None, headline=HEADLINE)],
    )
    trainer.pop_callback(PrinterCallback)
    trainer.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)
    measured = trainer.measured if trainer.measured_step == steps else trainer.evaluate()
    if torch.cuda.is_available():
        facts["peak_gpu_memory_gb"] = round(torch.cuda.max_memory_allocated() / 2**30, 2)
    if main_process():
        with new_folder(run.folder / "model") as target:
            trainer.accelerator.unwrap_model(trainer.model).save_pretrained(str(target))
            tokenizer.save_pretrained(str(target))
    return HeldOut(measured["dev_loss"], measured["dev_accuracy"]), unigram


def _packed(settings: PretrainSettings, files: Sequence[TextFile], tokenizer: PreTrainedTokenizerFast, folder: Path) -> tuple[Rows, Rows]:
    """Return the rows to train on and those held out, packed anew where that has not been done."""
    length = settings.model.max_tokens

    def texts(*, held_out: bool) -> Iterator[str]:
        # by the text, so that a repeated passage is on one side only
        return (text for text in read_texts(files, settings.share) if drawn(text, settings.held_out) is held_out)

    for name, held_out in (("train", False), ("held-out", True)):
        if main_process() and not (folder / name).exists():
            write_rows(folder / name, pack(tokenizer, texts(held_out=held_out), length))
    _wait()
    for name in ("train", "held-out"):
        if not (folder / name).stat().st_size:
            raise DataError(
                f"{', '.join(file.name for file in files)}: there is no text {'to train on' if name == 'train' else 'held out'}.",
                "Name more texts in `sources`, or hold out a larger share: --set held_out=0.1",
            )
    return open_rows(folder / "train", length), open_rows(folder / "held-out", length)


def _counts(rows: Rows, tokenizer: PreTrainedTokenizerFast) -> torch.Tensor:
    """Return how often each id occurs in the training rows; special tokens, which are never asked for, 0."""
    counts = torch.zeros(len(tokenizer), dtype=torch.int64)
    for start in range(0, len(rows), _ROWS_AT_ONCE):
        part = torch.from_numpy(rows[start : start + _ROWS_AT_ONCE].astype("int64"))
        counts += torch.bincount(part.flatten(), minlength=len(tokenizer))
    counts[tokenizer.all_special_ids] = 0
    return counts


def _drop_cut_checkpoints(folder: Path) -> None:
    """Delete checkpoints whose last file, the trainer's state, is missing: a killed process left them."""
    for _, checkpoint in checkpoints(folder):
        if not (checkpoint / "trainer_state.json").is_file():
            shutil.rmtree(checkpoint, ignore_errors=True)


def _resumed_from(run: Run, *, resume: bool) -> Path | None:
    """Return the newest checkpoint, events after it dropped, or None."""
    found = checkpoints(run.folder) if resume else []
    if main_process() and resume:
        dropped = rewind_events(run.folder, found[-1][0] if found else -1)
        if found:
            run.record(step=found[-1][0], resumed=True, events_dropped=dropped)
    return found[-1][1] if found else None


def _wait() -> None:
    if process_count() > 1:
        PartialState().wait_for_everyone()
