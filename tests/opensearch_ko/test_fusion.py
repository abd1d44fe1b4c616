"""Fusion on the client: by hand-worked numbers, by laws, and weights that are chosen on one split alone."""

import math
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from opensearch_ko.queries.fusion import LEAST, fuse, normalize, part_contributions
from opensearch_ko.queries.tuning import hybrid_mode, tune_weights, weight_choices
from retrieval_ko.collection import Collection
from retrieval_ko.errors import DataError, UsageError
from retrieval_ko.records import Passage, Query

TECHNIQUES = ["min_max", "l2", "z_score", "rrf"]
RANKING = [("a", 3.0), ("b", 2.0), ("c", 1.0)]
SCORES = st.floats(2**-6, 100, width=32)


def ranked(scores):
    return sorted(scores.items(), key=lambda hit: (-hit[1], hit[0]))


RANKINGS = st.dictionaries(st.sampled_from("abcdefgh"), SCORES, min_size=1).map(ranked)


@pytest.mark.parametrize(
    ("technique", "expected"),
    [
        ("min_max", {"a": 1.0, "b": 0.5, "c": LEAST}),
        ("l2", {"a": 3 / math.sqrt(14), "b": 2 / math.sqrt(14), "c": 1 / math.sqrt(14)}),
        ("z_score", {"a": 1.0, "b": 3.0, "c": LEAST}),  # σ = 1 over n − 1; b is the mean, and so gets the highest raw score
        ("rrf", {"a": 1 / 61, "b": 1 / 62, "c": 1 / 63}),
    ],
)
def test_numbers_worked_by_hand(technique, expected):
    assert normalize(RANKING, technique) == pytest.approx(expected)


@pytest.mark.parametrize(("technique", "expected"), [("min_max", 1.0), ("l2", 1 / math.sqrt(2)), ("z_score", 2.0)])
def test_equal_scores_are_equal(technique, expected):
    assert normalize([("a", 2.0), ("b", 2.0)], technique) == pytest.approx({"a": expected, "b": expected})


def test_a_passage_that_a_list_lacks_counts_nothing_there():
    assert part_contributions([RANKING, [("c", 5.0), ("d", 4.0)]], "min_max", (0.25, 0.75)) == {
        "a": [0.25, 0.0],
        "b": [0.125, 0.0],
        "c": [0.25 * LEAST, 0.75],
        "d": [0.0, 0.75 * LEAST],
    }


@given(RANKINGS, RANKINGS, st.sampled_from(TECHNIQUES), st.integers(0, 10))
def test_fusion_keeps_every_passage_once_and_in_order(first, second, technique, share):
    weights = (share / 10, 1 - share / 10)
    found = fuse([first, second], technique, weights)
    assert {passage for passage, _ in found} == {passage for passage, _ in [*first, *second]}
    assert all((-left[1], left[0]) < (-right[1], right[0]) for left, right in pairwise(found))
    shares = part_contributions([first, second], technique, weights)
    assert all(score == pytest.approx(sum(shares[passage])) for passage, score in found)


@given(RANKINGS, st.sampled_from(["l2", "rrf"]))
def test_a_ranking_fused_with_itself_stays_as_it_is(ranking, technique):
    distinct = [(passage, score) for passage, score in ranking if [other for _, other in ranking].count(score) == 1]
    order = [passage for passage, _ in fuse([ranking, ranking], technique)]
    assert [passage for passage in order if passage in dict(distinct)] == [passage for passage, _ in distinct]


def test_the_last_of_a_list_may_overtake_the_last_but_one_under_min_max():
    assert fuse([[("a", 63.0), ("b", 0.125), ("c", 0.0625)]] * 2, "min_max") == [
        ("a", 1.0),
        ("c", LEAST),
        ("b", pytest.approx(0.0625 / 62.9375)),
    ]


