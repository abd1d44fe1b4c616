"""Ids, units and the laws that hold for every law."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from retrieval_ko.collection import Collection
from retrieval_ko.errors import DataError, UsageError
from retrieval_ko.legal.collection import write_collection
from retrieval_ko.legal.drafting import ArticleDraft
from retrieval_ko.legal.passages import Unit, passages_of
from retrieval_ko.legal.structure import Article, Item, Law, Paragraph, Subitem

words = st.text(alphabet="가나다라마바사 법조항호①1.", min_size=1, max_size=30).map(lambda text: " ".join(text.split())).filter(bool)
subitems = st.lists(st.builds(Subitem, st.sampled_from("가나다"), words), max_size=2).map(tuple)
items = st.lists(st.builds(Item, st.sampled_from(["1", "1의2", "2"]), words, subitems), max_size=3).map(tuple)
paragraphs = st.lists(st.builds(Paragraph, st.sampled_from([None, 1, 2, 3]), words, items), min_size=1, max_size=4).map(tuple)
numbers = st.lists(st.sampled_from(["제1조", "제1조의2", "제2조", "제11조", "제1-1조"]), unique=True, min_size=1)


@st.composite
def laws(draw):
    articles = tuple(Article(number, draw(st.sampled_from(["", "목적"])), draw(paragraphs)) for number in draw(numbers))
    return Law(draw(st.sampled_from(["law", "admin"])), "000012", "도서 대여법", "법률", "2024-07-03", articles)


@given(law=laws(), unit=st.sampled_from(Unit))
def test_ids_are_unique_even_where_the_source_numbers_two_paragraphs_alike(law, unit):
    ids = [passage.id for passage in passages_of(law, unit)]
    assert len(ids) == len(set(ids))


@given(law=laws())
def test_every_paragraph_is_inside_its_article(law):
    whole = {passage.article: passage.text for passage in passages_of(law)}
    for passage in passages_of(law, Unit.PARAGRAPH):
        assert all(line in whole[passage.article] for line in passage.body.split("\n"))


@given(law=laws(), unit=st.sampled_from(Unit))
def test_every_unit_begins_with_law_and_article(law, unit):
    assert all(passage.text.startswith(f"{law.name} {passage.article}") for passage in passages_of(law, unit))


@given(law=laws(), unit=st.sampled_from(Unit))
def test_no_line_of_an_article_is_lost_in_smaller_units(law, unit):
    lines = {line for passage in passages_of(law, unit) for line in passage.body.split("\n")}
    assert lines == {line for article in law.articles for line in article.text.split("\n")}


@given(texts=st.lists(words, min_size=1, max_size=5))
def test_a_draft_keeps_what_it_is_given_in_order(texts):
    draft = ArticleDraft("제1조", "")
    for number, text in enumerate(texts, start=1):
        draft.paragraph(number, f"{text} 끝 <개정 2020.1.2>")
    assert [paragraph.text for paragraph in draft.finish().paragraphs] == [f"{text} 끝" for text in texts]


@pytest.fixture
def law():
    definitions = Paragraph(None, "뜻은 다음과 같다.", (Item("1", "책", (Subitem("가", "만화"),)), Item("1의2", "방")))
    fees = Paragraph(1, "다음 각 호에 따른다.", (Item("1", "하루"), Item("2", "이틀")))
    articles = (Article("제2조", "정의", (definitions,)), Article("제3조의2", "요금", (fees, Paragraph(2, "더 받지 못한다."))))
    return Law("law", "000012", "도서 대여법", "법률", "2024-07-03", articles)


def test_an_article_is_named_by_law_and_number(law):
    assert [passage.id for passage in passages_of(law)] == ["LAW_000012_제2조", "LAW_000012_제3조의2"]


def test_a_paragraph_adds_its_number_and_an_undivided_article_keeps_its_id(law):
    assert [passage.id for passage in passages_of(law, Unit.PARAGRAPH)] == [
        "LAW_000012_제2조",
        "LAW_000012_제3조의2_1",
        "LAW_000012_제3조의2_2",
    ]


def test_an_item_adds_paragraph_and_item_and_says_what_introduces_it(law):
    passages = {passage.id: passage.body for passage in passages_of(law, Unit.ITEM)}
    assert passages == {
        "LAW_000012_제2조_0_1": "뜻은 다음과 같다.\n1. 책\n가. 만화",
        "LAW_000012_제2조_0_1의2": "뜻은 다음과 같다.\n1의2. 방",
        "LAW_000012_제3조의2_1_1": "① 다음 각 호에 따른다.\n1. 하루",
        "LAW_000012_제3조의2_1_2": "① 다음 각 호에 따른다.\n2. 이틀",
        "LAW_000012_제3조의2_2_0": "② 더 받지 못한다.",
    }


def test_a_row_of_a_passage_file_has_the_six_fields(law):
    assert list(passages_of(law))[1].row() == {
        "id": "LAW_000012_제3조의2",
        "parent_id": "000012",
        "type": "law",
        "text": "도서 대여법 제3조의2(요금)\n① 다음 각 호에 따른다.\n1. 하루\n2. 이틀\n② 더 받지 못한다.",
        "law_name": "도서 대여법",
        "article": "제3조의2",
    }


def test_a_collection_reads_back_with_the_same_text(law, tmp_path):
    assert write_collection([law], tmp_path / "statutes") == 2
    passage = Collection.read(tmp_path / "statutes").passages["LAW_000012_제3조의2"]
    assert passage.passage_text == list(passages_of(law))[1].text
    assert passage.metadata == {
        "law_name": "도서 대여법",
        "article": "제3조의2",
        "parent_id": "000012",
        "type": "law",
        "kind": "법률",
        "effective_date": "2024-07-03",
    }


def test_a_folder_that_holds_something_else_is_not_replaced(law, tmp_path):
    (tmp_path / "queries.jsonl").write_text("mine", encoding="utf-8")
    with pytest.raises(UsageError, match=r"queries\.jsonl"):
        write_collection([law], tmp_path)
    assert (tmp_path / "queries.jsonl").read_text(encoding="utf-8") == "mine"


def test_nothing_to_write_leaves_nothing(tmp_path):
    with pytest.raises(DataError, match="no article"):
        write_collection([], tmp_path / "statutes")
    assert list(tmp_path.iterdir()) == []
