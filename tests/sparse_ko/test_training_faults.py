"""What goes wrong in a run is told, counted and survived where it can be."""

import importlib.util
import json
import logging
import os
from dataclasses import replace

import pytest
import torch

from retrieval_ko.errors import ModelError, UsageError
from retrieval_ko.records import Query
from sparse_ko.model import SparseEncoder
from sparse_ko.settings import SparsitySettings, TrainSettings
from sparse_ko.training import train
from sparse_ko.training.trainer import meets_targets
from training_ko.arguments import precision_of, training_arguments
from training_ko.settings import TrainingSettings


def settings_of(training=None, **more):
    return TrainSettings.model_validate(
        {
            "name": "faults",
            "vocabulary": {"size": 6000},
            "model": {"dimensions": 32, "max_tokens": 32, "max_query_tokens": 12, "neighbour_pull": 0},
            "training": {"max_steps": 4, "batch_size": 6, "seed": 8, **(training or {})},
            **more,
        }
    )


@pytest.fixture(scope="module")
def plain(collection, tmp_path_factory):
    return train(settings_of(), collection, tmp_path_factory.mktemp("faults") / "plain", data_hash="0")


def test_out_of_memory_halves_the_chunks_and_changes_no_number(plain, collection, tmp_path, monkeypatch, caplog):
    embed = SparseEncoder.embed
    room = 2

    def embed_few(self, features, kind, *others, **more):
        if self.module.training and len(features["input_ids"]) > room:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")
        return embed(self, features, kind, *others, **more)

    monkeypatch.setattr(SparseEncoder, "embed", embed_few)
    with caplog.at_level(logging.WARNING, "sparse_ko"):
        trained = train(settings_of(), collection, tmp_path / "run", data_hash="0")
    halved = [event for event in trained.run.events() if "out_of_memory" in event]
    assert [event["chunk_size"] for event in halved][-1] <= room
    assert [event["out_of_memory"] for event in halved] == list(range(1, len(halved) + 1))
    assert {event["step"] for event in halved} == {1}
    assert trained.run.metadata()["out_of_memory"] == len(halved)
    assert trained.run.metadata()["chunk_size"] == halved[-1]["chunk_size"]
    assert sum("Out of memory at step 1" in record.message for record in caplog.records) == len(halved)
    figures, expected = ([event for event in run.events() if "loss" in event] for run in (trained.run, plain.run))
    for name in ("loss", "ranking", "document_dims", "query_dims", "document_sparsity"):
        assert [event[name] for event in figures] == pytest.approx([event[name] for event in expected], rel=1e-3)


def test_a_memory_too_small_for_one_text_ends_the_run(collection, tmp_path, monkeypatch):
    embed = SparseEncoder.embed

    def embed_none(self, features, kind, *others, **more):
        if self.module.training:
            raise torch.OutOfMemoryError("CUDA out of memory.")
        return embed(self, features, kind, *others, **more)

    monkeypatch.setattr(SparseEncoder, "embed", embed_none)
    with pytest.raises(ModelError, match="too small for a single text at step 1"):
        train(settings_of(), collection, tmp_path / "run", data_hash="0")
    assert json.loads((tmp_path / "run" / "metadata.json").read_text(encoding="utf-8"))["state"] == "failed"


def test_a_loss_that_is_no_number_stops_the_run_and_leaves_the_ids_of_its_batch(collection, tmp_path):
    settings = settings_of({"learning_rate": 1e30, "warmup_ratio": 0, "max_steps": 20}, synonyms={"as_pairs": False})
    with pytest.raises(ModelError, match="not a number any more at step") as caught:
        train(settings, collection, tmp_path / "run", data_hash="0")
    dumped = json.loads((tmp_path / "run" / "diverged-batch.json").read_text(encoding="utf-8"))
    assert str(tmp_path / "run" / "diverged-batch.json") in caught.value.problem
    assert f"at step {dumped['step']}." in caught.value.problem
    assert len(dumped["queries"]) == 6
    assert set(dumped["queries"]) <= collection.judgements["train"].keys()
    assert {next(iter(collection.judgements["train"][query])) for query in dumped["queries"]} == set(dumped["passages"])


