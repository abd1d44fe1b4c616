"""An input file is read to its last line before anything is encoded, and whatever is wrong with it is said with its line."""

import gzip
import json

import pytest

from dense_ko.embedding import check_texts, read_texts
from retrieval_ko.errors import DataError


@pytest.fixture
def write(tmp_path):
    def lines(*rows, name="texts.jsonl"):
        path = tmp_path / name
        path.write_text("".join((row if isinstance(row, str) else json.dumps(row, ensure_ascii=False)) + "\n" for row in rows))
        return path

    return lines


GOOD = {"_id": "a", "text": "전세 보증금"}


@pytest.mark.parametrize(
    ("row", "wanted"),
    [
        ({"_id": "a", "title": "민법", "text": "전세"}, ("a", "민법\n전세")),
        (
            {"id": "LAW_1_제1조", "parent_id": "1", "type": "law", "text": "전세", "law_name": "민법", "article": "제1조"},
            ("LAW_1_제1조", "전세"),
        ),
        ({"_id": 7, "text": "전세", "metadata": {"anything": ["at", "all"]}}, ("7", "전세")),
    ],
)
def test_passages_of_collections_and_of_passage_files_are_read(write, row, wanted):
    assert list(read_texts(write(row), "passage")) == [wanted]


@pytest.mark.parametrize(
    "row", [{"_id": "q", "text": "신고 기한"}, {"query_id": "q", "query_text": "신고 기한"}, {"id": "q", "text": "신고 기한"}]
)
def test_queries_are_read_under_either_name(write, row):
    assert list(read_texts(write(row), "query")) == [("q", "신고 기한")]


def test_the_width_of_the_ids_is_that_of_the_longest(write):
    found = check_texts(write(GOOD, {"_id": "LAW_000086_제3조의2", "text": "전세"}), "passage")
    assert (found.count, found.longest_id) == (2, len("LAW_000086_제3조의2"))


def test_a_compressed_file_holds_the_same_texts(write, tmp_path):
    plain = write(GOOD, "", {"_id": "b", "text": "임차인"})
    packed = tmp_path / "texts.jsonl.gz"
    packed.write_bytes(gzip.compress(plain.read_bytes()))
    assert list(read_texts(packed, "passage")) == list(read_texts(plain, "passage")) == [("a", "전세 보증금"), ("b", "임차인")]


@pytest.mark.parametrize(
    ("row", "complaint"),
    [
        ({"text": "전세"}, "line 2: has no _id"),
        ({"_id": "b"}, "line 2: has no text"),
        ({"_id": "b", "id": "c", "text": "전세"}, "line 2: has two of them, _id and id"),
        ({"_id": "a", "text": "임차인"}, "line 2: the id 'a' was used before, in line 1"),
        ({"_id": "b", "txt": "전세"}, "line 2: the field 'txt' is unknown; 'text' may be meant"),
        ({"_id": "b", "text": "전세", "vector": [1]}, "line 2: the field 'vector' is unknown"),
        ({"_id": "b c", "text": "전세"}, "line 2: _id:"),
        ({"_id": "", "text": "전세"}, "line 2: _id:"),
        ({"_id": None, "text": "전세"}, "line 2: _id:"),
        ({"_id": "b", "text": 5}, "line 2: text:"),
        ({"_id": "b", "text": " \n"}, "line 2: the text of 'b' is empty"),
        ({"_id": "b", "text": "가" * 1_000_001}, "line 2: the text of 'b' has 1,000,001 characters"),
        ('{"_id": "b", "text": "\\ud800"}', "line 2: the text of 'b' holds half a character"),
        ('{"_id": "b", "text": ', "line 2, column"),
        ('["b", "전세"]', "line 2: expected a JSON object, found list"),
    ],
)
def test_a_wrong_line_is_named(write, row, complaint):
    with pytest.raises(DataError) as failure:
        check_texts(write(GOOD, row), "passage")
    assert complaint in failure.value.problem
    assert "texts.jsonl" in failure.value.problem


def test_a_querys_line_has_no_title(write):
    with pytest.raises(DataError, match="line 1: the field 'title' is unknown"):
        check_texts(write({"_id": "q", "title": "민법", "text": "전세"}), "query")


@pytest.mark.parametrize("content", ["", "\n\n"])
def test_an_empty_file_is_refused(tmp_path, content):
    path = tmp_path / "empty.jsonl"
    path.write_text(content)
    with pytest.raises(DataError, match="is empty: it holds no query"):
        check_texts(path, "query")


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(DataError, match=r"nowhere\.jsonl"):
        check_texts(tmp_path / "nowhere.jsonl", "passage")
