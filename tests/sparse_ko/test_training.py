"""One seed, one model: also in a second run, and in one that was stopped and resumed."""

import errno

import numpy as np
import pytest
import torch
import yaml
from safetensors.torch import load_file, load_model
from transformers import Trainer

from retrieval_ko.collection import Collection
from retrieval_ko.errors import DataError, RetrievalError, UsageError
from retrieval_ko.runs import Run
from sparse_ko.building import build_encoder
from sparse_ko.settings import SynonymSettings
from sparse_ko.training import train
from sparse_ko.training.data import read_sources


def weights_of(trained_model):
    return load_file(trained_model.model_folder / "model.safetensors")


def assert_equal_weights(one, other):
    one, other = weights_of(one), weights_of(other)
    assert one.keys() == other.keys()
    assert [name for name in one if not torch.equal(one[name], other[name])] == []


def test_two_runs_with_one_seed_give_the_same_weights(runs):
    assert_equal_weights(runs.first, runs.second)
    assert runs.first.dev_ndcg == runs.second.dev_ndcg


def test_a_run_stopped_after_an_epoch_and_resumed_gives_the_weights_of_an_uninterrupted_one(runs):
    assert_equal_weights(runs.first, runs.resumed)
    assert runs.first.dev_ndcg == runs.resumed.dev_ndcg


def test_a_stopped_run_says_so_and_a_resumed_one_is_finished(runs):
    assert runs.stopped_metadata["state"] == "failed"
    assert runs.stopped_metadata["error"] == "stopped"
    assert runs.resumed.run.metadata()["state"] == "finished"


