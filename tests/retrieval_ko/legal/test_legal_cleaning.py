"""What is a remark and what is law."""

import pytest

from retrieval_ko.legal.cleaning import is_deleted, unwrapped, without_remarks
from retrieval_ko.legal.numbering import SUBITEM_LABELS, circled, number_of


@pytest.mark.parametrize(
    "remark",
    [
        "<개정 2020.1.2, 2021.3.4>",
        "<신설 2009. 12. 31.>",
        "<2016.2.3>",
        "<1989ㆍ3ㆍ7>",
        "＜2015. 9. 11.＞",
        "<단서 신설 2021. 10. 14.>",
        "<종전의 제4항에서 이동>",
        "<개정2020.12.29>",
        "<개정 2025. 1. 21.]",
        "[전문개정 2008.6.13]",
        "[본조신설 2017. 10. 19.]",
        "[본조 신설 2025. 2. .5.]",
        "[본조신설 2012. 2. 17.]]",
        "[제24조제3항에서 이동 <2016. 3. 22.>]",
        "[종전 제10호는 제11호로 이동 <2025. 1. 21.>]",
        "[시행일 : 2015. 4. 16.] 제60조제1항제1호ㆍ7호",
        "[헌법불합치, 2018헌바1, 2020.1.2]",
        '<img src="http://www.law.go.kr/flDownload.do?flSeq=1" alt="img1" >null</img>',
    ],
)
def test_a_remark_is_left_out(remark):
    assert without_remarks(f"보고하여야 한다. {remark}") == "보고하여야 한다."


@pytest.mark.parametrize(
    "law",
    [
        "<별표 1>에 따른다.",
        "<별지 제1호 서식>에 따른다.",
        '금액[이하 "물납"이라 한다]을 낸다.',
        "회사[제9조제1항을 위반한 경우에는 다른 회사를 포함한다]에 알린다.",
        "홈페이지[이동통신단말장치에서 사용되는 것을 포함한다]에 올린다.",
        "정보[종전의 법률 제5조에 따라 폐지되기 전의 것을 말한다]를 낸다.",
        "약정[2022년 12월 15일 이전에 체결된 약정을 말한다]을 맺는다.",
        "백연[1319-46-6]을 포함한다.",
        "a < b이고 c > d이다.",
    ],
)
def test_a_bracket_that_is_law_stays(law):
    assert without_remarks(law) == law


@pytest.mark.parametrize("text", ["삭제", "삭 제", "및 제6조 삭제", "삭제 2021. 9. 30.", "삭제 (2023.2.27.)"])
def test_a_text_that_says_only_deleted_is_deleted(text):
    assert is_deleted(text)


@pytest.mark.parametrize("text", ["삭제한다.", "정보를 삭제", "삭제 요구의 방법", ""])
def test_a_text_about_deletion_is_not_deleted(text):
    assert not is_deleted(text)


def test_a_title_in_two_pairs_of_brackets_loses_one():
    assert unwrapped("(협의회의 구성)") == "협의회의 구성"
    assert unwrapped("(가)와 (나)") == "(가)와 (나)"


def test_counting_goes_on_where_the_alphabet_and_the_circles_end():
    assert SUBITEM_LABELS[:16] == "가나다라마바사아자차카타파하거너"
    assert [number_of(circled(number)) for number in range(1, 51)] == list(range(1, 51))
    assert (circled(20), circled(21), circled(36), circled(51)) == ("⑳", "㉑", "㊱", "(51)")
