"""One training run: vocabulary, weights that start lexical, InfoNCE + FLOPS, the best checkpoint by nDCG@10 on dev."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from datasets import Dataset
from sentence_transformers import SparseEncoder as StockEncoder
from sentence_transformers.base.evaluation import BaseEvaluator
from sentence_transformers.sparse_encoder import SparseEncoderTrainer, SparseEncoderTrainingArguments
from sentence_transformers.sparse_encoder.callbacks.splade_callbacks import SpladeRegularizerWeightSchedulerCallback
from sentence_transformers.sparse_encoder.losses import SparseMultipleNegativesRankingLoss, SpladeLoss
from sentence_transformers.training_args import BatchSamplers
from transformers import TrainerCallback
from transformers.trainer_callback import PrinterCallback

from retrieval_ko.collection import Collection
from retrieval_ko.errors import DataError, ModelError, RetrievalError
from retrieval_ko.evaluation.metrics import score
from retrieval_ko.files import explained
from retrieval_ko.runs import Run
from sparse_ko.model import SparseEncoder, quiet_libraries
from sparse_ko.retrieval import SparseIndex, active_dimensions
from sparse_ko.scratch import build_from_scratch, inverse_document_frequency
from sparse_ko.settings import TrainSettings
from sparse_ko.vocabulary import build_tokenizer, learn_vocabulary

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

logger = logging.getLogger(__name__)

DEV_METRIC = "dev_ndcg@10"


def build_encoder(settings: TrainSettings, collection: Collection) -> SparseEncoder:
    """Return an untrained encoder: vocabulary learnt from the collection, weights that start as a lexical matcher.

    The vocabulary sees all passages, the queries of the train split and the synonym pairs; never a query of dev or test.
    """
    passages = [passage.passage_text for passage in collection.passages.values()]
    asked = [collection.queries[query].text for query in collection.relevant("train")]
    terms = [text for pair in collection.synonyms for text in (pair.ko, pair.en)]
    pieces = learn_vocabulary([*passages, *asked, *terms], settings.vocabulary.size)
    tokenizer = build_tokenizer(pieces, settings.model.max_tokens)
    idf = inverse_document_frequency(tokenizer, passages)
    model = build_from_scratch(
        settings.model, tokenizer, idf, settings.training.seed, collection.synonyms if settings.training.synonyms else ()
    )
    return SparseEncoder(_as_stock_encoder(model, tokenizer, settings.model.max_tokens))


def _as_stock_encoder(model: Any, tokenizer: PreTrainedTokenizerFast, max_tokens: int) -> StockEncoder:  # noqa: ANN401
    import tempfile

    from sentence_transformers.base.modules import Transformer
    from sentence_transformers.sparse_encoder.modules import SpladePooling

    with tempfile.TemporaryDirectory() as folder, quiet_libraries():
        model.save_pretrained(folder)
        tokenizer.save_pretrained(folder)
        body = Transformer(folder, transformer_task="fill-mask", max_seq_length=max_tokens)
        return StockEncoder(modules=[body, SpladePooling("max")], device="cpu", similarity_fn_name="dot")


def training_pairs(collection: Collection, *, synonyms: bool) -> dict[str, Dataset]:
    """Return the data sets of a run: (query, relevant passage) of the train split, and (English term, Korean term).

    Raises:
        DataError: the train split holds no relevant passage.
    """
    if collection.judged == "parent":
        raise DataError(
            f"{collection.name} is judged at parents (pages, articles), and training reads passages.",
            "Train on a collection judged at passages.",
        )
    rows = [(query, passage) for query, passages in collection.relevant("train").items() for passage in passages]
    if not rows:
        raise DataError(f"The train split of {collection.name} has no relevant passage.", "A judgement counts when its score is above 0.")
    pairs = {
        "pairs": Dataset.from_dict(
            {
                "anchor": [collection.queries[query].text for query, _ in rows],
                "positive": [collection.passages[passage].passage_text for _, passage in rows],
            }
        )
    }
    if synonyms and collection.synonyms:
        pairs["synonyms"] = Dataset.from_dict(
            {"anchor": [pair.en for pair in collection.synonyms], "positive": [pair.ko for pair in collection.synonyms]}
        )
    return pairs


class _DevEvaluator(BaseEvaluator):  # type: ignore[misc]  # the library has no types
    """nDCG@10 and active dimensions on the dev split, by exact search over all passages."""

    primary_metric = DEV_METRIC

    def __init__(self, collection: Collection) -> None:
        super().__init__()
        self._passages = list(collection.passages.values())
        self._judgements = collection.judgements["dev"]
        self._queries = {query: collection.queries[query].text for query in self._judgements}

    def __call__(self, model: StockEncoder, output_path: str | None = None, epoch: float = -1, steps: int = -1) -> dict[str, float]:
        encoder = SparseEncoder(model)
        index = SparseIndex(encoder, self._passages)
        queries = encoder.encode_query(list(self._queries.values()))
        rankings = dict(zip(self._queries, index.rank_vectors(queries), strict=True))
        return {
            DEV_METRIC: score(rankings, self._judgements).mean["ndcg@10"],
            "dev_document_dims": active_dimensions(index.weights),
            "dev_query_dims": active_dimensions(queries),
        }


class _RunRecorder(TrainerCallback):  # type: ignore[misc]  # the library has no types
    """Writes what the trainer logs into the run's events, and stops a run whose loss is no number."""

    def __init__(self, run: Run, on_progress: Callable[[int, int, str], None] | None) -> None:
        self._run = run
        self._on_progress = on_progress
        self._latest = ""

    def on_log(self, args: Any, state: Any, control: Any, logs: dict[str, float] | None = None, **_: Any) -> None:  # noqa: ANN401
        values = {name.removeprefix("eval_"): float(value) for name, value in (logs or {}).items()}
        self._run.record(step=state.global_step, **values)
        if values.get("loss") != values.get("loss") or values.get("grad_norm") != values.get("grad_norm"):
            raise ModelError(
                f"The loss is not a number any more at step {state.global_step}.",
                "Lower the learning rate, e.g. --set training.learning_rate=0.0003",
            )
        if DEV_METRIC in values:
            self._latest = f"dev nDCG@10 {values[DEV_METRIC]:.3f}, {values['dev_document_dims']:.0f} dimensions a passage"
            logger.info("step %d of %d: %s", state.global_step, state.max_steps, self._latest)

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:  # noqa: ANN401
        if self._on_progress:
            self._on_progress(state.global_step, state.max_steps, self._latest)


