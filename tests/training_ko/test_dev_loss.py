"""The valid loss, by hand; dev figures and the values behind them; what stands in an event."""

import json
import math
from dataclasses import replace

import pytest
import torch

from retrieval_ko.collection import Collection
from retrieval_ko.evaluation.judging import judge
from retrieval_ko.evaluation.per_query import read_values
from retrieval_ko.records import Passage, Query
from retrieval_ko.runs import Run
from retrieval_ko.runs.comparison import DEV_QUERIES
from training_ko.dev_figures import METRICS, DevFigures, dev_hash, dev_means
from training_ko.dev_loss import DevLoss, dev_ranking_loss
from training_ko.losses.infonce import InfoNce
from training_ko.losses.margin_ranking import MarginRanking
from training_ko.recording import nested
from training_ko.settings import RankingSettings


def collection_of(relevant, **changes):
    passages = {name: Passage(id=name, text=f"문단 {name}") for name in ("p0", "p1", "p2", "p3")}
    queries = {name: Query(id=name, text=f"물음 {name}") for name in relevant}
    return replace(Collection("tiny", passages, queries, {"dev": relevant}), **changes)


def embedding(queries, passages):
    return lambda rows, names: (torch.tensor(queries[rows]), torch.tensor([passages[name] for name in names]))


def test_the_loss_of_one_batch_by_hand():
    queries, passages = [[1.0, 0.0], [0.0, 2.0]], {"p0": [1.0, 0.0], "p1": [1.0, 1.0]}
    loss = DevLoss(collection_of({"q0": {"p0": 1}, "q1": {"p1": 1}}), "dev", InfoNce(1.0), 8)
    # scores: q0 has 1 and 1, q1 has 0 and 2
    expected = (math.log(2) + math.log(1 + math.exp(-2))) / 2
    assert loss(embedding(queries, passages)) == pytest.approx(expected)


def test_another_answer_of_a_query_is_no_negative():
    queries, passages = [[1.0], [1.0]], {"p0": [1.0], "p1": [5.0]}
    relevant = {"q0": {"p0": 1, "p1": 1}, "q1": {"p1": 1}}
    loss = DevLoss(collection_of(relevant), "dev", InfoNce(1.0), 8)
    assert loss(embedding(queries, passages)) == pytest.approx((0 + math.log(1 + math.exp(-4))) / 2, rel=1e-4)


def test_the_last_batch_counts_by_its_size():
    queries = [[1.0], [2.0], [3.0]]
    passages = {"p0": [1.0], "p1": [0.5], "p2": [0.1]}
    relevant = {f"q{n}": {f"p{n}": 1} for n in range(3)}
    one, two = (DevLoss(collection_of(relevant), "dev", InfoNce(1.0), size) for size in (1, 2))
    assert one(embedding(queries, passages)) == 0  # no negatives at all
    pair = (math.log(1 + math.exp(0.5 - 1)) + math.log(1 + math.exp(2 - 1))) / 2
    assert two(embedding(queries, passages)) == pytest.approx(pair * 2 / 3)


def test_where_parents_are_judged_any_of_their_passages_answers():
    passages = {name: Passage(id=name, text=name, metadata={"parent_id": parent}) for name, parent in (("x", "A"), ("y", "A"), ("z", "B"))}
    queries = {name: Query(id=name, text=name) for name in ("q0", "q1")}
    collection = Collection("parents", passages, queries, {"dev": {"q0": {"A": 1}, "q1": {"B": 1}}}, judged="parent")
    loss = DevLoss(collection, "dev", InfoNce(1.0), 8)
    found = loss(embedding([[1.0], [1.0]], {"x": [0.0], "y": [9.0], "z": [0.0]}))
    assert found == pytest.approx(math.log(2))


def test_a_loss_that_needs_a_teacher_is_infonce_on_dev():
    assert isinstance(dev_ranking_loss(RankingSettings(loss="margin")), MarginRanking)
    for name in ("infonce", "margin-mse", "kl"):
        found = dev_ranking_loss(RankingSettings(loss=name, temperature=3.0))
        assert isinstance(found, InfoNce)
        assert found.temperature == 3.0


RELEVANT = {"q0": {"p0": 1}, "q1": {"p1": 2, "p2": 0}}


def test_the_hash_of_dev_depends_on_what_is_measured_and_on_no_order():
    collection = collection_of(RELEVANT)
    same = replace(
        collection,
        passages=dict(reversed(collection.passages.items())),
        judgements={"dev": dict(reversed(RELEVANT.items()))},
    )
    assert dev_hash(same, "dev") == dev_hash(collection, "dev")
    others = [
        collection_of({**RELEVANT, "q1": {"p1": 1, "p2": 0}}),
        collection_of({**RELEVANT, "q1": {"p1": 2}}),
        collection_of(RELEVANT, passages={**collection.passages, "p0": Passage(id="p0", text="다른 글")}),
        collection_of(RELEVANT, queries={**collection.queries, "q0": Query(id="q0", text="다른 물음")}),
        collection_of(RELEVANT, passages={name: passage for name, passage in collection.passages.items() if name != "p3"}),
    ]
    assert len({dev_hash(one, "dev") for one in [collection, *others]}) == 6


def test_what_is_kept_is_what_the_means_are_of(tmp_path):
    collection = collection_of(RELEVANT)
    result = judge("dev", {"q0": [("p1", 2.0), ("p0", 1.0)], "q1": [("p1", 1.0)]}, collection, "dev")
    figures = DevFigures({**dev_means(result), "dev_loss": 1.5}, result, collection, "dev")
    run = Run.begin(tmp_path / "run", {}, seed=1, data={})
    figures.keep(run)
    kept = read_values(run.folder / DEV_QUERIES)
    for metric in METRICS:
        assert sum(kept[metric].values()) / 2 == pytest.approx(figures[f"dev_{metric}"], abs=1e-6)
    assert kept["ndcg@10"]["q0"] == pytest.approx(1 / math.log2(3), abs=1e-6)
    assert run.metadata()["dev"] == {
        "collection": "tiny",
        "split": "dev",
        "queries": 2,
        "passages": 4,
        "sha256": dev_hash(collection, "dev"),
    }
    assert json.loads(json.dumps(figures)) == dict(figures)


def test_an_event_has_dev_figures_flat_and_nested():
    assert nested({"dev_ndcg@10": 0.5, "dev_recall@5": 0.25, "dev_loss": 2.0, "epoch": 1.0}) == {
        "eval": {"ndcg_at_10": 0.5, "recall_at_5": 0.25, "loss": 2.0}
    }
    assert nested({"loss": 1.0, "grad_norm": 2.0}) == {}
