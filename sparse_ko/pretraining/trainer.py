"""transformers.Trainer over numbered steps: what a step reads and hides depends on its number alone."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset
from transformers import Trainer, TrainingArguments

from sparse_ko.pretraining.masking import NOT_HIDDEN, Masking
from sparse_ko.pretraining.packing import Rows
from training_ko.steps import StepsToCome

if TYPE_CHECKING:
    from transformers import PreTrainedModel, TrainerCallback

HELD_OUT_NUMBERS = 1 << 31
"""Numbers of held-out batches start here, where no step of training comes to."""
_GPU_WORKERS = 4


class RowBatches(Dataset[dict[str, Tensor]]):
    """The batch of every step of a run, for one process of several.

    All rows come once an epoch, in an order of their own each time; a batch at its end goes on in the next, so every one is full.

    Args:
        rows: packed, shape [rows, tokens].
        masking: hides tokens.
        batch_size: rows a step, over all processes.
        steps: of the run.
        seed: of the order.
        share: (number of this process, how many there are).
    """

    def __init__(self, rows: Rows, masking: Masking, batch_size: int, steps: int, seed: int, share: tuple[int, int] = (0, 1)) -> None:
        self._rows, self._masking, self._batch_size, self._steps, self._seed, self._share = rows, masking, batch_size, steps, seed, share
        self._order: tuple[int, np.ndarray[Any, np.dtype[np.int64]]] = (-1, np.zeros(0, dtype=np.int64))

    def __len__(self) -> int:
        return self._steps

    def __getitem__(self, step: int) -> dict[str, Tensor]:
        numbers = self.numbers(step)
        ids = torch.from_numpy(self._rows[numbers].astype(np.int64))
        batch = self._masking(ids, step)
        number, of = self._share
        size = len(numbers) // of
        return {name: tensor[number * size : (number + 1) * size] for name, tensor in batch.items()}

    def numbers(self, step: int) -> list[int]:
        """Return which rows a step reads, in all processes together."""
        places = range(step * self._batch_size, (step + 1) * self._batch_size)
        return [int(self._order_of(place // len(self._rows))[place % len(self._rows)]) for place in places]

    def _order_of(self, epoch: int) -> np.ndarray[Any, np.dtype[np.int64]]:
        if self._order[0] != epoch:
            self._order = epoch, np.random.default_rng([self._seed, epoch]).permutation(len(self._rows))
        return self._order[1]


def unigram_log_likelihood(counts: Tensor) -> Tensor:
    """Return ln of the share of each id, one added to every count."""
    return torch.log((counts.double() + 1) / (counts.double() + 1).sum())


class HeldOut(NamedTuple):
    """How well hidden tokens of held-out rows are guessed."""

    loss: float
    """Mean negative log likelihood of a hidden token, in nats."""
    accuracy: float
    """Share of the hidden tokens that the model holds likeliest."""


class HeldOutRows:
    """Held-out rows in batches, the same tokens hidden every time.

    Args:
        rows: packed, shape [rows, tokens].
        masking: hides tokens.
        batch_size: rows at once.
    """

    def __init__(self, rows: Rows, masking: Masking, batch_size: int) -> None:
        self._rows, self._masking, self._batch_size = rows, masking, batch_size

    def __iter__(self) -> Iterator[dict[str, Tensor]]:
        for number, start in enumerate(range(0, len(self._rows), self._batch_size)):
            ids = torch.from_numpy(self._rows[start : start + self._batch_size].astype(np.int64))
            yield self._masking(ids, HELD_OUT_NUMBERS + number)

    def measure(self, model: PreTrainedModel) -> HeldOut:
        """Return how well `model` guesses the hidden tokens."""
        loss, right, asked = 0.0, 0, 0
        was_training = model.training
        model.eval()
        with torch.inference_mode():
            for batch in self:
                batch = {name: tensor.to(model.device) for name, tensor in batch.items()}
                labels = batch.pop("labels")
                hidden = labels != NOT_HIDDEN
                logits, wanted = model(**batch).logits[hidden].float(), labels[hidden]
                loss += float(torch.nn.functional.cross_entropy(logits, wanted, reduction="sum"))
                right += int((logits.argmax(dim=1) == wanted).sum())
                asked += len(wanted)
        model.train(was_training)
        return HeldOut(loss / max(asked, 1), right / max(asked, 1))

    def unigram(self, counts: Tensor) -> HeldOut:
        """Return what a guess without context reaches: every token by its frequency, always the most frequent one.

        Args:
            counts: of each id in the training rows, shape [vocabulary]; one is added to each.
        """
        likelihood = unigram_log_likelihood(counts)
        wanted = torch.cat([batch["labels"][batch["labels"] != NOT_HIDDEN] for batch in self])
        return HeldOut(float(-likelihood[wanted].mean()), float((wanted == int(counts.argmax())).double().mean()))


def loss_of_hidden(model: torch.nn.Module, head: torch.nn.Module, inputs: dict[str, Tensor]) -> Tensor:
    """Return the mean negative log likelihood of the hidden tokens, with logits worked out for these alone.

    At 30 % that saves 70 % of the widest matrix product and of the memory for logits. The model is called as a whole, so that
    several processes see its gradients, and the hidden states are chosen on their way into its last layer.

    Args:
        model: a masked language model, or what a trainer has wrapped it in.
        head: its last layer, from hidden states to logits.
        inputs: input_ids, attention_mask and labels, each of shape [rows, tokens].
    """
    hidden = inputs["labels"] != NOT_HIDDEN
    hook = head.register_forward_pre_hook(lambda _, arguments: (arguments[0][hidden], *arguments[1:]))
    try:
        logits = model(input_ids=inputs["input_ids"], attention_mask=inputs["attention_mask"]).logits
    finally:
        hook.remove()
    return torch.nn.functional.cross_entropy(logits.float(), inputs["labels"][hidden])


class PretrainingTrainer(Trainer):  # type: ignore[misc]  # the library has no types
    """Trains on `RowBatches`, measures `HeldOutRows`, and logs tokens a second."""

    def __init__(
        self,
        model: PreTrainedModel,
        arguments: TrainingArguments,
        batches: RowBatches,
        held_out: HeldOutRows,
        callbacks: list[TrainerCallback],
    ) -> None:
        super().__init__(model=model, args=arguments, train_dataset=batches, eval_dataset=held_out, callbacks=callbacks)
        self._held_out = held_out
        self._head = model.get_output_embeddings()
        self._tokens, self._since = 0, time.monotonic()
        self.measured: dict[str, float] = {}
        self.measured_step = -1

    def training_step(self, model: torch.nn.Module, inputs: dict[str, Tensor], num_items_in_batch: Any = None) -> Tensor:  # noqa: ANN401
        """Do a step as transformers does, and count its tokens."""
        self._tokens += int(inputs["attention_mask"].numel()) * self.args.world_size
        loss: Tensor = super().training_step(model, inputs, num_items_in_batch)
        return loss

    def compute_loss(
        self,
        model: torch.nn.Module,
        inputs: dict[str, Tensor],
        return_outputs: bool = False,
        num_items_in_batch: Any = None,  # noqa: ANN401
    ) -> Tensor:
        """Return the mean negative log likelihood of the hidden tokens."""
        return loss_of_hidden(model, self._head, inputs)

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

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        """Log what transformers logs, and with a loss the speed."""
        if "loss" in logs:
            now = time.monotonic()
            logs["tokens_per_second"] = round(self._tokens / max(now - self._since, 1e-9), 1)
            self._tokens, self._since = 0, now
        super().log(logs, start_time)
        self.state.log_history.clear()  # events.jsonl has it; here it would grow in every checkpoint

    def evaluate(self, *_: Any, **__: Any) -> dict[str, float]:  # noqa: ANN401  theirs
        """Measure the held-out rows; every process does, and comes to the same."""
        with self.accelerator.autocast():
            found = self._held_out.measure(self.model)
        self.measured = {"dev_loss": found.loss, "dev_accuracy": found.accuracy}
        self.measured_step = self.state.global_step
        self.log(dict(self.measured))
        self.control: Any = self.callback_handler.on_evaluate(self.args, self.state, self.control, self.measured)
        self._tokens, self._since = 0, time.monotonic()
        return self.measured