@dataclass(frozen=True)
class TrainedModel:
    """Where a run left its model, and how good it was on dev."""

    run: Run
    model_folder: Path
    dev_ndcg: float


def train(
    settings: TrainSettings,
    collection: Collection,
    out: Path,
    *,
    data_hash: str,
    resume: bool = False,
    on_progress: Callable[[int, int, str], None] | None = None,
) -> TrainedModel:
    """Train an encoder and write its run's folder.

    Args:
        settings: of the run.
        collection: with the splits train and dev.
        out: the run's folder.
        data_hash: SHA-256 of the collection, for the record.
        resume: go on from the newest checkpoint in `out`.
        on_progress: called after each step with (steps done, steps in all, newest dev result).

    Raises:
        UsageError: `out` holds another run.
        DataError: a split is missing.
        ModelError: the training diverged.
    """
    for split in ("train", "dev"):
        collection.relevant(split)
    run = Run.begin(out, settings.model_dump(mode="json"), seed=settings.training.seed, data={collection.name: data_hash}, resume=resume)
    _drop_unfinished_checkpoints(run.folder)
    try:
        with quiet_libraries():
            encoder = build_encoder(settings, collection)
            best = _fit(settings, collection, encoder, run, resume=resume, on_progress=on_progress)
            encoder.save(run.folder / "model")
    except BaseException as failure:
        _drop_unfinished_checkpoints(run.folder)
        with suppress(RetrievalError):  # on a full disk even this may not be written; the failure itself is what counts
            run.end("failed", error=str(failure) or type(failure).__name__)
        if problem := explained(run.folder, failure):
            raise problem from failure
        raise
    run.end("finished", **{DEV_METRIC: best})
    return TrainedModel(run=run, model_folder=run.folder / "model", dev_ndcg=best)


def _drop_unfinished_checkpoints(folder: Path) -> None:
    """Delete checkpoints whose last file, the trainer's state, is missing: a killed or full machine left them."""
    for checkpoint in folder.glob("checkpoint-*"):
        if not (checkpoint / "trainer_state.json").is_file():
            shutil.rmtree(checkpoint, ignore_errors=True)


def _fit(
    settings: TrainSettings,
    collection: Collection,
    encoder: SparseEncoder,
    run: Run,
    *,
    resume: bool,
    on_progress: Callable[[int, int, str], None] | None,
) -> float:
    training = settings.training
    on_cpu = not torch.cuda.is_available()
    arguments = SparseEncoderTrainingArguments(
        output_dir=str(run.folder),
        num_train_epochs=training.epochs,
        per_device_train_batch_size=training.batch_size,
        learning_rate=training.learning_rate,
        warmup_steps=training.warmup_ratio,
        lr_scheduler_type="cosine",
        weight_decay=0.01,
        batch_sampler=BatchSamplers.NO_DUPLICATES,
        eval_strategy="epoch",
        save_strategy="epoch",
        save_total_limit=1,
        load_best_model_at_end=True,
        metric_for_best_model=f"eval_{DEV_METRIC}",
        greater_is_better=True,
        logging_strategy="steps",
        logging_steps=1,
        seed=training.seed,
        data_seed=training.seed,
        full_determinism=False,
        bf16=not on_cpu and torch.cuda.is_bf16_supported(),
        use_cpu=on_cpu,
        dataloader_pin_memory=not on_cpu,
        report_to="none",
        disable_tqdm=True,
    )
    loss = SpladeLoss(
        encoder.stock,
        SparseMultipleNegativesRankingLoss(encoder.stock, scale=1.0),
        document_regularizer_weight=training.flops_document,
        query_regularizer_weight=training.flops_query,
    )
    encoder.stock.model_card_data.widget = [{}]  # an empty list makes the trainer choose training texts to show, with a bar of its own
    evaluator = _DevEvaluator(collection)
    before = evaluator(encoder.stock)
    run.record(step=0, **before)
    logger.info("before training: dev nDCG@10 %.3f, %.0f dimensions a passage", before[DEV_METRIC], before["dev_document_dims"])
    trainer = SparseEncoderTrainer(
        model=encoder.stock,
        args=arguments,
        train_dataset=training_pairs(collection, synonyms=training.synonyms),
        loss=loss,
        evaluator=evaluator,
        callbacks=[SpladeRegularizerWeightSchedulerCallback(loss), _RunRecorder(run, on_progress)],
    )
    trainer.pop_callback(PrinterCallback)
    trainer.train(resume_from_checkpoint=resume and any(run.folder.glob("checkpoint-*")))
    return float(trainer.state.best_metric or 0.0)
