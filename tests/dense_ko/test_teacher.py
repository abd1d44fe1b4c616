"""The cross-encoder teacher: made from scratch or with adapters, trained, stopped and resumed, saved and loaded, asked for scores."""

import json
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from dense_ko.teacher.building import build_teacher
from dense_ko.teacher.data import drawn_queries
from dense_ko.teacher.losses import InListSoftmax, PointwiseBce
from dense_ko.teacher.model import CrossEncoderTeacher, marked
from dense_ko.teacher.reranking import rerank
from dense_ko.teacher.settings import TeacherModelSettings, TeacherSettings, read_preset
from dense_ko.teacher.training import train_teacher
from retrieval_ko.collection import Collection
from retrieval_ko.errors import ModelError, UsageError
from retrieval_ko.pairs.training_pairs import write_pairs
from retrieval_ko.records import TrainingPair

PAIRS = [
    ("전세 보증금 신청", "임차권등기명령을 신청한다."),
    ("도로", "관리청의 허가를 받는다. " * 30),
    ("", "가"),
    ("법인세", "법인세 신고"),
]


class StoppedError(Exception):
    """What a power cut is to a run."""


@pytest.fixture(scope="module")
def folder(collection, tmp_path_factory):
    """The tiny collection as a folder, every query with two negatives; dev asks what train asks."""
    folder = tmp_path_factory.mktemp("teacher") / "collection"
    judged = collection.judgements["train"]
    Collection(collection.name, collection.passages, collection.queries, {"train": judged, "dev": judged}, []).write(folder)
    ids = list(collection.passages)
    pairs = [
        TrainingPair(
            query_id=f"q{key}",
            query_text=collection.queries[f"q{key}"].text,
            positive_passages=[key],
            hard_negatives=[ids[(place + 1) % 5], ids[(place + 2) % 5]],
        )
        for place, key in enumerate(ids)
    ]
    write_pairs(folder / "pairs" / "train.jsonl", pairs)
    return folder


@pytest.fixture(scope="module")
def settings(bases, folder):
    return TeacherSettings.model_validate(
        {
            "name": "tiny-teacher",
            "collection": str(folder),
            "data": [{"pairs": "train"}],
            "model": {"vocabulary": bases / "vocabulary", "layers": 1, "dimensions": 32, "heads": 2, "max_tokens": 64},
            "training": {
                "max_steps": 6,
                "batch_size": 5,
                "hard_negatives": 2,
                "random_negatives": 0,
                "learning_rate": 3e-3,
                "eval_steps": 3,
            },
        }
    )


@pytest.fixture(scope="module")
def runs(settings, folder, tmp_path_factory):
    """A run that was left alone, and one that was stopped after the fourth step and resumed."""
    out, data = tmp_path_factory.mktemp("runs"), Collection.read(folder)
    alone = train_teacher(settings, data, out / "alone", data_hash="ab")

    def stop(done, of, words):
        if done == 4:
            raise StoppedError

    with pytest.raises(StoppedError):
        train_teacher(settings, data, out / "stopped", data_hash="ab", on_progress=stop)
    return SimpleNamespace(alone=alone, resumed=train_teacher(settings, data, out / "stopped", data_hash="ab", resume=True))


@pytest.fixture(scope="module")
def with_adapters(bases):
    """A teacher with adapters on a body whose head starts at random, its adapters moved away from where they start."""
    asked = {"base": str(bases / "pretrained"), "max_tokens": 64, "lora": {"r": 4, "alpha": 8, "dropout": 0.1}}
    teacher = build_teacher(TeacherModelSettings.model_validate(asked), seed=5)
    torch.manual_seed(5)
    with torch.no_grad():
        for parameter in teacher.module.parameters():
            if parameter.requires_grad:
                parameter.add_(0.1 * torch.randn_like(parameter))
    return teacher


def test_a_resumed_run_ends_with_the_same_weights(runs):
    last = "checkpoint-6/model.safetensors"
    first, second = (load_file(run.run.folder / last) for run in (runs.alone, runs.resumed))
    assert first.keys() == second.keys()
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_a_run_records_bm25_the_best_step_and_its_cut_pairs(runs, settings):
    facts = runs.alone.run.metadata()
    assert facts["state"] == "finished"
    assert facts["lists"] == facts["positives"] == 5
    assert facts["out_of_memory"] == 0
    events = runs.alone.run.events()
    measured = {event["step"]: event["dev_ndcg@10"] for event in events if "dev_ndcg@10" in event}
    assert set(measured) == {0, 3, 6}
    assert facts["dev_ndcg@10"] == max(measured.values()) == measured[facts["best_step"]]


