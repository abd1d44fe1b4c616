"""The trainer of every encoder, and the dial of a sparse one."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Literal

from sparse_ko.losses.weighted_sum import WeightedSum
from sparse_ko.model import SparseEncoder
from sparse_ko.settings import SparsitySettings, TrainSettings
from sparse_ko.sparsity import SparsityController
from training_ko.trainer import Schedule, WholeBatchTrainer

if TYPE_CHECKING:
    from torch import Tensor
    from transformers import TrainingArguments

    from retrieval_ko.runs import Run
    from training_ko.batches import StepBatches
    from training_ko.checkpoints import Progress
    from training_ko.recording import RunRecorder

MEETS_TARGET = 0.1
"""How far, as a share, measured active dimensions may be from their target."""


class SparseTrainer(WholeBatchTrainer):
    """Trains a sparse encoder: λ is set before every step, by its warm-up or by the controller.

    Args:
        encoder: is trained in place.
        settings: of the run.
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
        encoder: SparseEncoder,
        settings: TrainSettings,
        arguments: TrainingArguments,
        batches: StepBatches,
        schedule: Schedule,
        *,
        measure: Callable[[SparseEncoder], dict[str, float]],
        run: Run,
        recorder: RunRecorder,
        progress: Progress,
    ) -> None:
        self._sparse_encoder = encoder
        self._weighted_sum = WeightedSum(settings)
        self._sparsity = settings.sparsity
        self._controller = SparsityController(settings.sparsity, schedule.steps, len(encoder.tokenizer))
        if progress.steering:
            self._controller.load_state_dict(progress.steering)
        super().__init__(
            encoder,
            self._weighted_sum,
            settings.training,
            arguments,
            batches,
            schedule,
            measure=measure,
            run=run,
            recorder=recorder,
            progress=progress,
        )

    def _embed(self, features: dict[str, Tensor], kind: Literal["query", "document"], dimensions: Tensor | None = None) -> Tensor:
        with self.accelerator.autocast():
            apart = kind == "document" and self._sparsity.regularised == "expansion"
            return self._sparse_encoder.embed(features, kind, dimensions, in_parts=apart)

    def before_step(self, step: int) -> None:
        """Set both λ by the last batch's active dimensions."""
        dims = self.progress.figures
        self._weighted_sum.lambda_document, self._weighted_sum.lambda_query = self._controller.update(
            step, dims.get("document_dims"), dims.get("query_dims"), self.progress.loss
        )

    def meets_targets(self, measured: dict[str, float]) -> bool:
        """Return whether dev's active dimensions are within 10 % of what they are steered to."""
        return meets_targets(self._sparsity, measured["dev_document_dims"], measured["dev_query_dims"])

    def settled_from(self) -> float:
        """Return the end of λ's warm-up: while sparsity still grows quality falls, and that is no reason to stop."""
        return self._sparsity.warmup

    def steering_figures(self) -> dict[str, float]:
        """Return both λ."""
        return {"lambda_document": self._weighted_sum.lambda_document, "lambda_query": self._weighted_sum.lambda_query}

    def steering_state(self) -> dict[str, Any]:
        """Return the controller's state."""
        return self._controller.state_dict()


def meets_targets(sparsity: SparsitySettings, document_dims: float, query_dims: float) -> bool:
    """Return whether measured active dimensions are within 10 % of what they are steered to; True where they are not steered."""
    return all(
        target is None or abs(measured - target) <= MEETS_TARGET * target
        for target, measured in ((sparsity.target_doc_dims, document_dims), (sparsity.target_query_dims, query_dims))
    )
