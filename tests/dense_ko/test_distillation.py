"""Distillation: the three losses, why their scale is the raw cosine, scored pair files that survive a power cut, margins, a whole run."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings, strategies

from dense_ko.distillation import scoring
from dense_ko.distillation.losses import ContrastiveMargin, DistillationLoss, ListwiseKl, NegativePenalty, marked
from dense_ko.distillation.margins import measure_margins, normalised, uniformity
from dense_ko.distillation.run import distill
from dense_ko.distillation.scoring import score_pairs
from dense_ko.distillation.settings import PRESETS, CandidateSettings, DistillationLossSettings, DistillSettings
from dense_ko.teacher.building import build_teacher
from dense_ko.teacher.separation import best_threshold, chance_of_order
from dense_ko.teacher.settings import TeacherModelSettings, read_preset
from retrieval_ko.collection import Collection
from retrieval_ko.errors import DataError, UsageError
from retrieval_ko.pairs.training_pairs import read_pairs, write_pairs
from retrieval_ko.records import Query, TrainingPair
from training_ko.losses.embedded import Embedded


def batch_of(cosines, teacher=None):
    """A batch whose queries are axes, so that a document's first numbers are its cosines; each query has its column and the next one."""
    scores = torch.tensor(cosines, dtype=torch.float64)
    count = len(scores)
    own = torch.arange(count)
    return Embedded(
        queries=torch.eye(count, dtype=torch.float64),
        documents=scores.T.contiguous().requires_grad_(),
        positive=own,
        candidates=torch.stack([own, (own + 1) % count], dim=1),
        relevant=torch.zeros(count, count, dtype=torch.bool),
        teacher=None if teacher is None else torch.tensor(teacher, dtype=torch.float64),
    )


COSINES = [[0.8, 0.3, 0.1], [0.0, 0.6, 0.5], [0.2, -0.4, 0.9]]
TEACHER = [[4.0, -2.0], [1.0, 0.5], [3.0, -6.0]]


def test_the_listwise_loss_is_the_formula_with_the_square_of_the_temperature():
    batch = batch_of(COSINES, TEACHER)
    expected = 0.0
    for own, other, (first, second) in zip((0.8, 0.6, 0.9), (0.3, 0.5, 0.2), TEACHER, strict=True):
        target = np.exp([first, second]) / np.exp([first, second]).sum()
        student = np.exp(np.array([own, other]) / 0.2) / np.exp(np.array([own, other]) / 0.2).sum()
        expected += 0.04 * (target * np.log(target / student)).sum() / 3
    assert ListwiseKl(0.2)(batch).item() == pytest.approx(expected)


def test_the_listwise_gradient_of_a_cosine_is_at_most_the_temperature():
    batch = batch_of(COSINES, [[50.0, -50.0]] * 3)
    ListwiseKl(0.2)(batch).backward()
    assert 0 < batch.documents.grad.abs().max() * len(COSINES) <= 0.2


def test_a_student_that_says_what_the_teacher_says_costs_nothing():
    alike = [[(row[place] * 5), row[(place + 1) % 3] * 5] for place, row in enumerate(COSINES)]
    assert ListwiseKl(0.2)(batch_of(COSINES, alike)).item() == pytest.approx(0, abs=1e-12)


def test_the_contrastive_margin_is_the_shortfall_of_the_means():
    shortfalls = [0.7 - 0.5, 0.7 - 0.1, 0.0]
    assert ContrastiveMargin(0.7)(batch_of(COSINES)).item() == pytest.approx(np.mean(shortfalls))


def test_the_penalty_counts_the_whole_batch_and_each_query():
    whole = [0.15, 0, 0, 0.35, 0.05, 0]  # of 0.3, 0.1, 0.0, 0.5, 0.2, -0.4 above 0.15
    own = [0.15, 0.35, 0.05]
    assert NegativePenalty(0.15)(batch_of(COSINES)).item() == pytest.approx((np.mean(whole) + np.mean(own)) / 2)