def test_training_holds_answers_above_others(runs):
    losses = [event for event in runs.alone.run.events() if "loss" in event]
    assert losses[-1]["loss"] < losses[0]["loss"]
    assert losses[-1]["positive_logit"] - losses[-1]["negative_logit"] > losses[0]["positive_logit"] - losses[0]["negative_logit"]


def test_scores_do_not_depend_on_the_batch_and_survive_the_folder(runs):
    teacher = CrossEncoderTeacher.load(runs.alone.model_folder, device="cpu")
    whole = teacher.scores(PAIRS, batch_size=4)
    assert whole.shape == (4,)
    np.testing.assert_allclose(teacher.scores(PAIRS, batch_size=1), whole, atol=1e-5)
    assert teacher.mark_matches
    assert teacher.max_tokens == 64


def test_matches_are_marked_on_both_sides_and_specials_are_not():
    ids = torch.tensor([[2, 7, 8, 3, 8, 9, 3]])
    types = torch.tensor([[0, 0, 0, 0, 1, 1, 1]])
    assert marked(ids, types, special=[2, 3]).tolist() == [[0, 0, 3, 0, 2, 1, 1]]


def test_memory_that_is_too_small_halves_the_batch_and_leaves_no_pair_out(runs, monkeypatch):
    teacher = CrossEncoderTeacher.load(runs.alone.model_folder, device="cpu")
    expected = teacher.scores(PAIRS)
    embed = teacher.embed

    def small(features, kind="document"):
        if len(features["input_ids"]) > 1:
            raise torch.OutOfMemoryError("out of memory")
        return embed(features, kind)

    monkeypatch.setattr(teacher, "embed", small)
    np.testing.assert_allclose(teacher.scores(PAIRS, batch_size=4), expected, atol=1e-5)
    assert teacher.out_of_memory == 2  # 4 → 2 → 1


def test_in_training_the_micro_batch_is_halved_counted_and_the_result_is_the_same(runs, settings, folder, tmp_path, monkeypatch):
    embed = CrossEncoderTeacher.embed

    def small(self, features, kind="document"):
        if self.module.training and len(features["input_ids"]) > 8:
            raise torch.OutOfMemoryError("out of memory")
        return embed(self, features, kind)

    monkeypatch.setattr(CrossEncoderTeacher, "embed", small)
    one_step = settings.model_copy(update={"training": settings.training.model_copy(update={"max_steps": 1})})
    found = train_teacher(one_step, Collection.read(folder), tmp_path / "run", data_hash="ab")
    facts = found.run.metadata()
    assert (facts["out_of_memory"], facts["chunk_size"]) == (1, 7)  # 5 lists of 3 pairs, half of 15
    assert any(event.get("out_of_memory") == 1 for event in found.run.events())


def test_re_ranking_keeps_the_passages_and_orders_by_the_teacher(runs, collection):
    teacher = CrossEncoderTeacher.load(runs.alone.model_folder, device="cpu")
    before = {"qp1": [("p5", 3.0), ("p1", 2.0), ("p2", 1.0)], "qp2": []}
    after = rerank(teacher, collection, {key: collection.queries[key].text for key in before}, before)
    assert {passage for passage, _ in after["qp1"]} == {"p1", "p2", "p5"}
    assert after["qp2"] == []
    scores = [score for _, score in after["qp1"]]
    assert scores == sorted(scores, reverse=True)


def test_adapters_are_restored_exactly(with_adapters, tmp_path):
    with_adapters.save(tmp_path / "model")
    card = json.loads((tmp_path / "model" / "lora_config.json").read_text())
    assert (card["r"], card["alpha"], card["dropout"], card["targets"]) == (4, 8, 0.1, ["query", "value"])
    assert "pooler" in card["trained_whole"]  # it is not in the base's weights, so it started at random
    restored = CrossEncoderTeacher.load(tmp_path / "model", device="cpu")
    np.testing.assert_allclose(restored.scores(PAIRS), with_adapters.scores(PAIRS), atol=1e-5)
    assert not list((tmp_path / "model").rglob("*.bin")) + list((tmp_path / "model").rglob("*.pt"))


