"""A negative is never an answer, and which passages are chosen depends on nothing but the data and the seed."""

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from retrieval_ko.bm25 import Bm25Index
from retrieval_ko.collection import Collection
from retrieval_ko.errors import DataError
from retrieval_ko.pairs.mining import REASONS, MiningReport, MiningSettings, mine, pairs_of, unmarked_answers
from retrieval_ko.records import Passage, Query, TrainingPair
from retrieval_ko.terms import Tokenization

SYLLABLES = [chr(code) for code in range(ord("가"), ord("힣"), 97)]
PASSAGES = {f"p{n:02}": Passage(id=f"p{n:02}", text=" ".join(random.Random(n).choices(SYLLABLES, k=30))) for n in range(40)}
"""Texts that have nothing in common."""
IDS = sorted(PASSAGES)


def pair(query="보증금의 환불", positives=("p00",), key="q1", **fields):
    return TrainingPair(query_id=key, query_text=query, positive_passages=list(positives), **fields)


def ranking_of(*passages):
    return [(passage, float(len(passages) - rank)) for rank, passage in enumerate(passages)]


def mined(pairs, rankings, passages=PASSAGES, report=None, group_of=None, excluded=None, **chosen):
    report = report or MiningReport()
    return list(mine(pairs, passages, rankings, MiningSettings(**chosen), report, group_of=group_of, excluded=excluded))


def one(ranking, of=None, report=None, **options):
    return mined([of or pair()], [ranking], report=report, **options)[0]


def test_hard_negatives_stand_in_the_order_of_the_ranking_and_random_ones_fill_up():
    report = MiningReport()
    found = one(ranking_of("p00", "p05", "p12", "p31"), hard=2, random=3, report=report)
    assert found.hard_negatives == ["p05", "p12"]
    assert len(found.random_negatives) == 3
    assert report.as_json() == {
        "queries": 1,
        "hard": 2,
        "random": 3,
        "padded": 0,
        "queries_short_of_random": 0,
        "median_rank_of_hard": 2.5,
        "held_back": dict.fromkeys(REASONS, 0) | {"positive": 1},
    }


def test_a_short_ranking_is_padded_with_random_ones():
    report = MiningReport()
    found = one(ranking_of("p05"), hard=4, random=2, report=report)
    assert found.hard_negatives == ["p05"]
    assert len(found.random_negatives) == 5
    assert report.padded == 3


def test_a_collection_that_is_too_small_gives_what_it_has_and_says_so():
    report = MiningReport()
    few = {key: PASSAGES[key] for key in ("p00", "p05", "p12")}
    found = one(ranking_of("p05"), passages=few, hard=5, random=5, report=report)
    assert (found.hard_negatives, found.random_negatives) == (["p05"], ["p12"])
    assert report.short_of_random == 1


def test_meta_stays_and_old_negatives_go():
    found = one(ranking_of("p05"), of=pair(meta={"article": "제750조"}, hard_negatives=["p39"]), hard=1, random=0)
    assert found.meta == {"article": "제750조"}
    assert found.hard_negatives == ["p05"]


def test_positives_of_a_query_are_those_of_all_its_pairs():
    pairs = [pair(positives=["p00"]), pair(positives=["p05"])]
    first, second = mined(pairs, [ranking_of("p05", "p00", "p12")] * 2, hard=3, random=0)
    assert first.hard_negatives[0] == second.hard_negatives[0] == "p12"


def test_pairs_without_ids_belong_together_by_their_text():
    pairs = [pair(key="", positives=["p00"]), pair(key="", positives=["p05"])]
    assert all(found.hard_negatives == ["p12"] for found in mined(pairs, [ranking_of("p05", "p00", "p12")] * 2, hard=1, random=0))


def test_siblings_and_excluded_passages_are_no_negatives():
    report = MiningReport()
    found = one(
        ranking_of("p01", "p20", "p30"),
        group_of=lambda passage: int(passage[1:]) // 5,
        excluded=lambda pair: {"p20"},
        hard=1,
        random=50,
        report=report,
    )
    assert found.hard_negatives == ["p30"]
    assert not {"p00", "p01", "p02", "p03", "p04", "p20"} & set(found.random_negatives)
    assert (report.held_back["sibling"], report.held_back["excluded"]) == (1, 1)


def test_near_duplicates_of_a_positive_and_same_texts_are_held_back():
    text = "임차인은 보증금을 돌려받을 때까지 집을 비우지 않아도 된다고 법이 정하고 있다."
    texts = {
        "p": text,
        "near": text.replace("집을", "방을"),
        "a": "우편물을 보내는 방법을 정한 안내문이다.",
        "b": "우편물을  보내는 방법을 정한 안내문이다.",
    }
    passages = {key: Passage(id=key, text=text) for key, text in texts.items()}
    report = MiningReport()
    found = one(ranking_of("near", "b", "a"), of=pair(positives=["p"]), passages=passages, hard=3, random=3, report=report)
    assert found.hard_negatives == ["b"]
    assert found.random_negatives == []
    assert report.held_back == {"near_duplicate_of_positive": 1, "same_text": 1}


