"""Request bodies are what OpenSearch reads, and the contributions of tokens sum to the score."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from opensearch_ko.queries import bm25, bm25_contributions, neural_sparse, query_tokens, sparse_contributions, stored_weight

WEIGHTS = st.dictionaries(st.text("가나다라#", min_size=1, max_size=3), st.floats(2**-20, 60, width=32), max_size=12)


def test_bm25_asks_the_morphemes():
    assert bm25(["전세", "보증금"], 5)["query"] == {"match": {"morphemes": {"query": "전세 보증금"}}}


def test_a_query_without_content_terms_finds_nothing():
    assert bm25([])["query"] == {"match_none": {}}
    assert query_tokens({})["query"] == {"match_none": {}}


def test_neural_sparse_always_names_its_model():
    body = neural_sparse("전세", "m1", 7)
    assert body["query"] == {"neural_sparse": {"sparse": {"query_text": "전세", "model_id": "m1"}}}
    assert body["size"] == 7


@pytest.mark.parametrize("weights", [{"전세": 0.0}, {"전세": -1.0}, {"전세": 64.5}, {"전세": math.nan}])
def test_weights_that_rank_features_refuses_are_not_sent(weights):
    with pytest.raises(ValueError, match="전세"):
        query_tokens(weights)


def test_more_tokens_than_clauses_are_not_sent():
    with pytest.raises(ValueError, match="1025"):
        query_tokens({str(number): 1.0 for number in range(1025)})


@given(st.floats(2**-100, 2**20, width=32))
def test_a_stored_weight_loses_less_than_half_a_percent(weight):
    kept = stored_weight(weight)
    assert 0 <= weight - kept <= weight * 2**-8
    assert stored_weight(kept) == kept


@given(WEIGHTS, WEIGHTS)
def test_contributions_are_those_of_shared_tokens_in_order(asked, offered):
    found = sparse_contributions(asked, offered)
    assert found.keys() == asked.keys() & offered.keys()
    assert list(found.values()) == sorted(found.values(), reverse=True)
    assert sum(found.values()) == pytest.approx(sum(asked[token] * offered[token] for token in found), rel=2**-8)


def test_bm25_contributions_are_read_from_one_and_from_many_clauses():
    def clause(term, value):
        return {"value": value, "description": f"weight(morphemes:{term} in 7) [PerFieldSimilarity], result of:", "details": []}

    assert bm25_contributions(clause("전세", 1.5)) == {"전세": 1.5}
    both = {"value": 3.5, "description": "sum of:", "details": [clause("전세", 1.5), clause("a in b)", 2.0)]}
    assert bm25_contributions(both) == {"a in b)": 2.0, "전세": 1.5}
