"""The verdict on recorded runs of a tiny sparse encoder, one of which went well, and on what may go wrong besides.

recorded_runs/ holds 40 steps on the twelve passages of tests/sparse_ko (static body, 16 dimensions), figures rounded: good (learning rate
1e-3), flat (1e-9), diverging (30, no clipping), nan (1e30), killed (SIGKILL at step 19).
"""

import json
import math
import shutil
from pathlib import Path

import pytest

from retrieval_ko.runs import Run
from retrieval_ko.runs.verdict import Thresholds, judge_run

RECORDED = Path(__file__).parent / "recorded_runs"
STEPS_OF_CHECKPOINTS = {"good": [40], "flat": [40], "diverging": [40], "killed": [16], "nan": []}


@pytest.fixture
def recorded(tmp_path):
    def copy(name):
        folder = tmp_path / name
        shutil.copytree(RECORDED / name, folder)
        for step in STEPS_OF_CHECKPOINTS[name]:
            (folder / f"checkpoint-{step}").mkdir()
            (folder / "model").mkdir()
        return Run(folder)

    return copy


@pytest.fixture
def made(tmp_path):
    """A run with made-up curves: 50 train losses, 6 measurements."""

    def make(train=lambda x: 4 - 3 * x, valid=lambda x: 4 - 2 * x, ndcg=lambda x: 0.4 + 0.3 * x, state="finished", **also):
        folder = tmp_path / "made"
        (folder / "checkpoint-50").mkdir(parents=True)
        (folder / "model").mkdir()
        (folder / "metadata.json").write_text(json.dumps({"state": state, "started_at": "2026-01-01T00:00:00+00:00"}))
        events = [{"step": 0, "dev_ndcg@10": ndcg(0.0), "dev_loss": valid(0.0)}]
        for step in range(1, 51):
            events.append({"step": step, "loss": train(step / 50)})
            if step % 10 == 0:
                events.append({"step": step, "dev_ndcg@10": ndcg(step / 50), "dev_loss": valid(step / 50)} | also)
        (folder / "events.jsonl").write_text("".join(json.dumps(event) + "\n" for event in events))
        return Run(folder)

    return make


def bad_signs(verdict):
    return {sign.name for sign in verdict.signs if sign.good is False}


def test_the_good_run_is_good_in_every_sign(recorded):
    verdict = judge_run(recorded("good"))
    assert verdict.outcome == "good"
    assert all(sign.good for sign in verdict.signs)


@pytest.mark.parametrize(
    ("name", "signs"),
    [
        ("flat", {"train loss", "quality"}),
        ("diverging", {"valid loss", "together", "quality"}),
        ("nan", {"state", "checkpoint", "train loss", "quality"}),
        ("killed", {"state"}),
    ],
)
def test_each_bad_run_is_bad_for_its_own_reason(recorded, name, signs):
    verdict = judge_run(recorded(name))
    assert verdict.outcome == "bad"
    assert bad_signs(verdict) == signs


def test_a_sign_says_what_it_saw(recorded):
    saw = {sign.name: sign.saw for sign in judge_run(recorded("nan")).signs}
    assert "not a number any more at step 3" in saw["state"]
    assert "no checkpoint" in saw["checkpoint"]


def test_made_up_curves_that_are_good_are_good(made):
    assert judge_run(made()).outcome == "good"


@pytest.mark.parametrize(
    ("curves", "signs"),
    [
        ({"ndcg": lambda x: 0.4}, {"together", "quality"}),  # the loss falls, the metrics stay flat
        ({"train": lambda x: 2 + 3 * x}, {"train loss", "together"}),  # the metrics rise, the loss diverges
        ({"train": lambda x: 4 - 6 * x if x < 0.5 else 6 * x - 2}, {"train loss", "together"}),  # it fell, and gave everything back
        ({"valid": lambda x: 4 + 2 * x}, {"valid loss", "together"}),  # a gap that grows
        ({"valid": lambda x: 4 - 2 * x if x < 0.5 else 1.7 + 2.6 * x}, {"valid loss"}),  # it turned
        ({"ndcg": lambda x: 0.4 + x if x < 0.5 else 0.3}, {"quality"}),  # it collapsed
        ({"ndcg": lambda x: 0.4 + 0.7 * x}, {"numbers"}),  # nDCG above 1
        ({"valid": lambda x: math.nan if x > 0.9 else 4 - x}, {"numbers"}),
        ({"state": "failed"}, {"state"}),
        ({"state": "crashed"}, {"state"}),
    ],
)
def test_every_sign_of_failure_is_seen(made, curves, signs):
    assert bad_signs(judge_run(made(**curves))) == signs


def test_a_valid_loss_that_sparsity_lifts_a_little_is_no_failure(made):
    assert judge_run(made(valid=lambda x: 4 + 0.3 * x)).outcome == "good"


def test_the_ranking_part_counts_where_the_total_rises_with_the_weight_of_sparsity(made):
    run = made(train=lambda x: 2 + 3 * x)
    events = [event | ({"ranking": 4 - 3 * event["step"] / 50} if "loss" in event else {}) for event in run.events()]
    (run.folder / "events.jsonl").write_text("".join(json.dumps(event) + "\n" for event in events))
    assert judge_run(run).outcome == "good"


def test_the_bar_of_a_full_run_is_asked_for(recorded):
    run = recorded("good")
    assert judge_run(run, Thresholds(least=0.93)).outcome == "good"
    assert bad_signs(judge_run(run, Thresholds(least=0.94))) == {"quality"}


def test_a_run_without_a_checkpoint_or_a_model_is_bad(made):
    run = made()
    (run.folder / "model").rmdir()
    assert bad_signs(judge_run(run)) == {"checkpoint"}
    (run.folder / "checkpoint-50").rmdir()
    assert "no checkpoint and no model/" in next(sign.saw for sign in judge_run(run).signs if sign.name == "checkpoint")


def test_a_run_that_has_only_begun_is_not_judged_yet(tmp_path):
    run = Run.begin(tmp_path / "run", {}, seed=1, data={})
    assert judge_run(run).outcome == "running"
    run.record(step=1, loss=math.inf)
    assert judge_run(run).outcome == "bad"


def test_nothing_left_to_gain_is_no_failure(made):
    verdict = judge_run(made(ndcg=lambda x: 1.0))
    assert verdict.outcome == "good"
    assert "too easy" in next(sign.saw for sign in verdict.signs if sign.name == "quality")


def test_masked_language_models_are_judged_by_their_accuracy(made):
    run = made()
    text = (run.folder / "events.jsonl").read_text().replace("dev_ndcg@10", "dev_accuracy")
    (run.folder / "events.jsonl").write_text(text)
    verdict = judge_run(run)
    assert verdict.outcome == "good"
    assert any("dev_accuracy" in sign.saw for sign in verdict.signs)
