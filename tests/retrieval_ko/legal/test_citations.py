"""What is cited, as it is written: statutes and cases."""

import random
import time

import pytest

from retrieval_ko.legal.cases import CaseIndex, CaseReason, case_numbers, cited_cases
from retrieval_ko.legal.citations import Reader
from retrieval_ko.legal.issues import points, reference_points
from retrieval_ko.legal.law_names import name_key
from retrieval_ko.legal.precedents import Precedent

NAMES = {"민법", "상법", "상법시행령", "지방세법", "지방세법시행령", "건축법", "폭력행위등처벌에관한법률", "화재예방소방시설에관한법률"}


def read(text):
    return list(Reader(NAMES.__contains__).read(text))


def laws(text):
    return [(mention.law.key, mention.article) for mention in read(text)]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("민법 제750조, 제751조 제1항", [("민법", "제750조"), ("민법", "제751조")]),
        ("민법 제750조, 상법 제3조의2, 제5조", [("민법", "제750조"), ("상법", "제3조의2"), ("상법", "제5조")]),
        ("민법 제12조의 2, 13조, 제14, 15조", [("민법", number) for number in ("제12조의2", "제13조", "제14조", "제15조")]),
        ("상법 제3조, 같은 법 시행령 제4조", [("상법", "제3조"), ("상법시행령", "제4조")]),
        ("상법시행령 제4조, 같은법 제3조", [("상법시행령", "제4조"), ("상법", "제3조")]),
        (
            "상법 제3조, 동법시행령 제4조, 동법 제5조, 위 시행령 제6조",
            [("상법", "제3조"), ("상법시행령", "제4조"), ("상법", "제5조"), ("상법시행령", "제6조")],
        ),
        ("지방세법 제1조, 상법 제2조, 같은 법 시행령 제3조", [("지방세법", "제1조"), ("상법", "제2조"), ("상법시행령", "제3조")]),
        ("「폭력행위 등 처벌에 관한 법률」 제2조", [("폭력행위등처벌에관한법률", "제2조")]),
        ("화재예방, 소방시설에 관한 법률 제2조", [("화재예방소방시설에관한법률", "제2조")]),
        ("지방세법시행령 제73조", [("지방세법시행령", "제73조")]),
        ("民法 제2조", [("민법", "제2조")]),
        ("민법 제2조 및 건축법 제3조", [("민법", "제2조"), ("건축법", "제3조")]),
        ("민법 제2조, 같은 조 제2항", [("민법", "제2조"), ("민법", "제2조")]),
        ("독일 민법 제2조", [("독일민법", "제2조")]),
        ("민법 제2조, 군인복무규율 제15조", [("민법", "제2조"), ("군인복무규율", "제15조")]),
        ("같은 법 제3조", [("", "제3조")]),
        ("같은 법 시행령 제3조, 같은 법 제4조", [("", "제3조"), ("", "제4조")]),
        ("제3조", [("", "제3조")]),
    ],
)
def test_the_law_of_an_article_is_the_one_named_before_it(text, found):
    assert laws(text) == found


@pytest.mark.parametrize(
    ("text", "old"),
    [
        ("구 민법 제2조, 제3조, 상법 제4조", [True, True, False]),
        ("구민법 제2조", [True]),
        ("민법(1990. 1. 13. 법률 제4199호로 개정되기 전의 것) 제2조, 상법 제3조", [True, False]),
        ("상법 제2조(1990. 1. 13. 개정되기 전의 것), 제3조", [True, False]),
        ("구 지방세법(1984. 12. 24. 법률 제3757호로 개정되기 전의 것) 제48조, 같은 법 시행령 제73조", [True, True]),
        ("민법 제2조(현행 제3조 참조), 제4조", [False, False]),
        ("의용 민법 제2조", [True]),
    ],
)
def test_the_wording_of_another_day_is_marked(text, old):
    assert [mention.law.old for mention in read(text)] == old


def test_paragraphs_and_items_belong_to_the_article_before_them():
    first, second = read("상법 제5조의2 제1항, 제3항 제2호의2 (가)목, 제7호, 제6조")
    assert (first.article, first.paragraphs, first.items) == ("제5조의2", (1, 3), ("2의2", "7"))
    assert (second.article, second.paragraphs, second.items) == ("제6조", (), ())
    (ranged,) = read("민법 제2조 제1항 내지 제4항")
    assert (ranged.paragraphs, ranged.until) == ((1, 2, 3, 4), "")


@pytest.mark.parametrize("text", ["민법 제5조 내지 제8조", "민법 제5조부터 제8조까지", "민법 제5조 ∼ 제8조"])
def test_a_range_of_articles_is_one_mention(text):
    (mention,) = read(text)
    assert (mention.article, mention.until) == ("제5조", "제8조")


