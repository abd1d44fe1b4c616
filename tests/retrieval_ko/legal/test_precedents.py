"""Cases in both formats; which holding and which references belong to which issue."""

import json
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from retrieval_ko.errors import DataError
from retrieval_ko.legal.issues import Point, aligned, points, reference_points
from retrieval_ko.legal.precedents import Precedent, PrecedentReport, read_precedents
from retrieval_ko.legal.reading import ReadingReport, find_documents, read_laws

FIELDS = {
    "판례일련번호": "100",
    "사건번호": "83다카644",
    "사건명": "손해배상",
    "법원명": "대법원",
    "선고일자": "19831227",
    "판시사항": "가. 책을 돌려주지 않은 경우의 책임<br/>나. 그 책임의 기간<br/>",
    "판결요지": "가. 배상하여야 한다.<br/>나. 십년이다.<br/>",
    "참조조문": "가.나.민법 제750조 / 나. 제766조<br/>",
    "참조판례": "",
}

MARKDOWN = """---
판례일련번호: '100'
사건번호: 83다카644
사건명: 손해배상
법원명: 대법원
선고일자: 1983-12-27
---

# 손해배상

## 판시사항

가. 책을 돌려주지 않은 경우의 책임
나. 그 책임의
          기간

## 판결요지

가. 배상하여야 한다.
나. 십년이다.

## 참조조문

가.나.
        민법 제750조 / 나. 제766조

## 판례내용

이 부분은 읽지 않는다.
"""


@pytest.fixture
def json_case():
    def text(**fields):
        return json.dumps({**FIELDS, **fields}, ensure_ascii=False)

    return text


def reading(folder, **options):
    report = PrecedentReport()
    return list(read_precedents(find_documents(folder), report, **options)), report


def case(issues="", holdings="", statutes="", cases=""):
    return Precedent("1", "90다1", "", "대법원", "1991-01-02", "판결", issues, holdings, statutes, cases)


def test_both_formats_give_the_same_issues(write, json_case):
    write("a/1.md", MARKDOWN)
    (markdown,), _ = reading(write("b/1.json", json_case()).parent.parent / "a")
    (from_json,), _ = reading(markdown_folder := write("b/1.json", json_case()).parent)
    assert markdown_folder.name == "b"
    assert aligned(markdown) == aligned(from_json)
    assert (markdown.serial, markdown.decided, markdown.case_number) == (from_json.serial, "1983-12-27", "83다카644")


def test_a_case_is_called_as_it_is_cited(write, json_case):
    (one,), _ = reading(write("1.json", json_case()).parent)
    assert one.passage_id == "PREC_100"
    assert one.heading == "대법원 1983. 12. 27. 선고 83다카644 판결 (손해배상)"


@pytest.mark.parametrize(
    ("number", "kind", "citation"),
    [
        ("2003마803", "", "대법원 1983. 12. 27.자 2003마803 결정"),
        ("2000두1", "", "대법원 1983. 12. 27. 선고 2000두1"),
        ("2000두1", "결정", "대법원 1983. 12. 27.자 2000두1 결정"),
        ("83다카644", "판결 : 확정", "대법원 1983. 12. 27. 선고 83다카644 판결"),
    ],
)
def test_judgment_or_decision_is_said_only_where_it_is_known(number, kind, citation, write, json_case):
    (one,), _ = reading(write("1.json", json_case(사건번호=number, 판결유형=kind)).parent)
    assert one.citation == citation


def test_what_stands_in_other_sections_is_not_read(write):
    (one,), _ = reading(write("1.md", MARKDOWN).parent)
    assert not any("읽지" in text for text in (one.issues, one.holdings, one.statutes, one.cases))


def test_decomposed_hangul_reads_like_composed(write):
    (composed,), _ = reading(write("c/1.md", MARKDOWN).parent)
    (decomposed,), _ = reading(write("d/1.md", MARKDOWN, form="NFD").parent)
    assert decomposed == composed
    assert unicodedata.is_normalized("NFC", decomposed.issues)


BAD = {
    "a case without a serial": ({"판례일련번호": ""}, "has no 판례일련번호"),
    "a serial that leads elsewhere": ({"판례일련번호": "../1"}, "is no id"),
    "a case without a number": ({"사건번호": None}, "has no 사건번호"),
    "a date that is none": ({"선고일자": "어제"}, "is no date"),
    "a section that is no text": ({"판시사항": ["가"]}, "expected text in 판시사항"),
    "a section of two megabytes": ({"판결요지": "가나다 " * 200_000}, "has 799,999 characters"),
}


@pytest.mark.parametrize("kind", BAD)
def test_a_bad_file_is_named_with_its_reason_and_the_rest_is_read(kind, write, json_case):
    fields, reason = BAD[kind]
    bad = write("a.json", json_case(**fields))
    write("z.json", json_case(판례일련번호="200"))
    cases, report = reading(bad.parent)
    assert [one.serial for one in cases] == ["200"]
    assert [problem.file for problem in report.problems] == [str(bad)]
    assert reason in report.problems[0].reason
    with pytest.raises(DataError, match=r"a\.json"):
        reading(bad.parent, strict=True)


def test_of_two_files_with_one_serial_the_first_is_kept(write, json_case):
    write("a.json", json_case())
    cases, report = reading(write("b.json", json_case(사건명="다른 이름")).parent)
    assert [one.case_name for one in cases] == ["손해배상"]
    assert "100 was read before" in report.problems[0].reason


