"""Exact search is the dot product, no more and no less."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.sparse import csr_matrix, random_array

from retrieval_ko.records import Passage
from sparse_ko.retrieval import QUERIES_AT_ONCE, SparseIndex, active_dimensions, expected_flops


@pytest.fixture(scope="module")
def index(untrained, collection):
    return SparseIndex(untrained["static"], collection.passages.values())


def by_brute_force(index, ids, vector, size):
    scores = index.weights.toarray() @ vector
    return sorted(((key, score) for key, score in zip(ids, scores, strict=True) if score > 0), key=lambda hit: (-hit[1], hit[0]))[:size]


def test_a_ranking_is_the_sorted_dot_products(index, untrained, collection):
    for query in collection.queries.values():
        vector = untrained["static"].encode_query([query.text]).toarray()[0]
        expected = by_brute_force(index, list(collection.passages), vector, 5)
        found = index.rank(query.text, 5)
        assert [key for key, _ in found] == [key for key, _ in expected]
        assert [score for _, score in found] == pytest.approx([score for _, score in expected], rel=1e-5)


def test_many_queries_at_once_rank_as_one_by_one(index, collection):
    queries = {key: query.text for key, query in collection.queries.items()}
    together = index.rank_many(queries, 3)
    assert list(together) == list(queries)
    for key, text in queries.items():
        alone = index.rank(text, 3)
        assert [passage for passage, _ in together[key]] == [passage for passage, _ in alone]
        assert [score for _, score in together[key]] == pytest.approx([score for _, score in alone], rel=1e-5)


def test_more_queries_than_fit_into_memory_at_once_are_all_answered(index):
    vectors = csr_matrix(random_array((QUERIES_AT_ONCE + 3, index.weights.shape[1]), density=0.01, rng=np.random.default_rng(1)))
    rankings = index.rank_vectors(vectors, 2)
    assert len(rankings) == QUERIES_AT_ONCE + 3
    assert rankings[-1] == index.rank_vectors(vectors[-1:], 2)[0]


def test_a_query_that_activates_nothing_finds_nothing(index):
    assert index.rank_vectors(csr_matrix((1, index.weights.shape[1]))) == [[]]


def test_expected_flops_by_hand():
    queries = csr_matrix([[1.0, 0, 2], [3, 0, 0]])  # used by 2, 0 and 1 of two queries
    passages = csr_matrix([[1.0, 1, 0], [1, 0, 1], [0, 0, 5], [0, 1, 1]])  # used by 2, 2 and 3 of four passages
    assert expected_flops(queries, passages) == pytest.approx(1 * 2 / 4 + 0 * 2 / 4 + 1 / 2 * 3 / 4)


SMALL = st.lists(st.lists(st.sampled_from([0.0, 1.5]), min_size=4, max_size=4), min_size=1, max_size=5).map(csr_matrix)


@settings(max_examples=50, deadline=None)
@given(SMALL, SMALL)
def test_expected_flops_are_the_mean_number_of_shared_dimensions_of_all_pairs(queries, passages):
    shared = (queries.toarray() > 0).astype(int) @ (passages.toarray() > 0).astype(int).T
    assert expected_flops(queries, passages) == pytest.approx(shared.mean())


def test_active_dimensions_by_hand():
    assert active_dimensions(csr_matrix([[1.0, 0, 2], [0, 0, 0]])) == 1
    assert active_dimensions(csr_matrix((0, 3))) == 0


def test_threads_change_no_ranking(index, untrained, collection):
    several = SparseIndex(untrained["static"], collection.passages.values(), weights=index.weights, workers=3)
    vectors = csr_matrix(random_array((2 * QUERIES_AT_ONCE + 1, index.weights.shape[1]), density=0.01, rng=np.random.default_rng(2)))
    assert several.rank_vectors(vectors, 5) == index.rank_vectors(vectors, 5)


def test_passages_encoded_in_parts_are_those_encoded_at_once(index, untrained, collection, monkeypatch):
    told = []
    monkeypatch.setattr("sparse_ko.retrieval.PASSAGES_AT_ONCE", 5)
    parts = SparseIndex(untrained["static"], collection.passages.values(), on_progress=told.append)
    assert told[-1] == len(collection.passages)
    assert told == sorted(told)
    assert parts.weights.indices.dtype == np.int32
    assert np.array_equal(parts.weights.indices, index.weights.indices)
    assert parts.weights.data == pytest.approx(index.weights.data, rel=1e-5)


SCORED = st.integers(0, 2).flatmap(lambda low: st.lists(st.lists(st.integers(low, 3), min_size=3, max_size=3), min_size=1, max_size=12))


@settings(max_examples=60, deadline=None)
@given(SCORED, st.lists(st.integers(0, 2), min_size=3, max_size=3), st.integers(1, 12))
def test_equal_scores_stand_by_id_and_nothing_scores_zero(untrained, rows, query, size):
    """Small whole numbers tie often, and are exact in floats."""
    passages = [Passage(id=f"p{(7 * number) % 13:02}", text="글") for number in range(len(rows))]
    weights = csr_matrix(np.array(rows, dtype=np.float32))
    ranking = SparseIndex(untrained["static"], passages, weights=weights).rank_vectors(
        csr_matrix(np.array([query], dtype=np.float32)), size
    )[0]
    scores = {passage.id: int(np.dot(row, query)) for passage, row in zip(passages, rows, strict=True)}
    expected = sorted(((key, score) for key, score in scores.items() if score), key=lambda hit: (-hit[1], hit[0]))[:size]
    assert ranking == expected
