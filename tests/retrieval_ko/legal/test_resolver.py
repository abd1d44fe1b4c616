"""Citations and the articles that are there: an id, or the reason why not."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from retrieval_ko.legal.numbering import article_number
from retrieval_ko.legal.passages import passages_of
from retrieval_ko.legal.precedents import Precedent
from retrieval_ko.legal.reading import ReadingReport, find_documents, read_laws
from retrieval_ko.legal.resolver import Reason, Resolver
from retrieval_ko.legal.structure import Article, Law, Paragraph


def law(name, law_id, numbers, enacted="1960-01-01", kind="law", effective="2024-01-01", inserted=None):
    articles = tuple(
        Article(article_number(*n.split("의")), "", (Paragraph(None, "글"),), inserted=(inserted or {}).get(n, "")) for n in numbers.split()
    )
    return Law(kind, law_id, name, "법률", effective, articles, enacted=enacted)


LAWS = [
    law("대여법", "000001", "1 2 3 4 5의2 5 6 8", inserted={"8": "2005-03-01"}),
    law("대여법 시행령", "000002", "1 2", enacted="1999-06-30"),
    law("대한민국헌법", "000003", "10", enacted="1987-10-29"),
    law("도서 대여에 관한 규정", "2100", "1", kind="admin"),
    law("같은 이름의 법", "000004", "1"),
    law("같은 이름의 법", "000005", "1"),
    law("새 이름의 법", "000006", "1 2", effective="1997-01-01"),
    law("새 이름의 법", "000007", "1", effective="2024-01-01", enacted="2007-04-11"),
]


@pytest.fixture(scope="module")
def resolver():
    return Resolver(LAWS)


def outcome(resolver, text, decided="2010-01-01"):
    return [citation.article_id or citation.reason for citation in resolver.resolve(text, decided)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("대여법 제3조, 제5조의2", ["LAW_000001_제3조", "LAW_000001_제5조의2"]),
        ("대여법 제1조, 같은 법 시행령 제2조", ["LAW_000001_제1조", "LAW_000002_제2조"]),
        ("도서대여에관한규정 제1조", ["ADM_2100_제1조"]),
        ("헌법 제10조", ["LAW_000003_제10조"]),
        ("민소법 제1조", [Reason.UNKNOWN_LAW]),
        ("대여법 제7조", [Reason.NO_ARTICLE]),
        ("책법 제1조, 같은 법 제2조", [Reason.UNKNOWN_LAW, Reason.UNKNOWN_LAW]),
        ("같은 법 제1조", [Reason.NO_LAW]),
        ("제1조", [Reason.NO_LAW]),
        ("구 대여법 제1조", [Reason.OLD]),
        ("대여법(2000. 1. 1. 법률 제1호로 개정되기 전의 것) 제1조", [Reason.OLD]),
        ("대여법 부칙 제1조", [Reason.SUPPLEMENTARY]),
        ("대여법 제1조 [별표 1]", ["LAW_000001_제1조", Reason.ANNEX]),
        ("같은 이름의 법 제1조", [Reason.SEVERAL_LAWS]),
        ("새 이름의 법 제1조, 제2조", ["LAW_000007_제1조", Reason.NO_ARTICLE]),
    ],
)
def test_a_citation_is_an_article_or_a_reason(text, expected, resolver):
    assert outcome(resolver, text) == expected


def test_a_range_is_the_articles_that_the_law_has_between_its_ends(resolver):
    ids = ["LAW_000001_제4조", "LAW_000001_제5조", "LAW_000001_제5조의2", "LAW_000001_제6조", Reason.NO_ARTICLE]
    assert outcome(resolver, "대여법 제4조 내지 제7조") == ids
    assert [citation.article for citation in resolver.resolve("책법 제4조 내지 제7조", "2010-01-01")] == ["제4조", "제7조"]


@pytest.mark.parametrize(
    ("decided", "expected"),
    [
        ("1999-06-29", Reason.REVISED),
        ("2000-06-29", Reason.REVISED),  # promulgated, but perhaps not yet in force
        ("2000-06-30", "LAW_000002_제1조"),
        ("", Reason.UNDATED),
    ],
)
def test_a_law_younger_than_the_decision_is_not_what_was_cited(decided, expected, resolver):
    assert outcome(resolver, "대여법 시행령 제1조", decided) == [expected]


def test_an_article_younger_than_the_decision_is_not_what_was_cited(resolver):
    assert outcome(resolver, "대여법 제8조", "2005-01-01") == [Reason.INSERTED]
    assert outcome(resolver, "대여법 제8조", "2006-03-01") == ["LAW_000001_제8조"]


def test_a_part_that_was_numbered_anew_is_not_what_was_cited():
    code = Resolver([law("상법", "001702", "1 740 895 896")])
    before = outcome(code, "상법 제1조, 제740조, 제895조, 제896조", "2000-01-01")
    assert before == ["LAW_001702_제1조", Reason.INSERTED, Reason.INSERTED, "LAW_001702_제896조"]
    assert outcome(code, "상법 제740조", "2009-01-01") == ["LAW_001702_제740조"]


def test_dates_are_learnt_from_another_source_of_the_same_law():
    plain = Resolver([law("대여법", "000001", "1 2")])
    assert plain.learn_dates([law("대여법", "000001", "2 9", inserted={"2": "2012-02-10", "9": "2012-02-10"})]) == 1
    assert outcome(plain, "대여법 제1조, 제2조", "2000-01-01") == ["LAW_000001_제1조", Reason.INSERTED]


def test_a_part_without_a_law_takes_it_from_the_part_before(resolver):
    one = Precedent(
        "1",
        "90다1",
        "",
        "대법원",
        "2010-01-01",
        "",
        "가. 갑\n나. 을\n다. 병",
        "",
        "가.나. 대여법 제1조 / 나. 제2조, 제1조 / 다. 구 대여법 제3조",
        "",
    )
    first, second, third = resolver.of_issues(one)
    assert (first[0].issue_text, [citation.article_id for citation in first[1]]) == ("갑", ["LAW_000001_제1조"])
    assert [citation.article_id for citation in second[1]] == ["LAW_000001_제1조", "LAW_000001_제2조"]
    assert [citation.reason for citation in third[1]] == [Reason.OLD]


def test_references_without_numbers_belong_to_none_of_several_issues(resolver):
    one = Precedent("1", "90다1", "", "대법원", "2010-01-01", "", "[1] 갑\n[2] 을", "", "대여법 제1조", "")
    assert [citations for _, citations in resolver.of_issues(one)] == [[], []]


@given(
    st.lists(
        st.sampled_from(
            ["같은 법 ", "동법시행령 ", "위 규칙 ", "제1조", ", ", "구 ", "대여법 ", "내지 ", "부칙 ", "(폐지)", "제2항", "같은 조 "]
        )
    )
)
def test_whatever_is_cited_has_an_id_that_exists_or_a_reason(pieces):
    resolver = Resolver(LAWS)
    ids = {passage.id for one in LAWS for passage in passages_of(one)}
    for citation in resolver.resolve("".join(pieces), "2010-01-01"):
        assert bool(citation.article_id) != bool(citation.reason)
        assert not citation.article_id or citation.article_id in ids


def test_both_formats_tell_when_a_law_was_enacted(write, markdown_law, json_law):
    for path in [write("a/1.md", markdown_law()), write("b/1.json", json_law())]:
        (one,) = read_laws(find_documents(path.parent), ReadingReport())
        assert one.enacted == "2020-01-02"


@pytest.mark.parametrize(
    ("supplements", "enacted"),
    [
        ("부칙 <제471호,1958.2.22>\n\n글\n\n부칙 <제9호,2001.1.1>", "1958-02-22"),
        ("부칙(양식법) <제1호,2019.8.27>\n\n글\n\n부칙 <제2호,2020.1.29>", "2020-01-29"),
        ("부칙(양식법) <제1호,2019ㆍ8ㆍ27>", "2019-08-27"),
        ("글", ""),
    ],
)
def test_a_law_is_as_old_as_its_own_first_supplement(supplements, enacted, write, markdown_law):
    body = f"\n##### 제1조 (목적)\n\n정한다.\n\n## 부칙\n\n{supplements}\n"
    (one,) = read_laws(find_documents(write("law.md", markdown_law(body=body)).parent), ReadingReport())
    assert one.enacted == enacted


@pytest.mark.parametrize(
    ("remark", "inserted"),
    [
        ("[본조신설 2011. 1. 1.]", "2011-01-01"),
        ("[제5조에서 이동, 종전 제6조는 제7조로 이동 <2016.1.19>]", "2016-01-19"),
        ("[전문개정 2008.6.13]", ""),
    ],
)
def test_an_article_is_as_old_as_its_number(remark, inserted, write, json_law):
    units = [{"조문여부": "조문", "조문번호": "1", "조문제목": "목적", "조문내용": "제1조(목적) 정한다.", "조문참고자료": remark}]
    (one,) = read_laws(find_documents(write("law.json", json_law(units)).parent), ReadingReport())
    assert [article.inserted for article in one.articles] == [inserted]
    assert one.articles[0].text == "정한다."
