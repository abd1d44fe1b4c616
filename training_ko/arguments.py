"""A run's settings in the words of transformers.TrainingArguments."""

from __future__ import annotations

import importlib.util
import os
from pathlib import Path
from typing import Any, Literal

import torch
from transformers import TrainingArguments

from retrieval_ko.errors import UsageError
from training_ko.settings import TrainingSettings

Precision = Literal["fp32", "bf16", "fp16"]

_SCHEDULES = {"cosine": "cosine", "linear": "linear", "constant": "constant_with_warmup"}
_PACKAGES = {"tensorboard": "tensorboard", "wandb": "wandb"}


def training_arguments(settings: TrainingSettings, folder: Path, **changes: Any) -> TrainingArguments:  # noqa: ANN401  theirs
    """Return the trainer's arguments.

    Checkpoints go to `folder`, every step is logged, nothing is printed or sent anywhere, and a loss that is no number is shown as it is.

    Args:
        settings: optimiser, schedule, precision, batch size over all processes, loggers.
        folder: of the run.
        changes: arguments of transformers that are to be otherwise, e.g. max_steps=200, eval_strategy="steps", eval_steps=50.

    Raises:
        UsageError: the batch cannot be shared among the processes, a logger is not installed, or there is no GPU for fp16.
    """
    _check_loggers(settings, folder)
    precision = precision_of(settings)
    on_cpu = not torch.cuda.is_available()
    values = {
        "output_dir": str(folder),
        "num_train_epochs": settings.epochs,
        "max_steps": settings.max_steps or -1,
        "per_device_train_batch_size": share_of_batch(settings.batch_size),
        "gradient_accumulation_steps": 1,
        "learning_rate": settings.learning_rate,
        "lr_scheduler_type": _SCHEDULES[settings.schedule],
        "warmup_steps": settings.warmup_ratio,
        "weight_decay": settings.weight_decay,
        "max_grad_norm": settings.max_grad_norm,
        "optim": "adamw_torch",
        "bf16": precision == "bf16",
        "fp16": precision == "fp16",
        "use_cpu": on_cpu,
        "dataloader_pin_memory": not on_cpu,
        "seed": settings.seed,
        "data_seed": settings.seed,
        "logging_strategy": "steps",
        "logging_steps": 1,
        "logging_nan_inf_filter": False,
        "save_strategy": "steps",
        "save_steps": settings.save_steps or settings.eval_steps or 500,
        "save_total_limit": 1,
        "report_to": list(settings.loggers) or "none",
        "disable_tqdm": True,
    }
    return TrainingArguments(**(values | changes))


def precision_of(settings: TrainingSettings) -> Precision:
    """Return the precision that a run computes in: what is asked for, else the best that the device has.

    Raises:
        UsageError: fp16 without a GPU.
    """
    has_gpu = torch.cuda.is_available()
    if settings.precision == "fp16" and not has_gpu:
        raise UsageError("training.precision: fp16 needs a GPU, and there is none.", "Use auto: fp32 on a CPU.")
    if settings.precision != "auto":
        return settings.precision
    if not has_gpu:
        return "fp32"
    return "bf16" if torch.cuda.is_bf16_supported(including_emulation=False) else "fp16"


def process_count() -> int:
    """Return how many processes train together, as `accelerate launch` or torchrun say it."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def process_number() -> int:
    """Return which of them this one is, from 0."""
    return int(os.environ.get("RANK", "0"))


def main_process() -> bool:
    """Return whether this process is the one that writes and speaks."""
    return process_number() == 0


def share_of_batch(batch_size: int) -> int:
    """Return how many of a batch's pairs each process takes.

    Raises:
        UsageError: the batch cannot be shared evenly.
    """
    processes = process_count()
    if batch_size % processes:
        nearest = max(batch_size // processes, 1) * processes
        raise UsageError(
            f"training.batch_size: {batch_size} pairs cannot be shared evenly among {processes} processes.",
            f"It counts the pairs of all processes together; e.g. --set training.batch_size={nearest}",
        )
    return batch_size // processes


def _check_loggers(settings: TrainingSettings, folder: Path) -> None:
    for name in settings.loggers:
        if importlib.util.find_spec(_PACKAGES[name]) is None:
            raise UsageError(
                f"training.loggers: {name} needs the package {_PACKAGES[name]}, which is not installed.",
                f"pip install {_PACKAGES[name]}, or --set training.loggers=[]; events.jsonl in the run's folder holds the same values.",
            )
    if "wandb" in settings.loggers:
        os.environ.setdefault("WANDB_MODE", "offline")  # nothing leaves the machine unless the user says so
        os.environ["WANDB_DIR"] = str(folder)
    if "tensorboard" in settings.loggers:
        os.environ["TENSORBOARD_LOGGING_DIR"] = str(folder / "tensorboard")
