"""A collection is read as it was written, and a defect is named with file and line."""

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from retrieval_ko.collection import Collection, sample_folder, texts_of
from retrieval_ko.errors import DataError
from retrieval_ko.records import Passage, Query, SynonymPair

ID = st.text("가나ab01-_:.", min_size=1, max_size=6)
IDS = st.sets(ID, min_size=1, max_size=4)
TEXT = st.text(st.characters(codec="utf-8", exclude_categories=["Cs"]), max_size=20)
WORDS = TEXT.filter(str.strip)
METADATA = st.dictionaries(st.text("가a", min_size=1, max_size=3), st.integers() | TEXT | st.booleans(), max_size=2)


@st.composite
def collections(draw):
    passages = {key: Passage(id=key, title=draw(TEXT), text=draw(WORDS), metadata=draw(METADATA)) for key in draw(IDS)}
    queries = {key: Query(id=key, text=draw(WORDS), metadata=draw(METADATA)) for key in draw(IDS)}
    grades = st.dictionaries(st.sampled_from(sorted(passages)), st.integers(-1, 3), min_size=1)
    judgements = st.dictionaries(st.sampled_from(sorted(queries)), grades, min_size=1)
    splits = draw(st.dictionaries(st.sampled_from(["train", "dev", "test"]), judgements))
    synonyms = draw(st.lists(st.builds(SynonymPair, ko=WORDS, en=WORDS, source=TEXT, domain=TEXT), max_size=2))
    return Collection(draw(TEXT), passages, queries, splits, synonyms, draw(TEXT), draw(st.lists(TEXT, max_size=2)))


@settings(max_examples=60, deadline=None)
@given(collections())
def test_what_was_written_is_read(tmp_path_factory, collection):
    folder = tmp_path_factory.getbasetemp() / "collection"
    collection.write(folder)
    assert Collection.read(folder) == collection


def test_passages_without_queries_are_a_collection_too(tmp_path):
    collection = Collection("only-passages", {"p1": Passage(id="p1", text="전세")})
    collection.write(tmp_path / "c")
    assert Collection.read(tmp_path / "c") == collection


CORPUS = [{"_id": "p1", "text": "보증금"}, {"_id": "p2", "text": "도서관"}]
QUERIES = [{"_id": "q1", "text": "전세"}]
HEADER = "query-id\tcorpus-id\tscore\n"


@pytest.fixture
def folder(tmp_path):
    def write(corpus=CORPUS, queries=QUERIES, judgements="q1\tp1\t1\n"):
        for name, rows in (("corpus.jsonl", corpus), ("queries.jsonl", queries)):
            (tmp_path / name).write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
        (tmp_path / "qrels").mkdir()
        (tmp_path / "qrels" / "train.tsv").write_text(HEADER + judgements, encoding="utf-8")
        return tmp_path

    return write


@pytest.mark.parametrize(
    ("corpus", "complaint"),
    [
        ([*CORPUS, {"_id": "p1", "text": "다시"}], "line 3: the _id 'p1' was used before, in line 1"),
        ([*CORPUS, {"text": "이름이 없다"}], "line 3: has no _id"),
        ([], "is empty"),
        ([{"_id": "p1", "text": "가" * 1_000_001}], "line 1: the text of 'p1' has 1,000,001 characters; the limit is 1,000,000"),
        ([{"_id": "p1", "text": "  \n"}], "line 1: the text of 'p1' is empty"),
        ([{"_id": "p1"}], "line 1: text: field required"),
        ([{"_id": "p 1", "text": "빈칸"}], "line 1: _id:"),
        ([{"_id": "p1", "text": 7}], "line 1: text: input should be a valid string (found '7')"),
    ],
)
def test_a_defect_in_the_corpus_is_named_with_its_line(folder, corpus, complaint):
    target = folder(corpus=corpus)
    with pytest.raises(DataError) as caught:
        Collection.read(target)
    assert caught.value.problem.startswith(str(target / "corpus.jsonl"))
    assert complaint in caught.value.problem


