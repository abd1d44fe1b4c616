"""BM25 is Lucene's formula, and a ranking never depends on the order of a file."""

import math
import random
from collections import Counter
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from rank_bm25 import BM25Okapi

from retrieval_ko.bm25 import Bm25Index, Formula, ranked
from retrieval_ko.records import Passage
from retrieval_ko.terms import Tokenization

K1, B = 1.2, 0.75
WORD = st.sampled_from(["가", "나", "다", "라", "마"])
CORPORA = st.lists(st.lists(WORD, min_size=1, max_size=8), min_size=2, max_size=8)


def index_of(corpus, **settings):
    return Bm25Index([Passage(id=f"p{n}", text=" ".join(terms)) for n, terms in enumerate(corpus)], terms_of=str.split, **settings)


def lucene(corpus, query, k1=K1, b=B):
    """Σ ln(1 + (N - df + ½) / (df + ½)) · tf / (tf + k1·(1 - b + b·length / mean length)): BM25Similarity of Lucene ≥ 8."""
    mean = sum(map(len, corpus)) / len(corpus)
    scores = {}
    for number, terms in enumerate(corpus):
        counts = Counter(terms)
        score = 0.0
        for term in query:
            df = sum(term in other for other in corpus)
            idf = math.log(1 + (len(corpus) - df + 0.5) / (df + 0.5))
            score += idf * counts[term] / (counts[term] + k1 * (1 - b + b * len(terms) / mean))
        if score > 0:
            scores[f"p{number}"] = score
    return scores


@settings(max_examples=150, deadline=None)
@given(CORPORA, st.lists(WORD, min_size=1, max_size=4))
def test_scores_are_lucenes_formula(corpus, query):
    ranking = index_of(corpus).rank(" ".join(query))
    assert dict(ranking) == pytest.approx(lucene(corpus, query), rel=1e-5)
    assert [score for _, score in ranking] == sorted((score for _, score in ranking), reverse=True)


def test_k1_and_b_are_the_formulas():
    corpus = [["가", "가", "나"], ["가"], ["나", "다", "다", "다"]]
    assert dict(index_of(corpus, k1=0.5, b=0.2).rank("가 다")) == pytest.approx(lucene(corpus, ["가", "다"], k1=0.5, b=0.2), rel=1e-5)


@settings(max_examples=100, deadline=None)
@given(CORPORA, WORD)
def test_one_term_scores_are_proportional_to_those_of_rank_bm25(corpus, term):
    # For one term the two differ by idf (Okapi's can be negative) and by k1 + 1, both the same for all passages.
    reference = BM25Okapi(corpus, k1=K1, b=B)
    found = dict(index_of(corpus).rank(term))
    df = sum(term in terms for terms in corpus)
    assume(df and reference.idf[term])
    factor = math.log(1 + (len(corpus) - df + 0.5) / (df + 0.5)) / reference.idf[term] / (K1 + 1)
    expected = {f"p{number}": score * factor for number, score in enumerate(reference.get_scores([term])) if score}
    assert found == pytest.approx(expected, rel=1e-5)


@settings(max_examples=150, deadline=None)
@given(
    st.lists(st.lists(WORD, min_size=1, max_size=8), min_size=2, max_size=12),
    st.lists(WORD, min_size=1, max_size=4),
    st.floats(0.1, 3),
    st.floats(0, 1),
)
def test_okapis_formula_gives_the_scores_and_the_order_of_rank_bm25(corpus, query, k1, b):
    corpus += [["바"]] * (
        len(corpus) + 1
    )  # so that no term of the query stands in half of the passages, where rank-bm25 has a rule of its own
    reference = BM25Okapi(corpus, k1=k1, b=b).get_scores(query)
    ranking = index_of(corpus, formula=Formula.OKAPI, k1=k1, b=b).rank(" ".join(query), size=len(corpus))
    assert dict(ranking) == pytest.approx({f"p{n}": score for n, score in enumerate(reference) if score > 0}, rel=1e-5)
    in_order = [reference[int(passage[1:])] for passage, _ in ranking]
    assert all(left >= right * (1 - 1e-5) for left, right in pairwise(in_order))


