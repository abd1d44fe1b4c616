"""A run from settings to a model folder: what it leaves behind, that it learns, and that stopping it changes nothing."""

import json
from types import SimpleNamespace

import numpy as np
import pytest
from safetensors.torch import load_file

from dense_ko.encoder import BiEncoder
from dense_ko.training import train
from retrieval_ko.collection import Collection
from retrieval_ko.errors import DataError
from retrieval_ko.records import Query
from retrieval_ko.runs import Run

DATA_HASH = "ab" * 32


class StoppedError(Exception):
    """What a person's Ctrl-C or a power cut is to a run."""


@pytest.fixture(scope="module")
def asked(collection):
    """The tiny collection with a dev split: the titles ask for their passages."""
    queries = {f"d{key}": Query(id=f"d{key}", text=passage.title) for key, passage in collection.passages.items()}
    judgements = {**collection.judgements, "dev": {f"d{key}": {key: 1} for key in collection.passages}}
    return Collection("tiny", collection.passages, {**collection.queries, **queries}, judgements)


@pytest.fixture(scope="module")
def settings(settings_of):
    """Of a run of the layered body, with dropout: six steps of two or three pairs, dev after every third."""

    def of(guard=None, **training):
        values = settings_of(template="e5").model_dump(mode="json")
        numbers = {"max_steps": 6, "batch_size": 3, "eval_steps": 3, "learning_rate": 1e-3, "seed": 5}
        values["training"] |= numbers | training
        values["guard"] |= guard or {}
        return type(settings_of()).model_validate(values)

    return of


@pytest.fixture(scope="module")
def runs(settings, asked, tmp_path_factory):
    """One uninterrupted run, and one that was stopped after its first checkpoint and resumed."""
    folder = tmp_path_factory.mktemp("runs")
    whole = train(settings(), asked, folder / "whole", data_hash=DATA_HASH)

    def stop(done, of, _):
        if done == 5:
            raise StoppedError("stopped")

    with pytest.raises(StoppedError):
        train(settings(), asked, folder / "stopped", data_hash=DATA_HASH, on_progress=stop)
    resumed = train(settings(), asked, folder / "stopped", data_hash=DATA_HASH, resume=True)
    return SimpleNamespace(whole=whole, resumed=resumed)


def test_the_folder_is_that_of_every_run(runs):
    folder = runs.whole.run.folder
    assert {path.name for path in folder.iterdir()} >= {"config.yaml", "metadata.json", "events.jsonl", "checkpoint-6", "model"}
    metadata = Run(folder).metadata()
    assert metadata["state"] == "finished"
    assert metadata["dev_ndcg@10"] == runs.whole.dev_ndcg
    assert metadata["queries"] == 5


def test_the_model_knows_how_it_was_trained(runs, settings):
    config = json.loads((runs.whole.model_folder / "training_config.json").read_text(encoding="utf-8"))
    assert config["template"] == "e5"
    assert (config["query_max_seq_length"], config["passage_max_seq_length"]) == (24, 48)
    assert config["data"] == {"tiny": DATA_HASH}
    assert config["seed"] == 5
    assert config["config"] == settings().model_dump(mode="json")
    assert config["commit"] == Run(runs.whole.run.folder).metadata()["git_commit"]
    assert BiEncoder.load(runs.whole.model_folder, device="cpu").template == "e5"


def test_the_events_hold_loss_cosines_and_dev(runs):
    events = Run(runs.whole.run.folder).events()
    steps = [event for event in events if "loss" in event]
    assert [event["step"] for event in steps] == [1, 2, 3, 4, 5, 6]
    for event in steps:
        assert {"ranking", "positive_cosine", "negative_cosine", "first", "learning_rate", "grad_norm"} <= event.keys()
        assert -1 <= event["negative_cosine"] < event["positive_cosine"] <= 1
    dev = [event for event in events if "dev_ndcg@10" in event]
    assert [event["step"] for event in dev] == [0, 3, 6]
    for event in dev:
        assert {"dev_ndcg@5", "dev_mrr@10", "dev_recall@5", "dev_recall@10", "dev_loss"} <= event.keys()
    assert dev[-1]["dev_loss"] < dev[0]["dev_loss"]


def test_a_resumed_run_ends_with_the_same_weights(runs):
    name = "checkpoint-6/model.safetensors"
    whole, resumed = load_file(runs.whole.run.folder / name), load_file(runs.resumed.run.folder / name)
    assert whole.keys() == resumed.keys()
    for weight, tensor in whole.items():
        assert np.array_equal(tensor.numpy(), resumed[weight].numpy()), weight


def test_chunks_change_no_weight(settings, asked, runs, tmp_path):
    """Cached multiple negatives ranking is the same loss; the static body has no dropout, so rounding alone may differ."""
    plain = settings().model_copy(update={"model": settings().model.model_copy(update={"layers": 0})})
    cached = plain.model_copy(update={"training": plain.training.model_copy(update={"chunk_size": 2})})
    weights = []
    for name, given in (("plain", plain), ("cached", cached)):
        given = given.model_copy(update={"training": given.training.model_copy(update={"max_steps": 2, "eval_steps": 2})})
        weights.append(load_file(train(given, asked, tmp_path / name, data_hash="0").run.folder / "checkpoint-2/model.safetensors"))
    for weight, tensor in weights[0].items():
        np.testing.assert_allclose(tensor.numpy(), weights[1][weight].numpy(), atol=1e-5, err_msg=weight)


@pytest.mark.parametrize("guide", ["self", "another"])
def test_a_guard_says_what_it_holds_back(guide, settings, asked, saved, tmp_path):
    given = settings(guard={"guide": str(saved / "mini") if guide == "another" else guide, "margin": 0.9}, max_steps=2, eval_steps=2)
    trained = train(given, asked, tmp_path / "run", data_hash="0")
    held = [event["held_back"] for event in trained.run.events() if "loss" in event]
    assert len(held) == 2
    assert all(0 < share <= 1 for share in held)  # a margin of 0.9 below the positive: nearly everything


def test_a_teacher_without_scores_cannot_guard(settings, asked, tmp_path):
    with pytest.raises(DataError, match="teacher's scores"):
        train(settings(guard={"guide": "teacher"}), asked, tmp_path / "run", data_hash="0")
    assert not (tmp_path / "run").exists()  # said before the run begins
