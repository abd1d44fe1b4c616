"""Every form is trained; the optimiser treats each kind of weight as it should; dev is measured as it is judged."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from retrieval_ko.collection import Collection
from retrieval_ko.records import Passage, Query
from retrieval_ko.runs import Run
from sparse_ko.building import build_encoder
from sparse_ko.model import SparseEncoder
from sparse_ko.settings import TrainSettings
from sparse_ko.training import train
from sparse_ko.training.measurement import DevMeasurement
from sparse_ko.training.run import plan
from sparse_ko.training.trainer import SparseTrainer
from training_ko.arguments import training_arguments
from training_ko.batches import StepBatches
from training_ko.checkpoints import Progress
from training_ko.collator import Collator
from training_ko.recording import RunRecorder

FORMS = [
    ("siamese", "static"),
    ("siamese", "transformer"),
    ("doc-only", "static"),
    ("lexical-floor", "static"),
    ("lexical-floor", "transformer"),
]


def settings_of(form="siamese", body="static", training=None, **more):
    model = {"form": form, "body": body, "layers": 1, "dimensions": 32, "heads": 2, "max_tokens": 32, "neighbour_pull": 0}
    training = {"max_steps": 4, "batch_size": 6, "seed": 8, **(training or {})}
    return TrainSettings.model_validate({"name": "forms", "vocabulary": {"size": 6000}, "model": model, "training": training, **more})


@pytest.mark.parametrize(("form", "body"), FORMS)
def test_every_form_is_trained_saved_and_loaded(collection, tmp_path, form, body):
    settings = settings_of(form, body)
    before = {name: tensor.clone() for name, tensor in build_encoder(settings, collection).module.state_dict().items()}
    trained = train(settings, collection, tmp_path / "run", data_hash="0")
    after = load_file(tmp_path / "run" / "checkpoint-4" / "model.safetensors")
    assert any(not torch.equal(tensor, before[name]) for name, tensor in after.items())
    loaded = SparseEncoder.load(trained.model_folder, device="cpu")
    assert loaded.form == form
    measured = DevMeasurement(collection, "dev", 1000)(loaded)
    assert measured["dev_ndcg@10"] == pytest.approx(trained.dev_ndcg, abs=1e-6)


@pytest.mark.parametrize("form", ["doc-only", "lexical-floor"])
def test_the_query_table_has_its_own_learning_rate_and_never_falls_below_0(collection, tmp_path, form):
    rates = {"learning_rate": 1e-12, "query_learning_rate": 3.0, "warmup_ratio": 0, "schedule": "constant"}
    settings = settings_of(form, training=rates)
    encoder = build_encoder(settings, collection)
    before = {name: parameter.detach().clone() for name, parameter in encoder.module.named_parameters()}
    [table] = [name for name, parameter in encoder.module.named_parameters() if parameter is encoder.query_table]
    train(settings, collection, tmp_path / "run", data_hash="0")
    after = load_file(tmp_path / "run" / "checkpoint-4" / "model.safetensors")
    moved = {name: float((after[name] - before[name]).abs().max()) for name in before if name in after}
    assert moved.pop(table) > 1
    assert max(moved.values()) < 1e-6
    assert after[table].min() == 0  # a step of 3 takes some words below, were it not for the clamp


def trainer_of(settings, collection, folder):
    planned = plan(settings, collection)
    encoder = build_encoder(settings, collection)
    batches = StepBatches(planned.sources, planned.order, Collator(encoder), steps=planned.schedule.steps)
    folder.mkdir()
    run = Run(folder)
    arguments = training_arguments(settings.training, folder, max_steps=planned.schedule.steps)
    more = {"measure": planned.dev, "run": run, "recorder": RunRecorder(run), "progress": Progress()}
    return encoder, SparseTrainer(encoder, settings, arguments, batches, planned.schedule, **more)


@pytest.mark.parametrize(("form", "body"), FORMS)
def test_biases_norms_and_the_query_table_do_not_decay(collection, tmp_path, form, body):
    settings = settings_of(form, body, training={"weight_decay": 0.25, "query_learning_rate": 0.5})
    encoder, trainer = trainer_of(settings, collection, tmp_path / "run")
    groups = trainer.create_optimizer().param_groups
    of = {id(parameter): group for group in groups for parameter in group["params"]}
    assert len(of) == sum(len(group["params"]) for group in groups) == len(list(encoder.module.parameters()))
    for name, parameter in encoder.module.named_parameters():
        is_table = parameter is encoder.query_table
        assert of[id(parameter)]["lr"] == (0.5 if is_table else settings.training.learning_rate)
        plain = is_table or parameter.ndim < 2 or "bias" in name or "norm" in name.lower()
        assert of[id(parameter)]["weight_decay"] == (0 if plain else 0.25), name


def test_dev_is_a_fixed_part_that_holds_every_relevant_passage():
    passages = {f"p{n}": Passage(id=f"p{n}", text=f"문단 {n}") for n in range(500)}
    queries = {f"q{n}": Query(id=f"q{n}", text=f"물음 {n}") for n in range(50)}
    judgements = {"dev": {f"q{n}": {f"p{n * 7}": 1, f"p{n}": 0} for n in range(50)}}
    collection = Collection("many", passages, queries, judgements)
    small = DevMeasurement(collection, "dev", 10, 100).collection
    asked = small.judgements["dev"]
    assert len(asked) == 10
    assert len(small.passages) == 100
    assert {f"p{int(query[1:]) * 7}" for query in asked} <= small.passages.keys()
    backwards = replace(
        collection, passages=dict(reversed(passages.items())), judgements={"dev": dict(reversed(judgements["dev"].items()))}
    )
    again = DevMeasurement(backwards, "dev", 10, 100).collection
    assert again.judgements["dev"].keys() == asked.keys()
    assert again.passages.keys() == small.passages.keys()
    assert list(small.passages) == sorted(small.passages, key=lambda name: int(name[1:]))


def test_dev_honours_parents_and_excluded_passages(untrained):
    texts = {"a#0": "보증금을 돌려받는 법", "a#1": "이사하는 날", "b#0": "보증금 보증금 보증금 반환"}
    passages = {key: Passage(id=key, text=text, metadata={"parent_id": key[0]}) for key, text in texts.items()}
    judgements = {"dev": {"q": {"a": 1}}}

    def measured(**metadata):
        queries = {"q": Query(id="q", text="보증금 반환", metadata=metadata)}
        collection = Collection("pages", passages, queries, judgements, judged="parent")
        return DevMeasurement(collection, "dev", 10, 100)(untrained["static"])["dev_ndcg@10"]

    assert measured() == pytest.approx(1 / np.log2(3))  # b first, a second
    assert measured(excluded=["b#0"]) == 1