def test_the_teacher_may_say_what_answers():
    batch = batch_of(COSINES, [[4.0, -2.0], [-1.0, 0.5], [3.0, float("nan")]])
    positives, negatives = marked(batch, "teacher")
    assert positives.tolist() == [[True, False], [False, True], [True, False]]
    assert negatives.tolist() == [[False, True], [True, False], [False, False]]
    # what the teacher holds for the second query's answer (0.5) is no negative of the batch: 0.15 of 0.3, 0.05 of 0.2, and three of 0
    whole, own = (0.15 + 0.05) / 5, (0.15 + 0.45) / 2
    assert NegativePenalty(0.15, "teacher")(batch).item() == pytest.approx((whole + own) / 2)


def test_the_total_is_the_weighted_sum_and_shares_add_up():
    found = DistillationLoss(DistillationLossSettings())(batch_of(COSINES, TEACHER))
    values = {name: part.value for name, part in found.parts.items()}
    assert found.total.item() == pytest.approx(values["kl"] + 0.3 * values["contrastive"] + 0.4 * values["negative_penalty"])
    assert sum(part.share for part in found.parts.values()) == pytest.approx(1)
    assert found.figures["positive_cosine"] == pytest.approx(np.mean([0.8, 0.6, 0.9]))


def test_the_in_batch_part_is_infonce_times_its_temperature():
    asked = DistillationLossSettings(in_batch_weight=2, in_batch_temperature=0.1)
    found = DistillationLoss(asked)(batch_of(COSINES, TEACHER))
    rows = np.array(COSINES) / 0.1
    expected = 0.1 * np.mean(np.log(np.exp(rows).sum(axis=1)) - np.diag(rows))
    assert found.parts["in_batch"].value == pytest.approx(expected)
    without = DistillationLoss(DistillationLossSettings())(batch_of(COSINES, TEACHER))
    assert "in_batch" not in without.parts
    assert found.total.item() == pytest.approx(without.total.item() + 2 * expected)


def test_without_a_teacher_there_is_nothing_to_learn():
    with pytest.raises(DataError, match="learns from a teacher's scores"):
        DistillationLoss(DistillationLossSettings())(batch_of(COSINES))


@given(count=strategies.integers(3, 12), dimensions=strategies.integers(2, 24), seed=strategies.integers(0, 2**32 - 1))
@settings(max_examples=60, deadline=None)
def test_no_batch_of_three_reaches_the_targets_on_the_normalised_scale(count, dimensions, seed):
    """⟨S, I - 2J/n⟩ ≤ n for any cosines S; the targets, 0.7 and -0.7 in cosines, need 0.7·(3n - 4), which is more."""
    chance = np.random.default_rng(seed)
    queries, answers = (chance.normal(size=(count, dimensions)) for _ in range(2))
    cosines = (queries / np.linalg.norm(queries, axis=1, keepdims=True)) @ (answers / np.linalg.norm(answers, axis=1, keepdims=True)).T
    witness = np.eye(count) - 2 / count
    needed = 0.7 * (3 * count - 4)
    assert (cosines * witness).sum() <= count + 1e-9 < needed
    wanted = np.where(np.eye(count, dtype=bool), 0.7, -0.7)
    assert (wanted * witness).sum() == pytest.approx(needed)
    assert not ((np.diag(normalised(cosines)) >= 0.85).all() and (normalised(cosines)[~np.eye(count, dtype=bool)] <= 0.15).all())


def test_uniformity_of_known_points():
    assert uniformity(np.array([[1.0, 0.0], [1.0, 0.0]], dtype=np.float32)) == pytest.approx(0)
    assert uniformity(np.array([[1.0, 0.0], [-1.0, 0.0]], dtype=np.float32)) == pytest.approx(-8)
    assert uniformity(np.eye(3, dtype=np.float32)) == pytest.approx(-4)


def test_order_and_threshold_of_known_scores():
    positives, negatives = np.array([0.9, 0.8, 0.2]), np.array([0.7, 0.2, 0.1, 0.0])
    assert chance_of_order(positives, negatives) == pytest.approx((4 + 4 + 2.5) / 12)
    assert best_threshold(positives, negatives) == {"score": 0.8, "f1": 0.8, "precision": 1.0, "recall": 0.6667}