def test_supplementary_provisions_and_annexes_are_told_apart():
    mentions = read("민법 제2조 [별표 1] 제3호, 부칙(1990. 1. 13.) 제4조, 제5조, 상법 부칙 제6항, 상법 제7조")
    assert [(one.law.key, one.article, one.supplementary, one.annex) for one in mentions] == [
        ("민법", "제2조", False, False),
        ("민법", "", False, True),
        ("민법", "제4조", True, False),
        ("민법", "제5조", True, False),
        ("상법", "", True, False),
        ("상법", "제7조", False, False),
    ]


def test_a_span_is_where_the_article_stands():
    text = "구 민법(2000. 1. 1. 개정되기 전의 것)\n        제750조  제1항, 상법 제2조"
    assert [text[slice(*mention.span)] for mention in read(text)] == ["제750조  제1항", "제2조"]


def test_a_law_is_carried_on_from_part_to_part():
    reader = Reader(NAMES.__contains__)
    assert [mention.law.key for part in ["상법 제1조", "제2조", "같은 법 시행령 제3조"] for mention in reader.read(part)] == [
        "상법",
        "상법",
        "상법시행령",
    ]


def test_names_are_compared_without_what_sources_write_differently():
    assert name_key("「10ㆍ27법난 피해자의 명예회복, 등에 관한 법률」") == name_key("10·27법난피해자의 명예회복 등에관한법률")


PIECES = [
    "제1조",
    "민법 ",
    "같은 법 ",
    "(폐지)",
    "(",
    "제",
    "1",
    " ",
    "\n",
    "가",
    "과의",
    "제1조 내지 ",
    "제1, ",
    "구 ",
    "[",
    ", ",
    "부칙 ",
    "90다1, ",
]


def seconds_to_read(text):
    start = time.monotonic()
    for _ in Reader(NAMES.__contains__).read(text):
        pass
    cited_cases(text)
    points(text)
    reference_points(text)
    return time.monotonic() - start


@pytest.mark.parametrize("piece", [*PIECES, "가. ", "[1]", "가 나 "])
def test_a_piece_over_and_over_takes_no_longer_than_its_length_asks_for(piece):
    assert seconds_to_read(piece * 60_000) < 10


def test_two_megabytes_are_read_in_seconds():
    text = "원심은 그 판시와 같은 이유로 청구를 받아들였다. ".join(random.Random(7).choices(PIECES, k=35_000))
    assert len(text.encode()) > 2_000_000
    assert seconds_to_read(text) < 30


@pytest.mark.parametrize(
    ("text", "numbers"),
    [
        ("대법원 2004. 1. 2. 선고 2004다1234 판결(공2004상, 3)", ["2004다1234"]),
        ("2012구합21383, 35313(병합)", ["2012구합21383", "2012구합35313"]),
        ("2000므1257(본소), 1264(반소)", ["2000므1257", "2000므1264"]),
        ("99도791, 99감도22", ["99도791", "99감도22"]),
        ("1992. 1. 21. 선고 91도1402 판결, 1989.9.29. 선고 89다카5994, 6000 판결", ["91도1402", "89다카5994", "89다카6000"]),
        ("1980.4.22. 선고79다2141 판결, 선고 76다 1329 판결", ["79다2141", "76다1329"]),
        ("대법원 1960. 8. 18. 선고 4292민상995 판결", ["4292민상995"]),
        ("2004다1, 2004다1", ["2004다1"]),
        ("제3조 제2항, 2004. 1. 2. 법률 제1234호", []),
    ],
)
def test_case_numbers_are_found_and_written_alike(text, numbers):
    assert cited_cases(text) == numbers


def precedent(serial, number, court="대법원", decided="1993-01-02"):
    return Precedent(serial, number, "", court, decided, "판결", "갑", "", "", "")


def test_a_cited_case_is_found_by_number_court_and_date():
    index = CaseIndex(
        [
            precedent("1", "92다1, 2"),
            precedent("2", "92구3", "서울고등법원"),
            precedent("3", "92구3", "대구고등법원"),
            precedent("20", "92다7"),
            precedent("9", "92다7"),
        ]
    )
    found = index.resolve(
        "대법원 1993. 1. 2. 선고 92다2 판결, 1993.1.2. 선고 92다7 판결, 서울고법 1993. 1. 2. 선고 92구3 판결, "
        "대법원 1993. 1. 2. 선고 92다5 판결"
    )
    assert [citation.serials for citation in found] == [("1",), ("9", "20"), ("2",), ()]
    assert found[-1].reason is CaseReason.UNKNOWN
    assert index.resolve("92구3")[0].reason is CaseReason.SEVERAL
    assert index.resolve("대법원 1995. 3. 4. 선고 92다1 판결")[0].reason is CaseReason.UNKNOWN
    assert index.resolve("대법원 1993. 1. 2. 선고 92다1 판결", itself="1")[0].reason is CaseReason.ITSELF


def test_joined_cases_have_a_number_each():
    assert case_numbers("2018다222303, 222310, 222327") == ("2018다222303", "2018다222310", "2018다222327")
