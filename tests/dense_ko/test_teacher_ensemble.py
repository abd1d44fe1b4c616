"""The ensemble teacher: earlier citations with a query's own pairs left out, weights by in-list softmax, a folder bound to its data."""

import json
import math

import numpy as np
import pytest
from hypothesis import given, settings, strategies
from scipy.special import expit
from typer.testing import CliRunner

from dense_ko.distillation.scoring import score_pairs
from dense_ko.distillation.settings import CandidateSettings
from dense_ko.teacher.asked import Asked
from dense_ko.teacher.citations import Cited, CitedNeighbours
from dense_ko.teacher.ensemble import EnsembleRecipe, EnsembleTeacher, load_ensemble, signals_of
from dense_ko.teacher.fitting import FitQuery, fit_ensemble, queries_of_pairs
from dense_ko.teacher.signals import ModelSignal
from retrieval_ko.collection import Collection
from retrieval_ko.errors import DataError, ModelError, UsageError
from retrieval_ko.pairs.training_pairs import read_pairs, write_pairs
from retrieval_ko.records import Query, TrainingPair
from sparse_ko_cli.lexdpr import app

EARLIER = [
    Cited("q1", "전세 보증금을 돌려받지 못한 임차인", "case-1", ("p1",)),
    Cited("q2", "전세 보증금을 돌려받지 못한 임차인의 권리", "case-2", ("p1", "p4")),
    Cited("q3", "법인세를 신고할 기한", "case-3", ("p2",)),
    Cited("q4", "법인세를 신고하지 않은 때", "case-1", ("p2", "p3")),
]


@pytest.fixture(scope="module")
def neighbours():
    return CitedNeighbours(EARLIER)


def test_a_training_query_does_not_hear_its_own_pair_nor_its_case(neighbours):
    own = neighbours.votes("q1", EARLIER[0].text, "case-1")
    assert own.together.keys() == {"p1", "p4"}  # of q2; q4, of the same case, is silent as q1 is
    assert [own.citations(passage) for passage in ("p1", "p2", "p3", "p4")] == [1, 1, 0, 1]


def test_the_same_words_under_another_id_are_left_out(neighbours):
    strange = neighbours.votes("new", f" {EARLIER[0].text}\n")
    assert strange.citations("p1") == 1
    assert max(strange.nearest.values()) < 1


def test_a_query_that_was_never_seen_hears_all(neighbours):
    votes = neighbours.votes("", "전세 보증금")
    assert votes.nearest["p1"] > 0.2
    assert votes.together["p1"] > votes.together["p4"]  # cited by both neighbours, not by one
    assert [votes.citations(passage) for passage in ("p1", "p2", "p3", "p5")] == [2, 2, 1, 0]
    assert not neighbours.votes("", "qqq").together


def test_cosines_are_those_of_the_formula():
    """Three queries of one term each way: ab, ab cd, cd; term weights ln(1 + 3/2) each, so the cosine of `ab` and `ab cd` is 1/√2."""
    three = CitedNeighbours([Cited("1", "ab", "", ("x",)), Cited("2", "ab cd", "", ("y",)), Cited("3", "cd", "", ("z",))])
    votes = three.votes("", "ab ab")  # said twice: 1 + ln 2, and length 1 again
    assert votes.nearest == pytest.approx({"x": 1.0, "y": 1 / math.sqrt(2)})
    assert votes.together == pytest.approx({"x": 1.0, "y": 0.5})


@given(strategies.permutations(EARLIER), strategies.integers(1, 4))
@settings(max_examples=25, deadline=None)
def test_what_neighbours_say_depends_on_no_order(order, count):
    first, second = CitedNeighbours(EARLIER, neighbours=4), CitedNeighbours(order, neighbours=4)
    asked = ("", "법인세 신고 임차인", "")
    assert first.votes(*asked).together == pytest.approx(second.votes(*asked).together)
    assert len(CitedNeighbours(order, neighbours=count).votes(*asked).together) <= 4


class Fixed:
    """A signal that says what it is told."""

    def __init__(self, name, table):
        self.names, self._table = (name,), table

    def values(self, asked):
        return [np.array([[self._table[one.query, passage]] for passage in one.passages], dtype=float) for one in asked]

    def proposed(self, query, text, count):
        return [passage for asked, passage in self._table if asked == query][:count]