# scored pair files


@pytest.fixture(scope="module")
def teacher(bases):
    asked = {"vocabulary": bases / "vocabulary", "layers": 1, "dimensions": 32, "heads": 2, "max_tokens": 64}
    return build_teacher(TeacherModelSettings.model_validate(asked), seed=7)


@pytest.fixture
def folder(collection, tmp_path):
    judged = collection.judgements["train"]
    folder = tmp_path / "collection"
    Collection(collection.name, collection.passages, collection.queries, {"train": judged, "dev": judged}, []).write(folder)
    ids = list(collection.passages)
    pairs = [TrainingPair(query_id=f"q{key}", query_text=collection.queries[f"q{key}"].text, positive_passages=[key]) for key in ids]
    others = [[other for other in ids if other != pair.positive_passages[0]] for pair in pairs]
    mined = [
        pair.model_copy(update={"hard_negatives": own[:2], "random_negatives": own[2:]}) for pair, own in zip(pairs, others, strict=True)
    ]
    write_pairs(folder / "pairs" / "train.jsonl", mined)
    return folder


KEEP_ALL = CandidateSettings(k=4, filter_share=None)


def scored_with(teacher, folder, collection, candidates=KEEP_ALL):
    pairs = folder / "pairs"
    return score_pairs(teacher, "t1", collection, pairs / "train.jsonl", pairs / "train-scored.jsonl", candidates)


def test_every_candidate_has_the_teachers_score(teacher, folder, collection):
    report = scored_with(teacher, folder, collection)
    written = list(read_pairs(folder / "pairs" / "train-scored.jsonl"))
    assert report.queries == len(written) == 5
    for pair in written:
        assert len(pair.hard_negatives) == 3  # two mined, one random to fill up
        assert set(pair.scores) == {*pair.positive_passages, *pair.hard_negatives}
        texts = [(pair.query_text, collection.passages[passage].passage_text) for passage in pair.scores]
        np.testing.assert_allclose(teacher.scores(texts), list(pair.scores.values()), atol=1e-4)