def test_a_resumed_run_does_not_repeat_the_steps_of_its_checkpoint(runs):
    losses = [event["step"] for event in runs.resumed.run.events() if "loss" in event]
    last = runs.steps[-1][1]
    assert sorted(set(losses)) == list(range(1, last + 1))
    assert [step for step in losses if step <= last // 2] == list(range(1, last // 2 + 1))


def test_training_moved_the_weights(runs, collection):
    before = build_encoder(runs.settings, collection).masked_language_model.state_dict()
    after = weights_of(runs.first)
    moved = {name for name, tensor in after.items() if not torch.equal(tensor, before[name])}
    assert {"bert.embeddings.word_embeddings.weight", "cls.predictions.bias"} <= moved


def ranking_loss(encoder, examples, text_of):
    """−Σ log softmax of each query's passage among all: the InfoNCE of one batch with everything in it."""
    queries = encoder.encode_query([example.query for example in examples])
    passages = encoder.encode_document([text_of(example.positive) for example in examples])
    scores = (queries @ passages.T).toarray().astype(np.float64)
    highest = scores.max(axis=1, keepdims=True)
    return float(np.mean(highest[:, 0] + np.log(np.exp(scores - highest).sum(axis=1)) - np.diag(scores)))


def test_the_ranking_loss_falls_to_less_than_a_tenth(runs, collection, tmp_path):
    changes = {"max_steps": 30, "eval_steps": 30, "batch_size": 12}  # every question beside every other
    training = runs.settings.training.model_copy(update=changes)
    settings = runs.settings.model_copy(update={"training": training, "synonyms": SynonymSettings(as_pairs=False)})
    [source] = read_sources(settings, collection)
    encoder = build_encoder(settings, collection)
    before = ranking_loss(encoder, source.examples, source.text_of)
    assert before > 0.1
    train(settings, collection, tmp_path / "run", data_hash="0")
    load_model(encoder.module, str(tmp_path / "run" / "checkpoint-30" / "model.safetensors"))
    assert ranking_loss(encoder, source.examples, source.text_of) < before / 10


def test_the_runs_folder_holds_what_it_promises(runs):
    folder = runs.first.run.folder
    assert yaml.safe_load((folder / "config.yaml").read_text(encoding="utf-8")) == runs.settings.model_dump(mode="json")
    assert list(folder.glob("checkpoint-*"))
    assert (folder / "model" / "modules.json").is_file()
    metadata = runs.first.run.metadata()
    assert metadata["state"] == "finished"
    assert metadata["data"] == {"tiny": "ab" * 32}
    assert metadata["seed"] == runs.settings.training.seed
    assert metadata["dev_ndcg@10"] == runs.first.dev_ndcg


def test_dev_is_measured_before_training_and_after_each_epoch(runs):
    measured = [event for event in runs.first.run.events() if "dev_ndcg@10" in event]
    last = runs.steps[-1][1]
    assert [event["step"] for event in measured] == [0, last // 2, last]
    assert [event["epoch"] for event in measured] == [0, 1, 2]
    assert all(0 <= event["dev_ndcg@10"] <= 1 and event["dev_document_dims"] > 0 and event["dev_query_dims"] > 0 for event in measured)
    assert runs.first.dev_ndcg == max(event["dev_ndcg@10"] for event in measured)


def test_every_step_is_recorded_and_reported(runs):
    last = runs.steps[-1][1]
    # 12 questions and 5 synonym pairs in batches of 4, two epochs: (3 + 2) · 2
    assert runs.steps == [(step, 10) for step in range(1, 11)]
    logged = [event for event in runs.first.run.events() if "loss" in event]
    assert [event["step"] for event in logged] == list(range(1, last + 1))
    for event in logged:
        shares = [value for name, value in event.items() if name.endswith("_share")]
        assert sum(shares) == pytest.approx(1 if event["loss"] else 0, abs=1e-5)
        parts = event["ranking"] + sum(event[f"lambda_{kind}"] * event[f"{kind}_sparsity"] for kind in ("document", "query"))
        assert parts == pytest.approx(event["loss"], rel=1e-4)
        assert event["document_dims"] > 0
        assert event["query_dims"] > 0
        assert event["passages_per_second"] > 0


def test_a_finished_run_is_not_overwritten(runs, collection):
    before = weights_of(runs.first)
    with pytest.raises(UsageError, match="already holds a run"):
        train(runs.settings, collection, runs.first.run.folder, data_hash="ab" * 32)
    assert all(torch.equal(tensor, before[name]) for name, tensor in weights_of(runs.first).items())


def test_other_data_does_not_resume_a_run(runs, collection):
    with pytest.raises(UsageError, match="other settings or other data"):
        train(runs.settings, collection, runs.resumed.run.folder, data_hash="cd" * 32, resume=True)


@pytest.mark.parametrize("split", ["train", "dev"])
def test_a_collection_without_a_split_is_refused_before_a_folder_is_made(runs, collection, tmp_path, split):
    judgements = {name: grades for name, grades in collection.judgements.items() if name != split}
    incomplete = Collection("incomplete", collection.passages, collection.queries, judgements)
    with pytest.raises(DataError, match=f"no judgements for the split '{split}'"):
        train(runs.settings, incomplete, tmp_path / "run", data_hash="ab" * 32)
    assert not (tmp_path / "run").exists()


def test_the_vocabulary_never_sees_a_question_of_dev_or_test(runs, collection):
    secret = "읭읭햏햏"
    queries = {key: query.model_copy(update={"text": f"{query.text} {secret}"}) for key, query in collection.queries.items()}
    queries |= {key: collection.queries[key] for key in collection.judgements["train"]}
    encoder = build_encoder(runs.settings, Collection("c", collection.passages, queries, collection.judgements, collection.synonyms))
    assert encoder.tokenizer.get_vocab() == build_encoder(runs.settings, collection).tokenizer.get_vocab()


def test_a_disk_that_fills_during_a_checkpoint_leaves_none_behind(collection, lexical_settings, tmp_path, monkeypatch):
    def full(self, folder):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Trainer, "_save_optimizer_and_scheduler", full)
    with pytest.raises(RetrievalError, match="disk is full") as caught:
        train(lexical_settings("static"), collection, tmp_path / "run", data_hash="0")
    assert str(tmp_path / "run") in caught.value.problem
    assert list((tmp_path / "run").glob("checkpoint-*")) == []
    assert Run(tmp_path / "run").metadata()["state"] == "failed"
