"""The metrics are what one gets with pencil and paper, and a difference by chance is called chance."""

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from retrieval_ko.evaluation.metrics import score
from retrieval_ko.evaluation.significance import paired_p_value

JUDGEMENTS = {
    "q1": {"a": 1},
    "q2": {"a": 2, "b": 1, "c": 0},
    "q3": {"x": 1, "y": 1},
}
RANKINGS = {
    "q1": [("b", 3.0), ("a", 2.0)],  # the one relevant passage second
    "q2": [("b", 9.0), ("c", 8.0), ("a", 7.0)],  # grades 1, 0, 2
    "q3": [(f"n{place}", 20.0 - place) for place in range(10)] + [("x", 1.0)],  # x on place 11, y nowhere
}
DISCOUNT = {place: 1 / math.log2(place + 1) for place in range(1, 12)}


def test_ndcg_by_hand():
    values = score(RANKINGS, JUDGEMENTS).by_query["ndcg@10"]
    assert values["q1"] == pytest.approx(DISCOUNT[2])
    assert values["q2"] == pytest.approx((1 * DISCOUNT[1] + 2 * DISCOUNT[3]) / (2 * DISCOUNT[1] + 1 * DISCOUNT[2]))
    assert values["q3"] == 0


def test_mrr_and_recall_by_hand():
    scores = score(RANKINGS, JUDGEMENTS)
    assert scores.by_query["mrr@10"] == pytest.approx({"q1": 1 / 2, "q2": 1, "q3": 0})
    assert scores.by_query["recall@10"] == pytest.approx({"q1": 1, "q2": 1, "q3": 0})
    assert scores.by_query["recall@100"] == pytest.approx({"q1": 1, "q2": 1, "q3": 1 / 2})
    assert scores.by_query["map@100"] == pytest.approx({"q1": 1 / 2, "q2": (1 / 1 + 2 / 3) / 2, "q3": (1 / 11) / 2})
    assert scores.mean["mrr@10"] == pytest.approx((1 / 2 + 1 + 0) / 3)


@pytest.mark.parametrize("silence", [{}, {"q3": []}])
def test_a_judged_query_without_a_ranking_counts_zero(silence):
    scores = score({"q1": [("a", 1.0)], "q2": [("a", 2.0), ("b", 1.0)], **silence}, JUDGEMENTS)
    assert scores.by_query["ndcg@10"] == pytest.approx({"q1": 1, "q2": 1, "q3": 0})
    assert scores.mean["ndcg@10"] == pytest.approx(2 / 3)


def test_a_system_that_never_answers_has_zero_everywhere():
    assert set(score({}, JUDGEMENTS).mean.values()) == {0.0}


def test_queries_that_nobody_judged_or_that_have_nothing_relevant_do_not_count():
    rankings = {"q1": [("a", 1.0)], "unjudged": [("a", 1.0)], "hopeless": [("a", 1.0)]}
    scores = score(rankings, {"q1": {"a": 1}, "hopeless": {"a": 0}})
    assert scores.by_query["ndcg@10"] == {"q1": 1.0}


def test_the_order_of_equal_scores_is_the_order_that_is_scored():
    assert score({"q1": [("b", 1.0), ("a", 1.0)]}, {"q1": {"a": 1}}).mean["mrr@10"] == 1 / 2
    assert score({"q1": [("a", 1.0), ("b", 1.0)]}, {"q1": {"a": 1}}).mean["mrr@10"] == 1


def test_identical_systems_differ_by_nothing():
    values = {f"q{number}": number / 10 for number in range(10)}
    assert paired_p_value(values, dict(values)) == 1.0


def test_three_queries_cannot_prove_anything():
    # of the 2³ ways to choose the signs, two are as extreme as all three the same
    assert paired_p_value({"a": 0.5, "b": 0.6, "c": 0.9}, {"a": 0.1, "b": 0.1, "c": 0.1}) == pytest.approx(2 / 8)


def test_forty_queries_that_all_gain_are_no_chance():
    # exactly 2 / 2⁴⁰; with 10,000 resamples it can't be told apart from the smallest that these can show
    first = {f"q{number}": 0.5 for number in range(40)}
    assert paired_p_value(first, dict.fromkeys(first, 0.1)) <= 2 / 10_001 + 1e-12


def test_as_many_gains_as_losses_are_chance():
    first = {f"q{number}": 0.5 + 0.1 * (-1) ** number for number in range(40)}
    assert paired_p_value(first, dict.fromkeys(first, 0.5)) == pytest.approx(1, abs=0.01)


@settings(max_examples=20, deadline=None)
@given(st.dictionaries(st.text("ab", max_size=3), st.tuples(st.integers(0, 4), st.integers(0, 4)), min_size=2, max_size=8))
def test_the_test_does_not_care_which_system_comes_first(values):
    first, second = ({query: pair[side] / 4 for query, pair in values.items()} for side in (0, 1))
    assert paired_p_value(first, second) == pytest.approx(paired_p_value(second, first))
    assert 0 < paired_p_value(first, second) <= 1


def test_systems_measured_on_different_queries_are_not_compared():
    with pytest.raises(ValueError, match="same queries"):
        paired_p_value({"q1": 1.0}, {"q2": 1.0})