def test_a_passage_that_repeats_a_long_query_is_held_back_and_one_that_holds_a_short_one_is_not():
    query = "임차인이 보증금을 돌려받을 때까지 집을 비우지 않아도 되는지 여부"
    passages = PASSAGES | {"x": Passage(id="x", text=f"판결은 이렇다. {query}(적극)에 관한 사건이다.")}
    assert "x" not in one(ranking_of("x", "p05"), of=pair(query), passages=passages, hard=1, random=0).hard_negatives
    assert one(ranking_of("x", "p05"), of=pair("보증금을 돌려받을 때"), passages=passages, hard=1, random=0).hard_negatives == ["x"]


def test_candidates_that_score_like_the_best_positive_are_held_back_where_it_was_found():
    scores = [("p12", 12.0), ("p00", 10.0), ("p20", 9.5), ("p30", 9.4)]
    assert one(scores, score_share=0.95, hard=1, random=0).hard_negatives == ["p30"]
    assert one(scores, score_share=1.1, hard=1, random=0).hard_negatives == ["p20"]
    assert one(scores, score_share=None, hard=1, random=0).hard_negatives == ["p12"]
    assert one(scores, of=pair(positives=["p05"]), score_share=0.95, hard=1, random=0).hard_negatives == ["p12"]


def test_ranks_at_the_top_can_be_passed_over_and_those_below_the_depth_always_are():
    ranking = ranking_of("p05", "p12", "p20", "p30")
    assert one(ranking, skip_first=2, hard=4, random=0, depth=3).hard_negatives == ["p20"]


def test_a_positive_that_is_not_in_the_corpus_is_named():
    with pytest.raises(DataError, match="'q1' names the positive 'gone'"):
        one(ranking_of("p05"), of=pair(positives=["gone"]))


@pytest.mark.parametrize("wrong", [{"hard": -1}, {"depth": 0}, {"score_share": 0}, {"unknown": 1}])
def test_settings_are_checked(wrong):
    with pytest.raises(ValidationError):
        MiningSettings(**wrong)


QUERIES = st.lists(
    st.tuples(st.sets(st.sampled_from(IDS), min_size=1, max_size=4), st.permutations(IDS[:20]), st.sets(st.sampled_from(IDS), max_size=3)),
    min_size=1,
    max_size=5,
)


@settings(max_examples=60, deadline=None)
@given(QUERIES, st.integers(0, 8), st.integers(0, 8), st.integers(0, 3))
def test_no_passage_is_twice_among_positives_excluded_and_negatives(queries, hard, by_chance, seed):
    pairs = [pair(positives=sorted(positives), key=f"q{n}") for n, (positives, _, _) in enumerate(queries)]
    away = {f"q{n}": excluded for n, (_, _, excluded) in enumerate(queries)}
    found = mined(
        pairs,
        [ranking_of(*ranking) for _, ranking, _ in queries],
        excluded=lambda of: away[of.query_id],
        hard=hard,
        random=by_chance,
        seed=seed,
    )
    for of in found:
        negatives = [*of.hard_negatives, *of.random_negatives]
        assert len(set(negatives)) == len(negatives) == hard + by_chance
        assert not set(negatives) & ({*of.positive_passages} | away[of.query_id])


@settings(max_examples=40, deadline=None)
@given(QUERIES, st.randoms(use_true_random=False))
def test_negatives_of_a_query_do_not_depend_on_the_other_queries_or_their_order(queries, chance):
    pairs = [pair(positives=sorted(positives), key=f"q{n}") for n, (positives, _, _) in enumerate(queries)]
    together = list(zip(pairs, [ranking_of(*ranking) for _, ranking, _ in queries], strict=True))
    expected = {of.query_id: of for of in mined(*zip(*together, strict=True), hard=3, random=3)}
    shuffled = chance.sample(together, chance.randint(1, len(together)))
    for of in mined(*zip(*shuffled, strict=True), hard=3, random=3):
        assert of == expected[of.query_id]


def test_the_seed_and_the_query_decide_the_random_ones():
    drawn = {(seed, key): tuple(one([], of=pair(key=key), hard=0, random=5, seed=seed).random_negatives) for seed in (0, 1) for key in "ab"}
    assert len(set(drawn.values())) == 4


def parent_judged():
    texts = {"a#1": "도서관은 책을 빌려준다", "a#2": "도서관은 밤에 닫는다", "b#1": "박물관은 책을 판다", "c#1": "수영장은 여름에 연다"}
    passages = {key: Passage(id=key, text=text, metadata={"parent_id": key[0]}) for key, text in texts.items()}
    queries = {"q": Query(id="q", text="도서관은 밤에 언제 닫나", metadata={"excluded": ["c#1"]})}
    return Collection("c", passages, queries, {"train": {"q": {"a": 1, "b": 0}}, "dev": {"q": {"b": 1}}}, judged="parent")


def test_where_parents_are_judged_the_best_passage_of_each_is_the_positive():
    collection = parent_judged()
    index = Bm25Index(collection.passages.values(), tokenization=Tokenization.BIGRAM)
    assert list(pairs_of(collection, "train", index)) == [
        TrainingPair(query_id="q", query_text="도서관은 밤에 언제 닫나", positive_passages=["a#2"])
    ]
    assert [of.positive_passages for of in pairs_of(collection, "dev", index)] == [["b#1"]]


def test_what_any_split_judges_relevant_or_a_query_excludes_is_no_negative():
    answers = unmarked_answers(parent_judged())
    assert answers(pair(key="q")) == {"a#1", "a#2", "b#1", "c#1"}
    assert answers(pair(key="unknown")) == set()