def test_the_fit_finds_the_signal_that_knows_and_a_bias_that_is_a_probability():
    chance = np.random.default_rng(5)
    queries = [f"q{number}" for number in range(60)]
    passages = [f"p{number}" for number in range(6)]
    answers = {query: passages[chance.integers(6)] for query in queries}
    knows = Fixed(
        "knows", {(query, passage): 2.0 * (answers[query] == passage) + chance.normal() for query in queries for passage in passages}
    )
    noise = Fixed("noise", {(query, passage): chance.normal() for query in queries for passage in passages})
    asked = [FitQuery(query, query, frozenset({answers[query]})) for query in queries]
    fitted = fit_ensemble([knows, noise], asked)
    weights = fitted.teacher.weights
    assert weights["knows"] > 1  # the likelihood ratio of two normals 2 apart: 2
    assert abs(weights["noise"]) < 0.5
    logits = fitted.teacher.score_candidates([Asked(query, query, passages) for query in queries], {})
    assert expit(np.array(logits)).mean() == pytest.approx(1 / 6, abs=1e-4)
    assert fitted.facts["used"] == 60


def test_queries_whose_answers_nobody_brings_up_are_counted_and_none_is_an_error():
    table = Fixed("s", {("q", "a"): 1.0, ("q", "b"): 0.0, ("r", "a"): 1.0})
    asked = [FitQuery("q", "q", frozenset({"a"})), FitQuery("r", "r", frozenset({"z"}))]
    assert fit_ensemble([table], asked).facts == {"queries": 2, "used": 1, "candidates": 2, "first_is_answer": 1.0}
    with pytest.raises(DataError, match="Of 1 queries none has an answer"):
        fit_ensemble([table], asked[1:])


def test_an_encoder_speaks_with_its_dot_products(collection, build):
    encoder = build(layers=0)
    signal = ModelSignal("model x", encoder, collection.passages, scale=2.0)
    found = signal.values([Asked("a", "전세 보증금", ["p2", "p1"]), Asked("b", "최저임금", []), Asked("c", "최저임금", ["p3"])])
    texts = [collection.passages[passage].passage_text for passage in ("p2", "p1")]
    expected = encoder.encode_queries(["전세 보증금"]) @ encoder.encode_passages(texts).T / 2
    np.testing.assert_allclose(found[0][:, 0], expected[0], atol=1e-5)
    assert [part.shape for part in found] == [(2, 1), (0, 1), (1, 1)]


# a folder


@pytest.fixture(scope="module")
def folder(collection, tmp_path_factory):
    """A collection with its pairs twice, asked a little differently by another case."""
    folder = tmp_path_factory.mktemp("ensemble") / "collection"
    ids = list(collection.passages)
    queries = dict(collection.queries)
    pairs = []
    for passage in ids:
        text = collection.queries[f"q{passage}"].text
        queries[f"r{passage}"] = Query(id=f"r{passage}", text=f"{text} 문의", metadata={"group": f"case-{passage}"})
        for query in (f"q{passage}", f"r{passage}"):
            others = [other for other in ids if other != passage]
            asked = queries[query].text
            pairs.append(TrainingPair(query_id=query, query_text=asked, positive_passages=[passage], hard_negatives=others[:2]))
    judged = {pair.query_id: {pair.positive_passages[0]: 1} for pair in pairs}
    Collection("tiny", collection.passages, queries, {"train": judged, "dev": judged}, []).write(folder)
    write_pairs(folder / "pairs" / "train.jsonl", pairs)
    return folder


def call(*arguments):
    return CliRunner(env={"COLUMNS": "300", "TERM": "dumb"}).invoke(app, [str(argument) for argument in arguments])


@pytest.fixture(scope="module")
def fitted(folder, tmp_path_factory):
    target = tmp_path_factory.mktemp("teachers") / "ensemble"
    answer = call("teacher", "fit", "--collection", folder, "--out", target, "--json")
    assert answer.exit_code == 0, answer.output
    return target, json.loads(answer.stdout)


def test_fitting_says_weights_and_what_it_saw(fitted):
    _, said = fitted
    assert said["weights"].keys() == {"bm25", "nearest", "together", "citations"}
    assert (said["queries"], said["on"]) == (10, "train")
    assert 0 < said["used"] <= 10  # where only the answer is brought up there is nothing to weigh
    assert said["first_is_answer"] == 1.0


def test_a_teacher_from_its_folder_scores_as_the_fitted_one(fitted, folder):
    target, _ = fitted
    data, pairs = Collection.read(folder), list(read_pairs(folder / "pairs" / "train.jsonl"))
    again = fit_ensemble(signals_of(EnsembleRecipe(), data, pairs), queries_of_pairs(data, pairs, 1000)).teacher
    loaded = load_ensemble(target, data, folder)
    asked = [Asked(pair.query_id, pair.query_text, list(data.passages)) for pair in pairs]
    np.testing.assert_allclose(loaded.score_candidates(asked, {}), again.score_candidates(asked, {}), atol=1e-6)
    assert loaded.rank("qp2", data.queries["qp2"].text, 1)[0][0] == "p2"