def test_a_case_without_text_is_counted_and_one_without_date_is_read(write, json_case):
    write("empty.json", json_case(판시사항="", 판결요지="<br/>", 참조조문="", 참조판례=""))
    cases, report = reading(write("undated.json", json_case(판례일련번호="2", 선고일자="")).parent)
    assert [(one.serial, one.decided) for one in cases] == [("2", "")]
    assert (report.files, report.empty, report.undated, report.problems) == (2, 1, 1, [])


def test_laws_and_cases_in_one_folder_are_each_passed_over_by_the_other_reader(write, markdown_law):
    write("law.md", markdown_law())
    folder = write("case.md", MARKDOWN).parent
    cases, report = reading(folder)
    laws = ReadingReport()
    assert len(cases) == len(list(read_laws(find_documents(folder), laws))) == 1
    assert dict(report.passed_over) == {"statute (legalize-kr)": 1}
    assert dict(laws.passed_over) == {"precedent": 1}


@pytest.mark.parametrize(
    "text",
    [
        "[1] 갑의 책임 [2] 을의 책임, 위 [1]의 경우",
        "가. 갑의 책임\n나. 을의 책임, 위 [1]의 경우",
        "(1) 갑의 책임\n(2) 을의 책임, 위 [1]의 경우",
        "1. 갑의 책임\n2. 을의 책임, 위 [1]의 경우",
        "［1］ 갑의\n  책임\n［2］ 을의 책임, 위 [1]의 경우",
    ],
)
def test_points_are_told_apart_however_they_are_numbered(text):
    assert points(text) == [Point((1,), "갑의 책임"), Point((2,), "을의 책임, 위 [1]의 경우")]


@pytest.mark.parametrize(
    "text",
    [
        "회사가. 그리고 나. 다.",
        "1962. 1. 3. 계약의 효력",
        "나. 둘째만 있다",
        "5. 16. 이후의 처분",
        "가처분의 효력",
    ],
)
def test_what_only_looks_like_a_number_is_prose(text):
    assert points(text) == [Point((), text)]


def test_a_point_may_be_left_out_but_the_count_never_falls():
    assert [point.numbers for point in points("[1] 갑\n[3] 을\n[2] 병")] == [(1,), (3,)]
    assert points("가. 1990. 2. 1. 계약\n나. 하나. 다.음") == [Point((1,), "1990. 2. 1. 계약"), Point((2,), "하나. 다.음")]


@given(st.lists(st.text("갑을병정 ,()").map("갑".__add__), min_size=1, max_size=14), st.sampled_from(["[{}] ", "가"]))
def test_numbered_texts_come_back_as_they_went_in(texts, style):
    marks = [style.format(number) if "{" in style else f"{letter}. " for number, letter in enumerate("가나다라마바사아자차카타파하", 1)]
    joined = "\n".join(mark + text for mark, text in zip(marks, texts, strict=False))
    expected = [Point((number,), " ".join(text.split()).strip(" /,")) for number, text in enumerate(texts, 1)]
    assert points(joined) == expected


def test_a_reference_to_a_point_is_no_point_and_a_word_that_begins_alike_is():
    assert [point.numbers for point in points("가. 갑\n나. 항소심의 반소")] == [(1,), (2,)]
    assert [point.numbers for point in points("가. 갑\n위 나.항의 을")] == [(1,)]


@pytest.mark.parametrize(
    ("text", "numbers"),
    [
        ("[1][2] 민법 제1조 / [2] 민법 제2조", [(1, 2), (2,)]),
        ("[1] 민법 제1조, / [2] 민법 제2조 [3] 상법 제3조", [(1,), (2,), (3,)]),
        ("가.나.\n형법 제20조 / 가.\n제350조 / 다.\n병역법 제78조", [(1, 2), (1,), (3,)]),
        ("가, 나. 민법 제1조", [(1, 2)]),
        ("[1] 내지 [3] 민법 제1조", [(1, 2, 3)]),
        ("민법 제1조 (가)목, 상법 제2조 / 형법 제3조", [()]),
        ("[1] 법 제1조 [별표 1] 제2호", [(1,)]),
    ],
)
def test_references_name_the_issues_that_they_belong_to(text, numbers):
    assert [point.numbers for point in reference_points(text)] == numbers


def test_every_issue_has_its_own_holding_and_references():
    first, second = aligned(case("[1] 갑\n[2] 을", "[1] 갑이다.\n[2] 을이다.", "[1][2] 민법 제1조 / [2] 상법 제2조", "[2] 대법원 판결"))
    assert (first.number, first.holding_text, first.statutes_text, first.cases_text) == (1, "갑이다.", "민법 제1조", "")
    assert (second.number, second.statutes_text, second.cases_text) == (2, "민법 제1조 / 상법 제2조", "대법원 판결")
    assert first.unnumbered == second.unnumbered == ()


def test_references_without_numbers_belong_to_one_issue_or_to_none():
    (only,) = aligned(case("갑의 책임", "그렇다.", "민법 제1조 / 상법 제2조"))
    assert (only.number, only.holding_text, only.statutes_text) == (None, "그렇다.", "민법 제1조 / 상법 제2조")
    for issue in aligned(case("[1] 갑\n[2] 을", "[1] 갑이다.", "민법 제1조")):
        assert (issue.statutes_text, issue.unnumbered) == ("", ("statutes",))


def test_a_case_without_issues_has_none():
    assert aligned(case(holdings="그렇다.", statutes="민법 제1조")) == []
