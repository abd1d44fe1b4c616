"""What models write when they are asked for Korean queries, and what is read out of it (requirement M40)."""

import json
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from retrieval_ko.synthesis.answers import parse_queries

THREE = ["보증금 반환 절차", "전세금을 못 돌려받으면 어떻게 하나요?", "집주인이 돈을 안 줘요"]

ANSWERS = {
    "plain lines": "{}\n{}\n{}",
    "blank lines": "\n\n{}\n\n{}\n   \n{}\n",
    "numbers": "1. {}\n2. {}\n3. {}",
    "numbers with a bracket": "1) {}\n2) {}\n(3) {}",
    "numbers with a colon": "1: {}\n2: {}\n3: {}",
    "square brackets": "[1] {}\n[2] {}\n[3] {}",
    "circled numbers": "①{}\n② {}\n③ {}",
    "dashes": "- {}\n- {}\n- {}",
    "stars and dots": "* {}\n• {}\n▪{}",
    "double quotes": '"{}"\n"{}"\n"{}"',
    "typographic quotes in a list": "1. “{}”\n2. ‘{}’\n3. 「{}」",
    "bold": "1. **{}**\n2. **{}**\n3. **{}**",
    "labels": "핵심어: {}\n질문: {}\n일상어: {}",
    "bold labels": "1. **핵심어:** {}\n2. **질문:** {}\n3. **일상어**: {}",
    "labels with numbers": "검색어 1: {}\n검색어 2: {}\n검색어 3: {}",
    "labels at the end": "1. {} (키워드)\n2. {} (질문형)\n3. {} [구어체]",
    "ordinal lines": "1번째 줄: {}\n2번째 줄: {}\n3번째 줄: {}",
    "English labels": "Query 1: {}\nQuery 2: {}\nQuestion: {}",
    "chatter before": "네, 다음은 문서에 대한 검색어 3개입니다:\n\n1. {}\n2. {}\n3. {}",
    "chatter around plain lines": "물론입니다!\n아래는 요청하신 검색어입니다.\n{}\n{}\n{}\n\n더 필요하시면 말씀해 주세요.",
    "English chatter": "Sure! Here are three search queries in Korean:\n\n- {}\n- {}\n- {}\n\nLet me know if you need more!",
    "an explanation after a list": "1. {}\n2. {}\n3. {}\n\n이 검색어들은 글의 핵심 내용을 다룹니다.",
    "a heading": "### 검색어\n---\n1. {}\n2. {}\n3. {}",
    "thoughts": "<think>\n1. 글은 보증금에 관한 것이다.\n2. 질문을 쓰자.\n</think>\n{}\n{}\n{}",
    "JSON": '["{}", "{}", "{}"]',
    "JSON in a fence": '```json\n[\n  "{}",\n  "{}",\n  "{}"\n]\n```',
    "JSON with chatter": 'Here is the JSON:\n{{"queries": ["{}", "{}", "{}"]}}\nHope this helps!',
    "JSON of objects": '[{{"type": "keyword", "query": "{}"}}, {{"type": "question", "query": "{}"}}, {{"query": "{}"}}]',
    "JSON with numbered keys": '{{"query1": "{}", "query2": "{}", "query3": "{}"}}',
    "JSON that lost its end": '{{"queries": [\n  "{}",\n  "{}",\n  "{}",\n',
    "Windows line ends": "1. {}\r\n2. {}\r\n3. {}\r\n",
}


@pytest.mark.parametrize("form", ANSWERS)
def test_the_queries_are_read_out_of(form):
    assert parse_queries(ANSWERS[form].format(*THREE)) == THREE


@pytest.mark.parametrize(
    "query",
    [
        "1.5톤 트럭 운전면허",
        "119 신고 방법",
        "1:1 상담 예약",
        "3년 지난 빚",
        "(주) 설립 절차",
        "'갑질' 신고 방법",
        "C++ 배우기",
        "네이버 지도 길찾기",
        "60% 할인 조건",
    ],
)
@pytest.mark.parametrize("form", ["{}", "- {}\n- 다른 검색어", "2. {}\n3. 다른 검색어"])
def test_a_query_keeps_what_looks_like_a_mark(query, form):
    assert parse_queries(form.format(query))[0] == query


@pytest.mark.parametrize(
    "answer", ["", " \n\n", "검색어 3개:", "Sure! Here are three queries:", "[]", "{}", "[1, 2]", "<think>음", "```\n```", "---"]
)
def test_an_answer_without_a_query_gives_none(answer):
    assert parse_queries(answer) == []


def test_jamo_are_composed():
    assert parse_queries(unicodedata.normalize("NFD", "1. 보증금 반환")) == ["보증금 반환"]


SYLLABLES = st.text(st.characters(min_codepoint=ord("가"), max_codepoint=ord("힣")), min_size=2, max_size=6)
QUERIES = st.lists(st.lists(SYLLABLES, min_size=2, max_size=4).map(" ".join), min_size=2, max_size=5)


@given(
    QUERIES.filter(lambda queries: not any(query.endswith(("니다", "요")) for query in queries)),
    st.sampled_from(["- ", "* ", "{}. ", "{}) "]),
)
def test_lists_and_json_of_any_queries_are_read_alike(queries, mark):
    as_list = "\n".join(mark.format(number) + query for number, query in enumerate(queries, start=1))
    assert parse_queries(as_list) == queries
    assert parse_queries(json.dumps(queries)) == queries


@given(st.text())
def test_no_answer_breaks_the_reader(answer):
    assert all(query and query == query.strip() for query in parse_queries(answer))