def test_an_ensemble_scores_pairs_with_candidates_of_its_own(fitted, folder):
    target, _ = fitted
    answer = call("teacher", "score", "--model", target, "--collection", folder, "--k", 4, "--own", 2, "--filter-share", 0)
    assert answer.exit_code == 0, answer.output
    data = Collection.read(folder)
    teacher = load_ensemble(target, data, folder)
    scored = list(read_pairs(folder / "pairs" / "train-scored.jsonl"))
    assert len(scored) == 10
    for pair in scored:
        ranking = [passage for passage, _ in teacher.rank(pair.query_id, pair.query_text, 5) if passage not in pair.positive_passages]
        assert pair.hard_negatives[: len(ranking[:2])] == ranking[:2]
        assert set(pair.scores) == {*pair.positive_passages, *pair.hard_negatives}
        assert pair.scores[pair.positive_passages[0]] == max(pair.scores.values())


def test_an_ensemble_is_evaluated_alone_and_over_bm25(fitted, folder):
    target, _ = fitted
    answer = call("teacher", "evaluate", "--model", target, "--collection", folder, "--depth", 5, "--json")
    assert answer.exit_code == 0, answer.output
    found = json.loads(answer.stdout)
    assert [row["system"] for row in found["systems"]] == ["bm25-bigram", "bm25-bigram+teacher", "teacher alone"]
    assert found["systems"][-1]["ndcg@10"] == 1.0


def test_a_cross_encoder_is_not_asked_for_candidates_of_its_own(folder, tmp_path):
    class Reads:
        out_of_memory = 0

        def score_candidates(self, asked, passages, batch_size=32, *, on_progress=None):
            raise AssertionError("it must not come to that")

    pairs = folder / "pairs" / "train.jsonl"
    with pytest.raises(UsageError, match="finds no candidates"):
        score_pairs(Reads(), "t", Collection.read(folder), pairs, tmp_path / "scored.jsonl", CandidateSettings(own=2))


def test_other_pairs_than_it_was_fitted_to_are_refused(fitted, folder, collection, tmp_path):
    target, _ = fitted
    data = Collection.read(folder)
    data.write(tmp_path / "other")
    with pytest.raises(DataError, match="no pair file"):
        load_ensemble(target, data, tmp_path / "other")
    write_pairs(tmp_path / "other" / "pairs" / "train.jsonl", list(read_pairs(folder / "pairs" / "train.jsonl"))[:3])
    with pytest.raises(DataError, match="fitted to other pairs"):
        load_ensemble(target, data, tmp_path / "other")


def test_a_changed_encoder_a_damaged_card_and_a_foreign_folder_are_refused(folder, saved, tmp_path):
    answer = call(
        "teacher", "fit", "--collection", folder, "--model", saved / "static", "--split", "dev", "--out", tmp_path / "e", "--json"
    )
    assert answer.exit_code == 0, answer.output
    assert "model static" in json.loads(answer.stdout)["weights"]
    card = tmp_path / "e" / "ensemble.json"
    said = json.loads(card.read_text())
    said["recipe"]["models"]["model static"]["sha256"] = "0" * 64
    card.write_text(json.dumps(said))
    with pytest.raises(ModelError, match="is not the one"):
        load_ensemble(tmp_path / "e", Collection.read(folder), folder)
    card.write_text("{}")
    with pytest.raises(DataError, match="recipe"):
        load_ensemble(tmp_path / "e", Collection.read(folder), folder)
    (tmp_path / "mine").mkdir()
    refused = call("teacher", "fit", "--collection", folder, "--out", tmp_path / "mine")
    assert (refused.exit_code, "is no ensemble" in refused.stderr) == (2, True)


def test_an_empty_list_of_candidates_is_no_fault(folder):
    data = Collection.read(folder)
    pairs = list(read_pairs(folder / "pairs" / "train.jsonl"))
    teacher = EnsembleTeacher(signals_of(EnsembleRecipe(), data, pairs), dict.fromkeys(("bm25", "nearest", "together", "citations"), 1.0))
    assert teacher.score_candidates([Asked("", "전세", [])], {}) == [[]]
    assert teacher.rank("", "qqqq", 5) == []
