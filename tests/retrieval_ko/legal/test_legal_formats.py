"""One law in two formats reads the same; structure is kept, what is not law is left out."""

import pytest

from retrieval_ko.legal.document import load
from retrieval_ko.legal.passages import passages_of
from retrieval_ko.legal.registry import type_of
from retrieval_ko.legal.structure import Annex


def read(path):
    document = load(path)
    return type_of(document).read(document)


@pytest.fixture(params=["markdown", "json"])
def law(request, write, markdown_law, json_law):
    return read(write("law.md", markdown_law()) if request.param == "markdown" else write("law.json", json_law()))


def article(law, number):
    return next(article for article in law.articles if article.number == number)


def test_both_formats_read_the_same(write, markdown_law, json_law):
    assert read(write("law.md", markdown_law())) == read(write("law.json", json_law()))


def test_a_law_knows_what_it_is(law):
    assert (law.kind, law.law_id, law.name, law.level, law.effective_date) == ("law", "000012", "도서 대여법", "법률", "2024-07-03")


def test_an_annex_is_known_by_its_name_only(law):
    assert law.annexes == (Annex("별표 1의2", "과태료의 부과기준"),)


def test_articles_are_those_of_the_law_without_headings_and_supplementary_provisions(law):
    assert [article.number for article in law.articles] == ["제1조", "제2조", "제3조", "제3조의2", "제4조"]
    assert not any("총칙" in article.text or "조건" in article.text or "공포한 날" in article.text for article in law.articles)


def test_an_amendment_mark_is_no_text(law):
    assert article(law, "제1조").text == "이 법은 도서의 대여를 정함을 목적으로 한다."


def test_items_and_subitems_are_kept_as_structure(law):
    (paragraph,) = article(law, "제2조").paragraphs
    assert paragraph.number is None
    assert [item.number for item in paragraph.items] == ["1", "1의2"]
    assert [(sub.label, sub.text) for sub in paragraph.items[0].subitems] == [
        ("가", "종이책"),
        ("나", "전자책. 다만, 다음의 것은 제외한다. 1) 시험판"),
    ]


def test_deleted_articles_paragraphs_items_and_subitems_are_out(law):
    assert article(law, "제3조").deleted
    assert [paragraph.number for paragraph in article(law, "제3조의2").paragraphs] == [1, 3]
    assert not any("삭제" in article.text for article in law.articles)


def test_a_drawn_table_is_out_and_a_bracket_that_is_law_stays(law):
    assert article(law, "제3조의2").text == '① 연체료는 다음 표와 같다.\n③ 도서관은 연체료[이하 "요금"이라 한다]를 별표 1의2에 따라 받는다.'


def test_an_article_without_text_is_empty_and_not_deleted(law):
    assert not article(law, "제4조").deleted
    assert article(law, "제4조").text == ""


def test_a_passage_begins_with_law_article_and_title(law):
    passages = {passage.article: passage.text for passage in passages_of(law)}
    assert passages["제3조의2"].startswith("도서 대여법 제3조의2(연체료)\n① ")


@pytest.mark.parametrize("format_", ["markdown", "json", "json with escapes"])
def test_decomposed_hangul_reads_like_composed(format_, write, markdown_law, json_law):
    if format_ == "markdown":
        composed, decomposed = write("c.md", markdown_law()), write("d.md", markdown_law(), form="NFD")
    else:
        import json
        import unicodedata

        composed = write("c.json", json_law())
        value = json.loads(unicodedata.normalize("NFD", json_law()))
        decomposed = write("d.json", json.dumps(value, ensure_ascii=format_ == "json with escapes"), form="NFD")
    assert read(decomposed) == read(composed)


def test_dates_at_which_parts_take_effect_are_no_text(write, markdown_law):
    body = "\n##### 제1조 (휴일)\n\n**①** 쉰다.\n\n\t\t[시행일] 다음 각 목의 날\n\n    가\\. 큰 곳\n\n**②** 또 쉰다.\n\n## 부칙\n"
    (only,) = read(write("law.md", markdown_law(body=body))).articles
    assert only.text == "① 쉰다.\n② 또 쉰다."


def test_a_rule_in_single_lines_is_taken_apart(write, admin_rule):
    elements = [
        "제1장 총 칙 ",
        '제2조의2(용어의 정의) ① 다음 각 호와 같다. 1. "책"이란 2003. 1. 1. 이후의 각 목이다. 가. 만화 나. 삭 제 <2020. 1. 2.> 다. 소설 '
        '2. "방"이란 제1조(목적)의 곳이다. <개정 2020. 1. 2.> ② <삭제 2016. 6. 28.> ③ <별표 1>에 따른다. [본조신설 2021. 3. 4.] ',
        "제2장의2 벌칙",
        "제3조 삭 제 <2021. 3. 4.> ",
        "제4조(규제) 정한다. [시행일: 2016. 3. 12.] 제4조 ",
    ]
    rule = read(write("rule.json", admin_rule(elements)))
    first, second, third = rule.articles
    assert (rule.kind, rule.law_id) == ("admin", "2100000000001")
    assert first.heading == "제2조의2(용어의 정의)"
    assert [paragraph.number for paragraph in first.paragraphs] == [1, 3]
    assert [item.number for item in first.paragraphs[0].items] == ["1", "2"]
    assert [sub.label for sub in first.paragraphs[0].items[0].subitems] == ["가", "다"]
    assert first.paragraphs[1].text == "<별표 1>에 따른다."
    assert second.deleted
    assert third.text == "정한다."


def test_a_remark_on_dates_ends_where_the_next_paragraph_begins(write, admin_rule):
    (only,) = read(write("rule.json", admin_rule(["제1조(보고) ① 보고한다.[시행일 : 2025. 9. 1.] 제1조제1항제12호 ② 기록한다."]))).articles
    assert only.text == "① 보고한다.\n② 기록한다."


def test_a_rule_of_one_article_is_not_cut_at_its_references(write, admin_rule):
    (only,) = read(write("rule.json", admin_rule(["제1조(보고) 이 규정은 영 제2조(정의) 및 다음 제3조(요금)에 따른다."]))).articles
    assert only.text == "이 규정은 영 제2조(정의) 및 다음 제3조(요금)에 따른다."


def test_a_rule_in_one_string_is_cut_at_its_articles_and_not_at_references(write, admin_rule):
    text = (
        "제1장 총칙 제1-1조(목적) 정한다. 제1-2조(정의) 다만 제2-2조(보고사항) 각 호는 제외한다.\u3000 제2장 보고 제1절 통칙 "
        "제2-1조(보고) 보고한다. 제2-1조의2(기한) 열흘로 한다. 제2-2조(보고사항) 모두이다."
    )
    articles = read(write("rule.json", admin_rule(text))).articles
    assert [article.number for article in articles] == ["제1-1조", "제1-2조", "제2-1조", "제2-1조의2", "제2-2조"]
    assert articles[1].text == "다만 제2-2조(보고사항) 각 호는 제외한다."
