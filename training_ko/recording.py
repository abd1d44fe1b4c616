"""What a run leaves behind while it goes: events, a line of progress, and the batch that broke it."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from transformers import TrainerCallback

from retrieval_ko.errors import ModelError
from retrieval_ko.files import write_json

if TYPE_CHECKING:
    from retrieval_ko.runs import Run

logger = logging.getLogger(__name__)

DEV_METRIC = "dev_ndcg@10"
DIVERGED_BATCH = "diverged-batch.json"

OnProgress = Callable[[int, int, str], None]
"""Called after each step with (steps done, steps in all, the newest figures in words)."""

HEADLINE = {
    "loss": "loss {:.3f}",
    "document_dims": "{:.0f} dims a passage",
    "query_dims": "{:.0f} a query",
    DEV_METRIC: "dev nDCG@10 {:.3f}",
    "dev_document_dims": "dev {:.0f} dims a passage",
}
"""What the line of progress says, in this order, as far as it was logged."""


def nested(values: Mapping[str, float]) -> dict[str, dict[str, float]]:
    """Return the dev figures once more under the names of experiment loggers: {"eval": {"ndcg_at_10": …, "loss": …}}; {} without any."""
    found = {name.removeprefix("dev_").replace("@", "_at_"): value for name, value in values.items() if name.startswith("dev_")}
    return {"eval": found} if found else {}


class RunRecorder(TrainerCallback):  # type: ignore[misc]  # the library has no types
    """Writes what the trainer logs into the run's events, and stops a run whose loss is no number.

    Only the main process of several writes; all of them stop.

    Args:
        run: whose events they are.
        on_progress: told after each step.
        batch_ids: returns, for a step counted from 1, what was in its batch, e.g. {"queries": [ids], "passages": [ids]}; written to
            diverged-batch.json where the loss is no number.
        headline: name of a logged value → how it stands in the line of progress.
    """

    def __init__(
        self,
        run: Run,
        on_progress: OnProgress | None = None,
        *,
        batch_ids: Callable[[int], Mapping[str, list[str]]] | None = None,
        headline: Mapping[str, str] = HEADLINE,
    ) -> None:
        self._run = run
        self._on_progress = on_progress
        self._batch_ids = batch_ids
        self._headline = headline
        self._latest: dict[str, float] = {}

    def in_words(self) -> str:
        """Return the newest figures in one line."""
        return ", ".join(words.format(self._latest[name]) for name, words in self._headline.items() if name in self._latest)

    def on_log(self, args: Any, state: Any, control: Any, logs: dict[str, float] | None = None, **_: Any) -> None:  # noqa: ANN401
        """Record the values; raise `ModelError` where loss or gradient are no numbers."""
        values = {name.removeprefix("eval_"): float(value) for name, value in (logs or {}).items()}
        self._latest |= values
        if state.is_world_process_zero:
            self._run.record(step=state.global_step, **values, **nested(values))
            if any(name.startswith("dev_") for name in values):
                when = f"step {state.global_step} of {state.max_steps}" if state.global_step else "before training"
                logger.info("%s: %s", when, self.in_words())
        # with fp16 a gradient that overflows is ordinary: the step is left out and the scale lowered
        watched = ("loss",) if args.fp16 else ("loss", "grad_norm")
        if not all(math.isfinite(values.get(name, 0.0)) for name in watched):
            raise self.diverged(state.global_step, main=state.is_world_process_zero)

    def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:  # noqa: ANN401
        """Write down how many steps the run has, for whoever watches it."""
        if state.is_world_process_zero:
            self._run.note(steps=state.max_steps)

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:  # noqa: ANN401
        """Report progress."""
        if self._on_progress and state.is_world_process_zero:
            self._on_progress(state.global_step, state.max_steps, self.in_words())

    def diverged(self, step: int, *, main: bool = True) -> ModelError:
        """Return the error of a run whose loss is no number, after writing down what was in the batch of `step` (from 1)."""
        where = ""
        if self._batch_ids and main:
            write_json(self._run.folder / DIVERGED_BATCH, {"step": step, **self._batch_ids(step)})
            where = f" What was in its batch is in {self._run.folder / DIVERGED_BATCH}."
        return ModelError(
            f"The loss is not a number any more at step {step}.{where}",
            "Lower the learning rate, e.g. --set training.learning_rate=0.0003",
        )
