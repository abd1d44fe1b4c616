"""Which queries are fit for training, on the answers that models give in Korean, English and Chinese (requirements M39, M40)."""

import unicodedata

import pytest

from retrieval_ko.bm25 import Bm25Index
from retrieval_ko.records import Passage
from retrieval_ko.synthesis.filters import QueryFilter, korean_share
from retrieval_ko.synthesis.generation import generate_synthetic_qd_pairs


@pytest.fixture
def deposit(passages):
    return passages[0]


def test_the_korean_share_counts_letters_only():
    assert korean_share("보증금 반환, 2024년?!") == 1
    assert korean_share("보증금 deposit") == pytest.approx(3 / 10)
    assert korean_share("民法 제750조") == pytest.approx(2 / 4)
    assert korean_share(unicodedata.normalize("NFD", "보증금")) == 1, "jamo that are not composed are Hangul too"
    assert korean_share("2024") == korean_share("") == 0


@pytest.mark.parametrize(
    ("query", "reason"),
    [
        ("임차권등기명령 신청 방법", None),
        ("보증금 돌려받기", None),
        ("전세금 안 돌려줄 때 법원에 뭘 신청해요?", None),
        ("How can a tenant get the deposit back?", "not_korean"),
        ("租赁押金如何退还", "not_korean"),
        ("保証金を返してもらう方法", "not_korean"),
        ("deposit 반환 신청", "not_korean"),
        ("1234", "not_korean"),
        ("법원", "length"),
        ("임차인이 " * 30, "length"),
        ("이 글에서 말하는 신청은?", "mentions_the_text"),
        ("본문의 핵심 내용 정리", "mentions_the_text"),
        ("위 문서의 신청 절차", "mentions_the_text"),
        ("보증금 반환", "copies_title"),
        ("보증금반환!", "copies_title"),
        ("보증금을 돌려받지 못한 임차인은 법원에", "copies_passage"),
        ("임대차가 끝났는데도 보증금을 돌려받지 못한 임차인", "copies_passage"),
        ("달나라 토끼 떡방아", "not_found_by_bm25"),
    ],
)
def test_a_query_is_fit_or_the_reason_is_named(deposit, passages, query, reason):
    assert QueryFilter(Bm25Index(passages)).rejection(query, deposit) == reason


@pytest.mark.parametrize("query", ["아이 글쓰기 지도 방법", "다음 문서 없이 신청", "본문학교 위치 안내"])
def test_words_that_only_look_like_the_text_are_kept_apart(deposit, query):
    expected = "mentions_the_text" if query.startswith("다음 문서") else None
    assert QueryFilter().rejection(query, deposit) == expected


def test_the_share_must_be_above_the_limit_not_on_it(deposit):
    assert korean_share("가나다라 A") == 0.8
    assert QueryFilter().rejection("가나다라 A", deposit) == "not_korean"
    assert QueryFilter().rejection("가나다라마 A", deposit) is None


def test_a_query_is_taken_once(deposit, passages):
    accepts = QueryFilter(Bm25Index(passages))
    assert accepts.rejection("임차권등기명령을 신청하는 방법", deposit) is None
    assert accepts.rejection("임차권 등기 명령을 신청하는 방법?", deposit) == "duplicate"
    assert accepts.rejection("임차권등기명령을 신청하는 절차", deposit) == "near_duplicate"
    assert accepts.rejection("임차권등기명령을 신청하는 절차", passages[1]) == "near_duplicate"


def test_what_was_rejected_does_not_stand_in_the_way_of_another(deposit, passages):
    accepts = QueryFilter(Bm25Index(passages))
    assert accepts.rejection("공영주차장 승용차 하루 비용", passages[6]) is not None
    assert accepts.rejection("공영주차장 승용차 하루 비용", passages[2]) is None


def test_a_query_of_the_collection_is_not_repeated(deposit):
    accepts = QueryFilter(known_queries=["전세 보증금을 못 받았어요", "임차권등기명령 신청하기"])
    assert accepts.rejection("전세보증금을 못 받았어요!", deposit) == "known_query"
    assert accepts.rejection("임차권등기명령 신청하는 법", deposit) == "known_query"
    assert accepts.rejection("집주인이 돈을 안 줘요", deposit) is None


def test_the_round_trip_asks_for_this_passage_among_the_first(passages):
    crowd = [Passage(id=f"c{number:03}", text="보증금 보증금 보증금") for number in range(100)]
    accepts = QueryFilter(Bm25Index([*passages, *crowd]))
    assert accepts.rejection("보증금 문의", passages[0]) == "not_found_by_bm25"
    assert QueryFilter(Bm25Index([*passages, *crowd[:99]])).rejection("보증금 문의", passages[0]) is None


class Answers:
    """A model that gives one answer to everything."""

    name = "one-answer"

    def __init__(self, answer):
        self.answer = answer

    def generate(self, prompt, *, seed):
        return self.answer


@pytest.mark.parametrize(
    ("answer", "kept", "rejected"),
    [
        (
            "Sure! Here are three Korean queries:\n1. 임차권등기명령 신청 방법\n2. How to get a deposit back\n3. 집주인이 보증금을 안 줘요",
            ["임차권등기명령 신청 방법", "집주인이 보증금을 안 줘요"],
            {"not_korean": 1},
        ),
        ("租赁结束后如何取回押金？\n承租人可以申请什么？\n法院登记命令", [], {"not_korean": 3}),
        ("보증금 반환\n보증금 반환 소송\n보증금 반환 소송", ["보증금 반환 소송"], {"copies_title": 1, "duplicate": 1}),
        (
            "\n".join(["임차권등기 신청", "보증금 소송 비용", "법원에 내는 서류", "임대차 끝난 뒤 이사", "보증금 이자"]),
            ["임차권등기 신청", "보증금 소송 비용", "법원에 내는 서류"],
            {"surplus": 2},
        ),
        ("죄송하지만 이 글에 대한 검색어를 만들 수 없습니다.", [], {}),
    ],
)
def test_a_real_answer_becomes_pairs(deposit, answer, kept, rejected):
    result = generate_synthetic_qd_pairs([deposit], Answers(answer))
    assert [pair.query_text for pair in result.pairs] == kept
    assert result.rejected == rejected
    assert result.queries == len(kept) + sum(rejected.values())


def test_a_model_that_writes_no_korean_is_named(deposit, caplog):
    generate_synthetic_qd_pairs([deposit], Answers("tenant deposit\nhow to sue\nrental law"))
    assert "Only 0 % of the queries that one-answer wrote are Korean" in caplog.text
