"""The metrics are what one gets with pencil and paper, and a difference by chance is called chance."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from retrieval_ko.evaluation.metrics import score
from retrieval_ko.evaluation.significance import bootstrap_interval, holm, paired_p_value

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


def by_formula(ranking, grades, cut):
    """Every metric of one query, written out with NumPy: gains are grades, the discount is log2(place + 1)."""
    gains = np.array([max(grades.get(passage, 0), 0) for passage, _ in ranking], dtype=float)
    ideal = np.sort([max(grade, 0) for grade in grades.values()])[::-1]
    relevant = sum(grade > 0 for grade in grades.values())
    hits = gains > 0

    def dcg(values):
        values = np.asarray(values, dtype=float)[:cut]
        return float(np.sum(values / np.log2(np.arange(len(values)) + 2)))

    places = np.flatnonzero(hits[:cut]) + 1
    precisions = [hits[:place].sum() / place for place in places]
    return {
        "ndcg": dcg(gains) / dcg(ideal),
        "mrr": 1 / places[0] if len(places) else 0.0,
        "recall": hits[:cut].sum() / relevant,
        "p": hits[:cut].sum() / cut,
        "map": sum(precisions) / relevant,
    }


@settings(max_examples=60, deadline=None)
@given(
    st.permutations([f"d{number}" for number in range(14)]),
    st.dictionaries(st.sampled_from([f"d{number}" for number in range(16)]), st.integers(0, 3), min_size=1, max_size=9),
    st.integers(0, 14),
)
def test_every_metric_is_its_formula(order, grades, found):
    if not any(grades.values()):
        grades = {**grades, "d0": 1}
    ranking = [(passage, float(100 - place)) for place, passage in enumerate(order[:found])]
    scores = score({"q": ranking}, {"q": grades}, depth=1000)
    for metric, values in scores.by_query.items():
        name, _, cut = metric.partition("@")
        assert values["q"] == pytest.approx(by_formula(ranking, grades, int(cut))[name]), metric


def test_metrics_beyond_the_depth_are_not_reported():
    assert "recall@1000" not in score(RANKINGS, JUDGEMENTS, depth=100).mean
    assert {"recall@1000", "p@10", "ndcg@1", "mrr@1000"} <= score(RANKINGS, JUDGEMENTS, depth=1000).mean.keys()


def test_rankings_may_come_one_by_one_and_more_than_are_scored_at_once():
    judgements = {f"q{number}": {"a": 1} for number in range(600)}
    rankings = ((query, [("b", 2.0), ("a", 1.0)] if number % 2 else [("a", 1.0)]) for number, query in enumerate(judgements))
    scores = score(rankings, judgements)
    assert scores.mean["mrr@10"] == pytest.approx((1 + 1 / 2) / 2)
    assert len(scores.by_query["mrr@10"]) == 600


def test_holm_by_hand():
    # sorted: .01 × 4 = .04, .02 × 3 = .06, .03 × 2 = .06, .5 × 1
    assert holm([0.03, 0.01, 0.5, 0.02]) == pytest.approx([0.06, 0.04, 0.5, 0.06])
    assert holm([0.9, 0.8]) == [1.0, 1.0]
    assert holm([]) == []


@given(st.lists(st.floats(0, 1), max_size=8))
def test_holm_never_lowers_a_p_value_nor_changes_their_order(p_values):
    corrected = holm(p_values)
    assert all(before <= after <= 1 for before, after in zip(p_values, corrected, strict=True))
    pairs = sorted(zip(p_values, corrected, strict=True))
    assert [after for _, after in pairs] == sorted(corrected)


def test_the_interval_is_that_of_a_mean():
    values = {f"q{number}": number % 2 / 1 for number in range(400)}
    low, high = bootstrap_interval(values)
    # a share of 1/2 of 400: the normal interval is 1/2 ± 1.96 · sqrt(1/4 / 400)
    assert (low, high) == pytest.approx((0.5 - 1.96 * 0.025, 0.5 + 1.96 * 0.025), abs=0.005)
    assert bootstrap_interval(values) == (low, high)
    assert bootstrap_interval(dict.fromkeys("abc", 0.25)) == (0.25, 0.25)
