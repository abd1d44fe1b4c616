"""BM25's rows are those of an index made for each alone, and what they are called tells what they are."""

import pytest

from retrieval_ko.bm25 import Bm25Index
from retrieval_ko.collection import Collection
from retrieval_ko.errors import UsageError
from retrieval_ko.evaluation.baselines import Baseline, bm25_baselines, bm25_rows, is_baseline, parse_baselines
from retrieval_ko.evaluation.judging import judge
from retrieval_ko.records import Passage, Query, SynonymPair
from retrieval_ko.term_cache import TermCache
from retrieval_ko.terms import Tokenization

TEXTS = [
    "임차인은 보증금의 반환을 청구할 수 있다.",
    "보증금 보증금 보증금을 돌려받지 못한 임차인은 임차권등기명령을 신청할 수 있다. 신청은 법원에 한다.",
    "임대인은 차임의 연체를 이유로 계약을 해지할 수 있다.",
    "공영주차장의 요금은 십 분마다 오백 원이다.",
]
EXPECTED = [
    *("bm25-kiwi", "bm25-kiwi+synonyms", "bm25-kiwi-0.9-0.4"),
    *("bm25-bigram", "bm25-bigram-0.9-0.4", "bm25-whitespace", "bm25-whitespace-0.9-0.4"),
]


@pytest.fixture(scope="module")
def collection():
    return Collection(
        name="law",
        passages={f"p{number}": Passage(id=f"p{number}", text=text) for number, text in enumerate(TEXTS)},
        queries={"q1": Query(id="q1", text="보증금 반환"), "q2": Query(id="q2", text="parking 요금"), "q3": Query(id="q3", text="deposit")},
        judgements={"dev": {"q1": {"p0": 1}, "q2": {"p3": 1}, "q3": {"p1": 1}}},
        synonyms=[SynonymPair(ko="보증금", en="deposit")],
    )


def test_there_is_a_row_for_each_way_to_cut_text_and_each_set_of_parameters(collection):
    assert [row.system for row in bm25_rows(collection, "dev")] == EXPECTED
    assert all(map(is_baseline, EXPECTED))


@pytest.mark.parametrize(
    ("name", "tokenization", "k1", "b"),
    [
        ("bm25-kiwi-0.9-0.4", Tokenization.KIWI_CONTENT, 0.9, 0.4),
        ("bm25-bigram", Tokenization.BIGRAM, 1.2, 0.75),
        ("bm25-whitespace-0.9-0.4", Tokenization.WHITESPACE, 0.9, 0.4),
    ],
)
def test_a_row_is_that_of_an_index_of_its_own(collection, name, tokenization, k1, b):
    [row] = [row for row in bm25_rows(collection, "dev", depth=1000) if row.system == name]
    index = Bm25Index(collection.passages.values(), tokenization=tokenization, k1=k1, b=b)
    rankings = {key: index.rank(query.text, 1000) for key, query in collection.queries.items()}
    alone = judge(name, rankings, collection, "dev", depth=1000)
    assert row.scores == alone.scores
    assert row.top == alone.top
    assert row.facts == {"tokenization": str(tokenization), "k1": k1, "b": b}


def test_parameters_change_scores_and_only_an_index_with_its_terms_can_take_others(collection):
    index = Bm25Index(collection.passages.values(), tokenization=Tokenization.BIGRAM, keep_terms=True)
    before = index.rank("보증금", 4)
    index.weigh_anew(k1=0.9, b=0.4)
    assert index.rank("보증금", 4) != before
    index.weigh_anew(k1=1.2, b=0.75)
    assert index.rank("보증금", 4) == before
    with pytest.raises(ValueError, match="keep_terms"):
        Bm25Index(collection.passages.values(), tokenization=Tokenization.BIGRAM).weigh_anew(k1=1, b=0)


def test_the_informed_baseline_reads_the_pairs(collection):
    plain, informed = bm25_baselines(collection, "dev")
    assert plain.scores.by_query["ndcg@10"]["q3"] == 0
    assert informed.scores.by_query["ndcg@10"]["q3"] == 1  # p1 says 보증금 three times


def test_rows_are_the_same_with_the_cache_and_with_more_workers(collection, tmp_path):
    alone = bm25_rows(collection, "dev", [Baseline.KIWI])
    with TermCache(tmp_path) as cache:
        first = bm25_rows(collection, "dev", [Baseline.KIWI], cache=cache, workers=2)
        assert len(cache) >= len(TEXTS)
        again = bm25_rows(collection, "dev", [Baseline.KIWI], cache=cache)
    assert first == alone == again


def test_the_option_is_read_and_a_wrong_name_is_refused():
    assert parse_baselines("bigram, kiwi,bigram") == [Baseline.BIGRAM, Baseline.KIWI]
    assert parse_baselines("none") == []
    with pytest.raises(UsageError, match="kiwi, bigram, whitespace, none"):
        parse_baselines("mecab")
