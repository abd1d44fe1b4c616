"""Exact search is the reference, and recall says how much of it another search finds."""

import sys

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dense_ko.embedding import approximate_search, exact_search, recall_between
from retrieval_ko.errors import DataError, UsageError

IDS = ["c", "a", "b"]
PASSAGES = np.array([[1, 0], [0, 1], [0.6, 0.8]], dtype=np.float32)
RANKING = [("a", 3.0), ("b", 2.0), ("c", 1.0)]
QUICK = settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])  # a busy machine is no defect
RANKINGS = st.lists(st.permutations("abcdefgh").map(lambda order: [(name, -float(place)) for place, name in enumerate(order)]), min_size=1)


def test_every_passage_is_compared():
    [found] = exact_search(IDS, PASSAGES, np.array([[0, 1]], dtype=np.float32), 3)
    assert [name for name, _ in found] == ["a", "b", "c"]
    np.testing.assert_allclose([score for _, score in found], [1, 0.8, 0], atol=1e-6)


def test_negative_cosines_are_ranked_too():
    [found] = exact_search(IDS, PASSAGES, np.array([[-1, 0]], dtype=np.float32), 3)
    assert [name for name, _ in found] == ["a", "b", "c"]


def test_ids_as_they_are_read_become_plain_text():
    [found] = exact_search(np.array(IDS), PASSAGES, np.array([[1, 0]], dtype=np.float32), 1)
    assert type(found[0][0]) is str


@QUICK
@given(st.integers(0, 2**32 - 1), st.integers(1, 40), st.integers(1, 12))
def test_it_agrees_with_the_plain_formula(seed, count, k):
    chance = np.random.default_rng(seed)
    passages, queries = (chance.normal(size=(size, 6)).astype(np.float32) for size in (count, 3))
    names = [f"p{place:02}" for place in range(count)]
    for query, found in zip(queries, exact_search(names, passages, queries, k), strict=True):
        scores = (passages.astype(np.float64) * query.astype(np.float64)).sum(axis=1)
        assert [name for name, _ in found] == [names[place] for place in np.argsort(-scores)[:k]]


def test_recall_of_itself_is_one_and_of_nothing_is_none():
    assert recall_between([RANKING], [RANKING], 3) == 1
    assert recall_between([RANKING], [[]], 3) == 0


def test_recall_counts_first_places_whatever_their_order():
    assert recall_between([RANKING], [[("b", 9.0), ("z", 8.0), ("a", 7.0)]], 2) == 0.5
    assert recall_between([RANKING], [[("b", 9.0), ("a", 8.0)]], 2) == 1


def test_recall_is_the_mean_over_queries_that_have_an_answer():
    assert recall_between([RANKING, RANKING, []], [RANKING, [], RANKING], 3) == 0.5


def test_fewer_passages_than_places_can_all_be_found():
    assert recall_between([RANKING], [RANKING], 10) == 1


@QUICK
@given(RANKINGS, st.integers(1, 8), st.integers(0, 8))
def test_finding_more_never_lowers_recall(exact, k, places):
    fewer, more = (recall_between(exact, [ranking[:depth] for ranking in exact], k) for depth in (places, places + 1))
    assert 0 <= fewer <= more <= 1
    assert fewer == pytest.approx(min(places, k) / k)


@pytest.mark.parametrize(("exact", "found"), [([RANKING], []), ([], []), ([[]], [[]])])
def test_recall_of_nothing_is_refused(exact, found):
    with pytest.raises(DataError):
        recall_between(exact, found, 3)


@pytest.mark.parametrize("search", [exact_search, approximate_search])
def test_no_places_are_refused(search):
    with pytest.raises(UsageError, match="0 places"):
        search(IDS, PASSAGES, PASSAGES, 0)


@pytest.mark.parametrize("search", [exact_search, approximate_search])
@pytest.mark.parametrize(
    ("ids", "passages", "queries"), [(IDS[:2], PASSAGES, PASSAGES), (IDS, PASSAGES, PASSAGES[:, :1]), (IDS, PASSAGES[0], PASSAGES)]
)
def test_shapes_that_do_not_fit_are_refused(search, ids, passages, queries):
    with pytest.raises(DataError):
        search(ids, passages, queries, 2)


def test_without_faiss_the_way_out_is_said(monkeypatch):
    monkeypatch.setitem(sys.modules, "faiss", None)  # as where it is not installed
    with pytest.raises(UsageError, match="needs FAISS") as failure:
        approximate_search(IDS, PASSAGES, PASSAGES, 2)
    assert "pip install faiss-cpu" in failure.value.remedy


def test_the_graph_finds_nearly_what_exact_search_finds_with_the_same_scores():
    chance = np.random.default_rng(7)
    vectors = chance.normal(size=(3040, 24)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    passages, queries = vectors[:3000], vectors[3000:]
    ids = [f"p{number}" for number in range(len(passages))]
    exact, near = exact_search(ids, passages, queries, k=10), approximate_search(ids, passages, queries, k=10)
    assert recall_between(exact, near, k=10) > 0.9
    for query, ranking in zip(queries, near, strict=True):
        scores = [score for _, score in ranking]
        assert scores == pytest.approx([float(passages[ids.index(passage)] @ query) for passage, _ in ranking], abs=1e-5)
        assert scores == sorted(scores, reverse=True)