@pytest.mark.parametrize(
    ("judgement", "complaint"),
    [
        ("q9\tp1\t1\n", "judges the query 'q9'"),
        ("q1\tp9\t1\n", "judges the passage 'p9'"),
        ("q1\tp1\n", "expected 3 tab-separated fields (query-id, corpus-id, score), found 2"),
        ("q1 0 p1 1\n", "expected 3 tab-separated fields (query-id, corpus-id, score), found 1"),
        ("q1\tp1\tyes\n", "the score 'yes' is not a whole number"),
        ("q1\tp1\t0.5\n", "the score '0.5' is not a whole number"),
        ("q1\tp1\t²\n", "the score '²' is not a whole number"),
        ("q1\tp1\t--1\n", "the score '--1' is not a whole number"),
    ],
)
def test_a_defect_in_a_judgement_is_named_with_its_line(folder, judgement, complaint):
    target = folder(judgements="q1\tp2\t1\n" + judgement)
    with pytest.raises(DataError) as caught:
        Collection.read(target)
    assert caught.value.problem.startswith(f"{target / 'qrels' / 'train.tsv'}, line 3: {complaint}")


def test_a_million_characters_are_just_allowed(folder):
    collection = Collection.read(folder(corpus=[{"_id": "p1", "text": "가" * 1_000_000}]))
    assert len(collection.passages["p1"].text) == 1_000_000


def test_a_number_as_id_is_its_digits(folder):
    assert list(Collection.read(folder(corpus=[{"_id": 7, "text": "일곱"}], judgements="q1\t7\t1\n")).passages) == ["7"]


def test_judgements_without_a_line_are_refused(folder):
    with pytest.raises(DataError, match=r"train\.tsv holds no judgement"):
        Collection.read(folder(judgements=""))


def test_a_missing_folder_is_named():
    with pytest.raises(DataError, match="There is no collection folder /nowhere"):
        Collection.read(Path("/nowhere"))


def test_an_unknown_split_is_answered_with_the_known_ones(folder):
    with pytest.raises(DataError, match="no judgements for the split 'dev'; it has: train"):
        Collection.read(folder()).relevant("dev")


def test_relevant_leaves_out_grade_zero_and_queries_that_have_nothing_else():
    passages = {key: Passage(id=key, text=key) for key in ("p1", "p2", "p3")}
    queries = {key: Query(id=key, text=key) for key in ("q1", "q2")}
    judgements = {"test": {"q1": {"p2": 2, "p1": 0, "p3": 1}, "q2": {"p1": 0}}}
    assert Collection("c", passages, queries, judgements).relevant("test") == {"q1": ["p2", "p3"]}


def test_title_and_text_are_read_with_a_line_break_between():
    assert texts_of([Passage(id="1", title="제목", text="글"), Passage(id="2", text="글")]) == ["제목\n글", "글"]


@pytest.fixture(scope="module")
def sample():
    return Collection.read(sample_folder())


def test_the_packaged_sample_has_300_passages_and_three_judged_splits(sample):
    assert len(sample.passages) == 300
    assert sample.judgements.keys() == {"train", "dev", "test"}
    assert all(sample.relevant(split) for split in sample.judgements)
    assert sample.synonyms
    assert sample.licence


def test_no_question_of_the_sample_is_in_two_splits(sample):
    asked = [{" ".join(sample.queries[query].text.split()) for query in judgements} for judgements in sample.judgements.values()]
    assert sum(map(len, asked)) == len(set().union(*asked)) == sum(map(len, sample.judgements.values()))


def test_every_passage_and_every_query_of_the_sample_is_judged(sample):
    judged = [(query, passage) for split in sample.judgements.values() for query, grades in split.items() for passage in grades]
    assert {query for query, _ in judged} == sample.queries.keys()
    assert {passage for _, passage in judged} == sample.passages.keys()