@pytest.mark.parametrize(("key", "value"), [("alpha", 16), ("r", 8), ("dropout", 0.0)])
def test_a_card_that_differs_from_the_adapter_is_refused(with_adapters, tmp_path, key, value):
    with_adapters.save(tmp_path / "model")
    card = tmp_path / "model" / "lora_config.json"
    card.write_text(json.dumps(json.loads(card.read_text()) | {key: value}))
    with pytest.raises(ModelError, match=f"differ in {key}"):
        CrossEncoderTeacher.load(tmp_path / "model")


def test_an_adapter_without_its_card_and_a_card_without_its_adapter_are_refused(with_adapters, tmp_path):
    with_adapters.save(tmp_path / "model")
    (tmp_path / "model" / "lora_config.json").unlink()
    with pytest.raises(ModelError, match=r"lora_config\.json is missing"):
        CrossEncoderTeacher.load(tmp_path / "model")


def test_unknown_targets_are_refused_with_the_names_there_are(bases):
    asked = {"base": str(bases / "pretrained"), "max_tokens": 64, "lora": {"targets": ["q_proj"]}}
    with pytest.raises(ModelError, match="q_proj") as failure:
        build_teacher(TeacherModelSettings.model_validate(asked), seed=5)
    assert "query" in failure.value.remedy
    assert "value" in failure.value.remedy


def test_a_model_without_a_head_is_no_teacher(bases):
    with pytest.raises(ModelError, match="no head that scores pairs"):
        CrossEncoderTeacher.load(bases / "pretrained")
    with pytest.raises(ModelError, match="There is no teacher's folder"):
        CrossEncoderTeacher.load(bases / "nowhere")


def test_balanced_cross_entropy_weighs_both_classes_alike():
    logits = torch.tensor([1.0, -2.0, 0.5, 3.0])
    positive = torch.tensor([True, False, False, False])
    each = torch.nn.functional.softplus(torch.tensor([-1.0, -2.0, 0.5, 3.0]))  # -log of the probability of what is right
    found = PointwiseBce()(logits, positive, torch.empty(0))
    assert found.item() == pytest.approx(((each[0] + each[1:].mean()) / 2).item())
    assert PointwiseBce(1.0)(logits, positive, torch.empty(0)).item() == pytest.approx(each.mean().item())


def test_in_list_softmax_reads_each_list_alone():
    logits = torch.tensor([2.0, 0.0, 1.0])
    found = InListSoftmax()(logits, torch.zeros(3, dtype=torch.bool), torch.tensor([[0, 1, -1], [2, 0, 1]]))
    first = torch.log(torch.tensor(1 + np.exp(-2.0)))
    second = torch.logsumexp(logits, 0) - 1
    assert found.item() == pytest.approx(((first + second) / 2).item())


def test_a_smaller_sample_is_part_of_a_larger_one_whatever_the_order():
    texts = [f"질문 {number}" for number in range(50)]
    assert drawn_queries(texts, 7) < drawn_queries(reversed(texts), 20)
    assert len(drawn_queries(texts, 7)) == 7


def test_presets_hold_the_published_values_and_unknown_ones_are_named():
    changes = {"model.base": "x", "collection": "c", "data": [{"pairs": "train"}]}
    full, quick = (read_preset(name, changes, TeacherSettings) for name in ("full", "quick"))
    assert (full.training.epochs, full.training.batch_size, full.training.learning_rate) == (3, 16, 2e-5)
    assert (full.model.lora.r, full.model.lora.alpha, full.model.lora.dropout) == (32, 64, 0.1)
    assert (quick.training.epochs, quick.training.batch_size, quick.training.max_samples) == (1, 32, 2000)
    assert (quick.model.lora.r, quick.model.lora.alpha) == (16, 32)
    with pytest.raises(UsageError, match="no preset of that name") as failure:
        read_preset("slow", changes, TeacherSettings)
    assert "full, quick, scratch" in failure.value.remedy
