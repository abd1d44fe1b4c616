"""transformers.Trainer over the loss of the whole batch: `WholeBatch` instead of a forward pass, our checkpoints, dev by exact search."""

from __future__ import annotations

import logging
import math
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import torch
from accelerate.utils import broadcast_object_list
from safetensors.torch import load_file, load_model, save_file, save_model
from torch import Tensor, nn
from torch.utils.data import DataLoader
from transformers import Trainer, TrainerCallback, TrainerControl, TrainingArguments
from transformers.trainer_callback import PrinterCallback

from retrieval_ko.errors import ModelError
from retrieval_ko.runs import Run
from training_ko.batches import StepBatches
from training_ko.checkpoints import Progress, keep_newest, unfinished_name
from training_ko.dev_figures import DevFigures
from training_ko.encoder import TrainableEncoder
from training_ko.losses.parts import LossParts
from training_ko.losses.whole_batch import WholeBatch
from training_ko.recording import DEV_METRIC, RunRecorder
from training_ko.settings import TrainingSettings
from training_ko.steps import StepsToCome

if TYPE_CHECKING:
    from training_ko.losses.features import Features

logger = logging.getLogger(__name__)

_WEIGHTS, _LOSS = "model.safetensors", "loss.safetensors"
_GPU_WORKERS = 2
"""Processes that tokenise while a GPU computes."""


@dataclass(frozen=True)
class Schedule:
    """When something happens besides training, in steps from 1.

    Args:
        steps: of the whole run.
        steps_per_epoch: for the record.
        measure: dev is measured each time so many steps are done, and at the end.
        save: a checkpoint is written each time so many steps are done, and at the end.
    """

    steps: int
    steps_per_epoch: int
    measure: int
    save: int


