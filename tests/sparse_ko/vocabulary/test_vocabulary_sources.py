"""Nothing is learnt from a query of dev or test, in no scheme of splits; which texts a share holds is a matter of hash."""

import gzip

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from retrieval_ko.collection import Collection
from retrieval_ko.errors import DataError
from retrieval_ko.files import sha256, write_jsonl
from retrieval_ko.records import Passage, Query, SynonymPair
from sparse_ko.vocabulary.sources import count_lines, drawn, hashes, read_texts, text_files, train_queries


@pytest.fixture
def folder(tmp_path):
    """A collection of two schemes: b is for training by date, and held out by article."""
    queries = {name: Query(id=name, text=f"질문 {name}") for name in "abcde"}
    judgements = {
        "train": {"a": {"p": 1}, "b": {"p": 1}},
        "dev": {"c": {"p": 1}},
        "test": {"d": {"p": 1}},
        "article-train": {"a": {"p": 1}, "e": {"p": 1}},
        "article-dev": {"b": {"p": 1}},
        "article-dropped": {"a": {"p": 1}},
    }
    passages = {"p": Passage(id="p", title="제목", text="본문"), "r": Passage(id="r", text="제목 없는 글")}
    Collection("small", passages, queries, judgements, [SynonymPair(ko="보증금", en="deposit")]).write(tmp_path / "small")
    return tmp_path / "small"


def test_of_a_collection_passages_train_queries_and_synonyms_are_read(folder):
    assert list(read_texts(text_files([folder]))) == ["제목\n본문", "제목 없는 글", "질문 a", "질문 e", "보증금", "deposit"]


def test_a_query_that_any_scheme_holds_out_is_not_read(folder):
    assert train_queries(folder) == {"a", "e"}


def test_passages_alone_can_be_asked_for(folder):
    assert list(read_texts(text_files([folder], "passages"))) == ["제목\n본문", "제목 없는 글"]


def test_the_query_file_of_a_collection_is_refused(folder):
    with pytest.raises(DataError, match="holds the queries of dev and test too") as caught:
        text_files([folder / "queries.jsonl"])
    assert str(folder) in caught.value.remedy


def test_plain_text_is_read_by_the_line_compressed_or_not(tmp_path):
    text = "첫째 줄\n\n둘째 줄\n".encode()
    (tmp_path / "a.txt").write_bytes(text)
    (tmp_path / "a.txt.gz").write_bytes(gzip.compress(text))
    (tmp_path / "a.txt.zst").write_bytes(zstandard.compress(text))
    files = text_files([tmp_path / name for name in ("a.txt", "a.txt.gz", "a.txt.zst")])
    assert list(read_texts(files)) == ["첫째 줄", "둘째 줄"] * 3


def test_json_lines_may_be_compressed(tmp_path):
    (tmp_path / "a.jsonl.zst").write_bytes(zstandard.compress('{"_id": "1", "title": "가", "text": "나"}\n'.encode()))
    assert list(read_texts(text_files([tmp_path / "a.jsonl.zst"]))) == ["가\n나"]


@pytest.mark.parametrize("row", [{"_id": "x"}, {"_id": "x", "text": 3}, {"_id": "x", "text": "a", "title": ["b"]}, {"ko": "가"}])
def test_a_line_without_text_is_named(tmp_path, row):
    write_jsonl(tmp_path / "a.jsonl", [{"text": "좋은 줄"}, row])
    with pytest.raises(DataError, match=r"a\.jsonl, line 2: holds no text"):
        list(read_texts(text_files([tmp_path / "a.jsonl"])))


@pytest.mark.parametrize(
    ("name", "problem"), [("nothing", "There is no file or collection"), ("", "is no collection: it has no corpus.jsonl")]
)
def test_what_is_neither_file_nor_collection_is_refused(tmp_path, name, problem):
    with pytest.raises(DataError, match=problem):
        text_files([tmp_path / name])


def test_progress_counts_every_line_up_to_the_number_known_before(folder):
    files = text_files([folder])
    told = []
    list(read_texts(files, 0.01, told.append))
    assert told[-1] == count_lines(files) == 2 + 5 + 1


def test_the_card_names_files_without_the_machines_path(folder):
    assert hashes(text_files([folder]))["small/corpus.jsonl"] == sha256(folder / "corpus.jsonl")


@given(st.floats(0, 1), st.floats(0, 1), st.text())
def test_a_larger_share_holds_the_smaller_one(one, other, name):
    smaller, larger = sorted((one, other))
    assert drawn(name, larger) or not drawn(name, smaller)


def test_a_share_is_about_what_it_says():
    # 3,000 draws of probability 0.2: the standard deviation is 22, five of them 110
    assert abs(sum(drawn(f"file:{number}", 0.2) for number in range(3000)) - 600) < 110