@given(RANKINGS, RANKINGS, st.sampled_from(["min_max", "l2"]), st.sampled_from([0.25, 2.0, 1024.0]))
def test_the_scale_of_a_list_does_not_matter(first, second, technique, scale):
    scaled = [(passage, score * scale) for passage, score in first]
    assert dict(fuse([scaled, second], technique)) == pytest.approx(dict(fuse([first, second], technique)))


@pytest.mark.parametrize("weights", [(0.5, 0.4), (1.0,), (0.3, 0.3, 0.4)])
def test_weights_that_do_not_fit_are_refused(weights):
    with pytest.raises(UsageError, match="weights"):
        fuse([RANKING, RANKING], "min_max", weights)


def test_an_empty_list_takes_no_part():
    assert fuse([RANKING, []], "min_max", (0.5, 0.5)) == [("a", 0.5), ("b", 0.25), ("c", 0.5 * LEAST)]
    assert fuse([[], []], "rrf") == []


@pytest.mark.parametrize(("parts", "count"), [(2, 9), (3, 36)])
def test_weights_are_tried_in_tenths_with_every_part_heard(parts, count):
    choices = list(weight_choices(parts))
    assert len(choices) == len(set(choices)) == count
    assert all(sum(weights) == pytest.approx(1) and min(weights) >= 0.1 for weights in choices)


def judged_collection(*, judged="passage"):
    """Five dev queries whose answer one part ranks first and the other last."""
    passages = {f"p{number}": Passage(id=f"p{number}", text="글", metadata={"parent_id": f"q{number % 5}"}) for number in range(10)}
    queries = {f"{split}{number}": Query(id=f"{split}{number}", text="말") for split in ("dev", "test") for number in range(5)}
    name = "p" if judged == "passage" else "q"
    dev = {f"dev{number}": {f"{name}{number}": 1} for number in range(5)}
    test = {f"test{number}": {f"{name}{4 - number}": 1} for number in range(5)}
    return Collection("tuned", passages, queries, {"dev": dev, "test": test}, judged=judged)


def good_and_bad(collection):
    good, bad = {}, {}
    for query in collection.judgements["dev"]:
        answer = f"p{query.removeprefix('dev')}"
        others = [passage for passage in collection.passages if passage != answer]
        good[query] = [(answer, 10.0), *((passage, 9.0 - place / 10) for place, passage in enumerate(others))]
        bad[query] = [*((passage, 10.0 - place / 10) for place, passage in enumerate(others)), (answer, 1.0)]
    return good, bad


@pytest.mark.parametrize("judged", ["passage", "parent"])
@pytest.mark.parametrize("technique", ["min_max", "l2", "rrf"])
def test_the_part_that_knows_better_gets_the_weight(technique, judged):
    collection = judged_collection(judged=judged)
    good, bad = good_and_bad(collection)
    for rankings, better in (((good, bad), 0), ((bad, good), 1)):
        tuned = tune_weights(rankings, collection, "dev", technique)
        assert tuned.weights[better] > tuned.weights[1 - better]
        assert tuned.ndcg == pytest.approx(1.0)
        assert tuned.ndcg_equal <= tuned.ndcg


def test_among_equals_the_weights_stay_alike():
    collection = judged_collection()
    good, _ = good_and_bad(collection)
    assert tune_weights([good, good], collection, "dev", "min_max").weights == (0.5, 0.5)


def test_only_the_named_split_is_read():
    collection = judged_collection()
    rankings = good_and_bad(collection)
    before = tune_weights(rankings, collection, "dev", "min_max")
    collection.judgements["test"] = {}
    assert tune_weights(rankings, collection, "dev", "min_max") == before
    with pytest.raises(DataError, match="nowhere"):
        tune_weights(rankings, collection, "nowhere", "min_max")


def test_a_hybrid_is_found_by_its_parts_in_any_order():
    assert hybrid_mode(["sparse", "bm25"], "z_score").name == "hybrid-bm25-sparse-zscore"
    for parts in (["bm25"], ["bm25", "bm25"], ["bm25", "seismic"], []):
        with pytest.raises(UsageError, match="No hybrid"):
            hybrid_mode(parts, "rrf")