def test_lucenes_formula_keeps_a_term_of_most_passages_and_okapis_does_not():
    corpus = [["가"], ["가", "나"], ["다"]]
    assert {passage for passage, _ in index_of(corpus).rank("가")} == {"p0", "p1"}
    assert index_of(corpus, formula=Formula.OKAPI).rank("가") == []


@settings(max_examples=30, deadline=None)
@given(CORPORA, st.lists(st.lists(WORD, max_size=4).map(" ".join), max_size=150), st.integers(1, 3))
def test_many_queries_rank_as_one_by_one_whatever_the_workers(corpus, queries, workers):
    index = index_of(corpus, workers=workers)
    assert list(index.rank_many(iter(queries), size=3)) == [index.rank(query, size=3) for query in queries]


@given(CORPORA, st.permutations(["가", "나", "다", "가"]))
def test_the_order_of_a_querys_terms_changes_no_bit_of_a_score(corpus, terms):
    assert index_of(corpus).rank(" ".join(terms)) == index_of(corpus).rank("가 나 다 가")


def test_scores_are_those_of_all_passages_in_the_order_of_ids():
    index = index_of([["가", "나"], ["다"], ["가"]])
    assert {passage: score for passage, score in zip(index.ids, index.scores("가").tolist(), strict=True) if score} == dict(
        index.rank("가")
    )
    assert [index.ids[index.rows[passage]] for passage in index.ids] == index.ids


@pytest.mark.parametrize("tokenization", Tokenization)
def test_every_tokenization_finds_the_words_of_a_passage(tokenization):
    index = Bm25Index([Passage(id="p1", text="도서관 예약 안내"), Passage(id="p2", text="박물관 휴관")], tokenization=tokenization)
    assert [passage for passage, _ in index.rank("예약")] == ["p1"]


def test_bigrams_find_a_part_of_a_compound_that_white_space_does_not():
    passages = [Passage(id="p1", text="임대차보증금반환청구"), Passage(id="p2", text="박물관")]
    assert [passage for passage, _ in Bm25Index(passages, tokenization=Tokenization.BIGRAM).rank("보증금의 반환")] == ["p1"]
    assert Bm25Index(passages, tokenization=Tokenization.WHITESPACE).rank("보증금의 반환") == []


@settings(deadline=None)
@given(st.lists(st.sampled_from([["가"], ["가", "나"], ["나"]]), min_size=2, max_size=10), st.randoms(use_true_random=False))
def test_equal_scores_stand_by_id_whatever_the_order_of_the_file(corpus, chance):
    passages = [Passage(id=f"p{n}", text=" ".join(terms)) for n, terms in enumerate(corpus)]
    shuffled = chance.sample(passages, len(passages))
    ranking = Bm25Index(passages, terms_of=str.split).rank("가 나")
    assert Bm25Index(shuffled, terms_of=str.split).rank("가 나") == ranking
    assert ranking == sorted(ranking, key=lambda hit: (-hit[1], hit[0]))


@settings(deadline=None)
@given(st.lists(st.integers(-1, 3), max_size=30), st.integers(1, 10))
def test_the_best_of_many_ties_are_those_with_the_smallest_ids(scores, size):
    ids = [f"p{number:02}" for number in range(len(scores))]
    random.Random(len(scores)).shuffle(ids)
    positive = [(key, float(score)) for key, score in zip(ids, scores, strict=True) if score > 0]
    assert ranked(ids, np.array(scores, dtype=float), size) == sorted(positive, key=lambda hit: (-hit[1], hit[0]))[:size]


@pytest.mark.parametrize("query", ["사과", "", "은 는"])
def test_a_query_without_known_terms_finds_nothing(query):
    assert index_of([["가", "나"], ["다"]]).rank(query) == []


@pytest.mark.parametrize("passages", [[], [Passage(id="p1", text="!!!")]])
def test_passages_without_terms_are_found_by_nothing(passages):
    assert Bm25Index(passages).rank("보증금") == []


def test_particles_do_not_decide_what_is_found():
    index = Bm25Index([Passage(id="p1", title="도서관", text="도서관에서는 책을 빌려준다."), Passage(id="p2", text="박물관을 연다.")])
    assert [key for key, _ in index.rank("도서관의 책은")] == ["p1"]
    [hit] = index.search("박물관에서", size=1)
    assert (hit.id, hit.text) == ("p2", "박물관을 연다.")
    assert hit.score == index.rank("박물관에서")[0][1]