def test_a_run_that_gets_no_better_is_stopped_and_the_best_model_kept(collection, tmp_path):
    settings = settings_of({"max_steps": 40, "eval_steps": 2, "patience": 3, "learning_rate": 1e-12}, sparsity={"warmup": 0})
    trained = train(settings, collection, tmp_path / "run", data_hash="0")
    measured = [event["step"] for event in trained.run.events() if "dev_ndcg@10" in event]
    assert measured == [0, 2, 4, 6, 8]  # the first takes the place of the untrained model, which is as good; three more are no better
    assert trained.run.metadata()["best_step"] == 2
    assert trained.run.metadata()["stopped_early"] is True
    assert (tmp_path / "run" / "checkpoint-8").is_dir()


def test_while_sparsity_grows_patience_is_not_counted(collection, tmp_path):
    settings = settings_of({"max_steps": 10, "eval_steps": 2, "patience": 1, "learning_rate": 1e-12}, sparsity={"warmup": 0.8})
    trained = train(settings, collection, tmp_path / "run", data_hash="0")
    assert [event["step"] for event in trained.run.events() if "loss" in event] == list(range(1, 9))  # warmed up after 8 steps


@pytest.mark.parametrize(
    ("document_dims", "query_dims", "meets"), [(100, 20, True), (110, 18, True), (111, 20, False), (100, 17.9, False), (89, 20, False)]
)
def test_targets_are_met_within_a_tenth(document_dims, query_dims, meets):
    assert meets_targets(SparsitySettings(target_doc_dims=100, target_query_dims=20), document_dims, query_dims) is meets
    assert meets_targets(SparsitySettings(), document_dims, query_dims) is True


def test_long_queries_are_cut_counted_and_told_once(collection, tmp_path, caplog):
    long = Query(id="qp01a", text="보증금 " * 40)
    queries = {**collection.queries, "qp01a": long}
    with caplog.at_level(logging.WARNING, "sparse_ko"):
        trained = train(settings_of(), replace(collection, queries=queries), tmp_path / "run", data_hash="0")
    [told] = [record.getMessage() for record in caplog.records if "max_query_tokens" in record.getMessage()]
    assert told.startswith("1 of 17 training queries have more than 12 tokens")  # 12 questions and 5 English terms
    assert [event["queries_cut"] for event in trained.run.events() if "queries_cut" in event] == [1]
    assert trained.run.metadata()["queries_cut"] == 1


def test_a_query_without_a_single_token_does_no_harm(collection, tmp_path):
    queries = {**collection.queries, "qp01a": Query(id="qp01a", text="\u200b"), "qp02a": Query(id="qp02a", text="\u200b\u200b")}
    trained = train(settings_of(), replace(collection, queries=queries), tmp_path / "run", data_hash="0")
    assert all(event["loss"] == event["loss"] for event in trained.run.events() if "loss" in event)


def test_a_logger_that_is_not_installed_is_named(tmp_path, monkeypatch):
    found = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, package=None: None if name == "wandb" else found(name, package))
    with pytest.raises(UsageError, match=r"training\.loggers: wandb needs the package wandb") as caught:
        training_arguments(TrainingSettings(loggers=["wandb"]), tmp_path)
    assert caught.value.remedy.startswith("pip install wandb")
    assert "WANDB_MODE" not in os.environ


def test_a_batch_that_cannot_be_shared_is_told_with_one_that_can(tmp_path, monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "3")
    with pytest.raises(UsageError, match="64 pairs cannot be shared evenly among 3 processes") as caught:
        training_arguments(TrainingSettings(batch_size=64), tmp_path)
    assert "training.batch_size=63" in caught.value.remedy


def test_on_a_cpu_all_is_computed_in_single_precision_and_fp16_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert precision_of(TrainingSettings()) == "fp32"
    assert training_arguments(TrainingSettings(precision="bf16"), tmp_path).bf16
    with pytest.raises(UsageError, match="fp16 needs a GPU"):
        training_arguments(TrainingSettings(precision="fp16"), tmp_path)


def test_settings_become_the_trainers_arguments(tmp_path):
    settings = TrainingSettings(epochs=3, batch_size=8, learning_rate=0.5, schedule="constant", warmup_ratio=0.25, max_grad_norm=2, seed=4)
    arguments = training_arguments(settings, tmp_path, logging_steps=7)
    assert (arguments.num_train_epochs, arguments.per_device_train_batch_size, arguments.learning_rate) == (3, 8, 0.5)
    assert (arguments.lr_scheduler_type, arguments.get_warmup_steps(100)) == ("constant_with_warmup", 25)
    assert (arguments.max_grad_norm, arguments.seed, arguments.logging_steps) == (2, 4, 7)
    assert arguments.report_to == []