class WholeBatchTrainer(Trainer):  # type: ignore[misc]  # the library has no types
    """Trains an encoder; what steers a run besides (a sparsity controller) is in the methods that say so.

    Args:
        encoder: is trained in place.
        loss: of a whole batch; its state, where it has one, goes into the checkpoints.
        settings: of optimiser, chunks and patience.
        arguments: of transformers; their own evaluation and checkpoints are off.
        batches: this process's share of every step's batch.
        schedule: when dev is measured and a checkpoint written.
        measure: returns the dev figures of the encoder; called in the main process alone.
        run: whose folder takes checkpoints and the best model.
        recorder: gets every figure.
        progress: how far the run is; from a checkpoint where it is resumed.
    """

    def __init__(
        self,
        encoder: TrainableEncoder,
        loss: nn.Module,
        settings: TrainingSettings,
        arguments: TrainingArguments,
        batches: StepBatches,
        schedule: Schedule,
        *,
        measure: Callable[[Any], dict[str, float]],
        run: Run,
        recorder: RunRecorder,
        progress: Progress,
    ) -> None:
        self._encoder = encoder
        self._settings = settings
        self._schedule = schedule
        self._measure = measure
        self._run = run
        self._recorder = recorder
        self.progress = progress
        self._loss = loss
        self._parts: LossParts | None = None
        self.optimizer: torch.optim.Optimizer | None
        self.control: TrainerControl
        self._texts, self._since = 0, time.monotonic()
        super().__init__(model=encoder.module, args=arguments, train_dataset=batches, callbacks=[_Flow(encoder, schedule), recorder])
        self.pop_callback(PrinterCallback)
        self._parameters = _parameters(encoder)
        self._make_whole_batch()

    def _make_whole_batch(self) -> None:
        self._whole_batch = WholeBatch(self._embed, self._loss, self.progress.chunk_size, list(self._parameters.values()))

    def _embed(self, features: dict[str, Tensor], kind: Literal["query", "document"]) -> Tensor:
        with self.accelerator.autocast():
            return self._encoder.embed(features, kind)

    # what steers a run besides the loss

    def before_step(self, step: int) -> None:
        """Set what is moved from step to step, counted from 0."""

    def meets_targets(self, measured: dict[str, float]) -> bool:
        """Return whether dev figures are where the run is steered to; such a model goes before any that is not."""
        return True

    def settled_from(self) -> float:
        """Return from which share of the steps on a measurement without a better model counts for early stopping."""
        return 0.0

    def steering_figures(self) -> dict[str, float]:
        """Return what is recorded of it with every loss."""
        return {}

    def steering_state(self) -> dict[str, Any]:
        """Return what a checkpoint must keep of it; `progress.steering` has it again after a restart."""
        return {}

    # one step

    def training_step(self, model: nn.Module, inputs: dict[str, Features], num_items_in_batch: Any = None) -> Tensor:  # noqa: ANN401
        """Leave the gradient of the whole batch in the parameters and return its loss."""
        model.train()
        step = self.state.global_step
        progress = self.progress
        self.before_step(step)
        features = inputs["features"].to(self.args.device)
        parts = self._step(features)
        while parts is None:
            self._halve_the_chunks(features)
            parts = self._step(features)
        progress.figures, progress.loss = parts.figures, float(parts.total)
        self._parts = parts
        self._texts += len(features.document_keys)
        if not math.isfinite(progress.loss):
            raise self._recorder.diverged(step + 1, main=self.args.process_index == 0)
        return parts.total

    def _step(self, features: Features) -> LossParts | None:
        """Return the loss, None where the device's memory was too small."""
        try:
            return self._whole_batch.step(features, self.accelerator.backward)
        except torch.OutOfMemoryError as failure:
            if self.args.world_size > 1:  # the others wait in the middle of the step
                raise ModelError(
                    f"Process {self.args.process_index} ran out of memory at step {self.state.global_step + 1}.",
                    f"Let fewer texts through the encoder at once: --set training.chunk_size={self._smaller_chunk(features) or 1}",
                ) from failure
        return None

    def _smaller_chunk(self, features: Features) -> int:
        texts = (features.queries, features.documents, features.korean, features.english)
        most = max(len(next(iter(part.values()))) for part in texts if part)
        return min(self.progress.chunk_size or most, most) // 2

    def _halve_the_chunks(self, features: Features) -> None:
        smaller = self._smaller_chunk(features)
        if not smaller:
            raise ModelError(
                f"The memory is too small for a single text at step {self.state.global_step + 1}.",
                "Shorten the texts (model.max_tokens), make the model smaller, or use a device with more memory.",
            )
        self.progress.chunk_size = smaller
        self.progress.out_of_memory += 1
        self.model.zero_grad()
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
        self._make_whole_batch()
        logger.warning(
            "Out of memory at step %d: from now on %d texts go through the encoder at once. The loss stays that of the whole batch.",
            self.state.global_step + 1,
            smaller,
        )
        if self.args.process_index == 0:
            self._run.record(step=self.state.global_step + 1, out_of_memory=self.progress.out_of_memory, chunk_size=smaller)

    # data, optimiser

    def get_train_dataloader(self) -> DataLoader[Any]:
        """Return the batches from the run's present step on; they are parted among processes already."""
        on_gpu = self.args.device.type == "cuda"
        return DataLoader(
            self.train_dataset,
            batch_size=None,
            sampler=StepsToCome(self),
            num_workers=_GPU_WORKERS if on_gpu else 0,
            pin_memory=on_gpu,
            generator=torch.Generator(),  # its own: a draw from the common one would make a resumed run another run
        )

    def create_optimizer(self, model: nn.Module | None = None) -> torch.optim.Optimizer:
        """Make AdamW: no decay for biases, LayerNorm and the query table, and the table's own learning rate."""
        if self.optimizer is None:
            training = self._settings
            decaying = set(self.get_decay_parameter_names(self.model))
            table = self._encoder.query_table
            groups: dict[tuple[float, float], list[nn.Parameter]] = {}
            for name, parameter in self._parameters.items():
                is_table = parameter is table
                decay = 0.0 if is_table or parameter.ndim < 2 or name not in decaying else training.weight_decay
                rate = (training.query_learning_rate or training.learning_rate) if is_table else training.learning_rate
                groups.setdefault((decay, rate), []).append(parameter)
            members = [{"params": group, "weight_decay": decay, "lr": rate} for (decay, rate), group in groups.items()]
            self.optimizer = torch.optim.AdamW(members, lr=training.learning_rate, fused=True)  # on a CPU a fifth of the time
        return self.optimizer

    # figures

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        """Log what transformers logs, and with a loss its parts, their shares, what steers the run, and speed."""
        self.state.epoch = self.state.global_step / self._schedule.steps_per_epoch
        if "loss" in logs and self._parts is not None:
            logs |= self._figures(self._parts)
        super().log(logs, start_time)
        self.state.log_history.clear()  # events.jsonl has it; here it would grow in every checkpoint

    def _figures(self, parts: LossParts) -> dict[str, float]:
        now = time.monotonic()
        figures = dict(parts.figures)
        for name, part in parts.parts.items():
            figures |= {name: part.value, f"{name}_share": part.share}
        figures |= self.steering_figures()
        figures["passages_per_second"] = round(self._texts * self.args.world_size / max(now - self._since, 1e-9), 1)
        self._texts, self._since = 0, now
        return figures

    def evaluate(self, *_: Any, **__: Any) -> dict[str, float]:  # noqa: ANN401  theirs
        """Measure dev in the main process; keep the model where it is the best so far, and stop where it was not too often."""
        figures: list[Any] = [None]
        if self.args.process_index == 0:
            with self.accelerator.autocast():
                found = self._measure(self._encoder)
            figures = [dict(found)]
        broadcast_object_list(figures)
        measured: dict[str, float] = figures[0]
        if self._judge(measured) and self.args.process_index == 0:
            self._encoder.save(self._run.folder / "model")
            if isinstance(found, DevFigures):
                found.keep(self._run)
        self.log(dict(measured))
        self._since = time.monotonic()
        self.control = self.callback_handler.on_evaluate(self.args, self.state, self.control, measured)
        return measured

    def _judge(self, measured: dict[str, float]) -> bool:
        """Count, and return whether this model is the best so far."""
        progress = self.progress
        meets = self.meets_targets(measured)
        now, earlier = (meets, measured[DEV_METRIC]), (progress.best_meets_targets, progress.best_ndcg)
        untrained_so_far = progress.best_ndcg is not None and progress.best_step == 0
        better = progress.best_ndcg is None or now > earlier or (untrained_so_far and now == earlier)
        if better:
            progress.best_ndcg, progress.best_meets_targets = measured[DEV_METRIC], meets
            progress.best_step, progress.without_better = self.state.global_step, 0
        elif meets and self.state.global_step >= self.settled_from() * self._schedule.steps:
            progress.without_better += 1
        if self._settings.patience and progress.without_better >= self._settings.patience:
            progress.stopped_early = True
            self.control.should_training_stop = True
            logger.info("stopped at step %d: no better model since step %d", self.state.global_step, progress.best_step)
        return better

    # checkpoints

    def _save_checkpoint(self, model: nn.Module, trial: Any) -> None:  # noqa: ANN401
        checkpoint = Path(self.args.output_dir) / f"checkpoint-{self.state.global_step}"
        if checkpoint.exists():
            return
        target = unfinished_name(checkpoint)
        if self.args.should_save:
            shutil.rmtree(target, ignore_errors=True)
            target.mkdir(parents=True)
        self.accelerator.wait_for_everyone()
        self._save_optimizer_and_scheduler(str(target))
        self._save_scaler(str(target))
        self._save_rng_state(str(target))
        if self.args.should_save:
            save_model(self.model, str(target / _WEIGHTS))
            if counted := {name: tensor.contiguous() for name, tensor in self._loss.state_dict().items()}:
                save_file(counted, str(target / _LOSS))
            self.progress.steering = self.steering_state()
            self.progress.write(target)
            self.state.save_to_json(str(target / "trainer_state.json"))
        self.accelerator.wait_for_everyone()
        if self.args.should_save:
            target.rename(checkpoint)
            keep_newest(checkpoint.parent)

    def _load_from_checkpoint(self, resume_from_checkpoint: str, model: nn.Module | None = None) -> None:
        load_model(model or self.model, str(Path(resume_from_checkpoint) / _WEIGHTS))
        counted = Path(resume_from_checkpoint) / _LOSS
        if counted.exists():
            self._loss.load_state_dict(load_file(counted))


def _parameters(encoder: TrainableEncoder) -> dict[str, nn.Parameter]:
    """Return what is trained, by name, each once."""
    return {name: parameter for name, parameter in encoder.module.named_parameters() if parameter.requires_grad}


class _Flow(TrainerCallback):  # type: ignore[misc]  # the library has no types
    """Says after a step what comes next, and keeps what must not fall below 0 from doing so."""

    def __init__(self, encoder: TrainableEncoder, schedule: Schedule) -> None:
        self._encoder = encoder
        self._schedule = schedule

    def on_optimizer_step(self, args: Any, state: Any, control: Any, **_: Any) -> None:  # noqa: ANN401
        self._encoder.constrain()

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:  # noqa: ANN401
        step, last = state.global_step, state.global_step >= self._schedule.steps
        control.should_evaluate = last or step % self._schedule.measure == 0
        control.should_save = last or step % self._schedule.save == 0
