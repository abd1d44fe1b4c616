"""Exact search: the rankings of a plain double loop, whatever the blocks are."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dense_ko.retrieval import DenseIndex
from retrieval_ko.errors import DataError


def normalised(rows):
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


def expected(ids, passages, query, size):
    """By a loop in 64 bits, one passage at a time."""
    scores = [np.float32((passage.astype(np.float64) * query.astype(np.float64)).sum()) for passage in passages]
    return sorted(((name, float(score)) for name, score in zip(ids, scores, strict=True)), key=lambda hit: (-hit[1], hit[0]))[:size]


@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 2**16),
    passages=st.integers(1, 60),
    copies=st.integers(0, 20),
    size=st.integers(1, 70),
    block=st.integers(1, 200),
)
def test_blocks_change_no_ranking_and_equal_passages_stand_by_id(seed, passages, copies, size, block):
    chance = np.random.default_rng(seed)
    vectors = normalised(chance.normal(size=(passages, 24)))
    vectors = np.concatenate([vectors, vectors[chance.integers(passages, size=copies)]])
    ids = [f"p{number}" for number in chance.permutation(len(vectors))]
    queries = normalised(chance.normal(size=(3, 24)))
    found = list(DenseIndex(ids, vectors).rankings(queries, size, scores_at_once=block))
    assert found == [expected(ids, vectors, query, size) for query in queries]


def test_a_passage_that_points_away_is_ranked_too():
    index = DenseIndex(["away", "near"], np.array([[-1, 0], [0.6, 0.8]], dtype=np.float32))
    [ranking] = index.rankings(np.array([[1, 0]], dtype=np.float32), 10)
    assert ranking == [("near", pytest.approx(0.6)), ("away", -1.0)]


def test_vectors_may_stay_on_disk(tmp_path):
    vectors = normalised(np.random.default_rng(3).normal(size=(100, 8)))
    np.save(tmp_path / "vectors.npy", vectors)
    ids = [str(number) for number in range(100)]
    mapped = DenseIndex(ids, np.load(tmp_path / "vectors.npy", mmap_mode="r"))
    assert list(mapped.rankings(vectors[:5], 7)) == list(DenseIndex(ids, vectors).rankings(vectors[:5], 7))


def test_an_empty_index_finds_nothing():
    assert list(DenseIndex([], np.zeros((0, 4), dtype=np.float32)).rankings(np.ones((2, 4), dtype=np.float32))) == [[], []]


def test_what_does_not_fit_is_said():
    vectors = np.ones((2, 4), dtype=np.float32)
    with pytest.raises(DataError, match=r"3 ids for vectors of the shape \[2, 4\]"):
        DenseIndex("abc", vectors)
    index = DenseIndex("ab", vectors)
    with pytest.raises(DataError, match="same model"):
        list(index.rankings(np.ones((1, 5), dtype=np.float32)))
    with pytest.raises(DataError, match="query 2"):
        list(index.rankings(np.array([[1] * 4, [np.nan] * 4], dtype=np.float32)))
    vectors[1, 2] = np.inf
    with pytest.raises(DataError, match="passage 'b'"):
        list(index.rankings(np.ones((1, 4), dtype=np.float32)))