def test_what_the_teacher_holds_for_an_answer_is_left_out(folder, collection, teacher, monkeypatch):
    """Logits by hand: the answer 2, the negatives 3, 1, -1 and -4; 95 % of the answer's probability lies between 1 and 2."""
    monkeypatch.setattr(teacher, "scores", lambda texts, batch_size, **_: np.tile([2.0, 3.0, 1.0, -1.0, -4.0], len(texts) // 5))
    report = scored_with(teacher, folder, collection, CandidateSettings(k=4))
    assert report.left_out == 5
    for before, after in zip(
        read_pairs(folder / "pairs" / "train.jsonl"), read_pairs(folder / "pairs" / "train-scored.jsonl"), strict=True
    ):
        assert after.hard_negatives == [*before.hard_negatives, *before.random_negatives][1:]
    monkeypatch.setattr(teacher, "scores", lambda texts, batch_size, **_: np.zeros(len(texts)))
    with pytest.raises(DataError, match="every one of 20 negatives"):
        scored_with(teacher, folder, collection, CandidateSettings(k=5))


def test_scoring_that_was_stopped_goes_on_and_ends_the_same(teacher, folder, collection, monkeypatch):
    monkeypatch.setattr(scoring, "QUERIES_AT_ONCE", 2)
    scored_with(teacher, folder, collection)
    target = folder / "pairs" / "train-scored.jsonl"
    whole = target.read_bytes()
    target.unlink()
    ask, calls = teacher.scores, []

    def stop_at_the_second(texts, batch_size, **_):
        calls.append(len(texts))
        if len(calls) == 2:
            raise KeyboardInterrupt
        return ask(texts, batch_size)

    with monkeypatch.context() as patch:
        patch.setattr(teacher, "scores", stop_at_the_second)
        with pytest.raises(KeyboardInterrupt):
            scored_with(teacher, folder, collection)
    journal = target.with_name(f".{target.name}.journal")
    assert not target.exists()
    journal.write_text(journal.read_text() + '{"asked": 5, "pa')  # a line that the power cut left
    report = scored_with(teacher, folder, collection)
    assert report.resumed == 2
    assert target.read_bytes() == whole
    assert not journal.exists()
    again = scored_with(teacher, folder, collection)
    assert again.found_whole
    assert not scored_with(teacher, folder, collection, CandidateSettings(k=3, filter_share=None)).found_whole


def test_pairs_without_negatives_are_refused(teacher, folder, collection):
    source = folder / "pairs" / "train.jsonl"
    write_pairs(source, [pair.model_copy(update={"hard_negatives": [], "random_negatives": []}) for pair in read_pairs(source)])
    with pytest.raises(DataError, match="has negatives"):
        scored_with(teacher, folder, collection)


def test_settings_that_contradict_themselves_are_refused():
    given_ = {"teacher": "t", "model.base": "x", "collection": "c", "data": [{"pairs": "train"}]}
    quick = read_preset("quick", given_, DistillSettings, PRESETS)
    assert (quick.candidates.k, quick.candidates.max_samples, quick.model.max_passage_tokens, quick.training.batch_size) == (
        4,
        2000,
        128,
        16,
    )
    full = read_preset("full", given_, DistillSettings, PRESETS)
    assert (full.candidates.k, full.model.lora.r, full.training.batch_size, full.distillation.temperature) == (8, 32, 4, 0.2)
    with pytest.raises(UsageError, match=r"candidates\.k"):
        read_preset("quick", given_ | {"training.hard_negatives": 3}, DistillSettings, PRESETS)
    with pytest.raises(UsageError, match="distillation"):
        read_preset("quick", given_ | {"ranking.loss": "infonce", "ranking.temperature": 0.1}, DistillSettings, PRESETS)


def test_a_student_is_trained_resumed_and_measured(teacher, folder, bases, tmp_path):
    teacher.save(tmp_path / "teacher")
    asked = DistillSettings.model_validate(
        {
            "name": "tiny-student",
            "teacher": str(tmp_path / "teacher"),
            "collection": str(folder),
            "data": [{"pairs": "train"}],
            "model": {"vocabulary": bases / "vocabulary", "layers": 0, "dimensions": 32, "max_query_tokens": 24, "max_passage_tokens": 48},
            "candidates": {"k": 4, "filter_share": None},
            "training": {"max_steps": 8, "batch_size": 5, "learning_rate": 1e-3, "eval_steps": 4},
        }
    )
    collections = {folder: Collection.read(folder)}
    made = distill(asked, collections, tmp_path / "run")
    events = [event for event in made.trained.run.events() if "loss" in event]
    assert {"kl", "contrastive", "negative_penalty", "kl_share"} <= events[0].keys()
    assert events[-1]["loss"] < events[0]["loss"]
    facts = made.trained.run.metadata()
    assert facts["scored"]["train-scored"]["candidates"] == 20
    again = distill(asked, collections, tmp_path / "run", resume=True)
    assert next(iter(again.scored.values())).found_whole

    from dense_ko.encoder import BiEncoder

    data = collections[folder]
    asks_for_two = {"qp4": Query(id="qp4", text="세 달 안에 상속을 포기")}  # BM25 finds the passage on taxes as well
    data = replace(data, queries=data.queries | asks_for_two)
    found = measure_margins(BiEncoder(str(made.trained.model_folder)), data, "dev")
    found.write(tmp_path / "margins")
    report = json.loads((tmp_path / "margins" / "evaluation.json").read_text())
    raw, scaled = report["targets"]["raw"], report["targets"]["normalised"]
    assert scaled["mean_margin"] == pytest.approx(raw["mean_margin"] / 2, abs=1e-4)
    assert scaled["hard_negative_mean"] == pytest.approx((raw["hard_negative_mean"] + 1) / 2, abs=1e-4)
    assert report["positives"]["count"] == 5
    assert report["negatives"]["count"] >= 1
    assert report["random_negatives"]["count"] == 5 * 4
    for figure in ("cosines.png", "margins.png"):
        assert (tmp_path / "margins" / figure).read_bytes().startswith(b"\x89PNG")
