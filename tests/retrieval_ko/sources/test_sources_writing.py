import pytest

from retrieval_ko.collection import Collection
from retrieval_ko.errors import DataError, UsageError
from retrieval_ko.pairs.training_pairs import read_pairs
from retrieval_ko.sources.report import SourceReport
from retrieval_ko.sources.writing import near_copies, new_collection


def begin(folder, report=None):
    return new_collection(folder, report or SourceReport(), licence="CC0-1.0", sources=["test"])


def test_what_is_written_is_a_collection(tmp_path):
    report = SourceReport()
    with begin(tmp_path / "set", report) as writer:
        writer.add_passage("p1", "보증금을 돌려준다.", title="임대차", metadata={"date": "2020-01-02", "empty": ""})
        writer.add_query("q1", "보증금은?")
        writer.add_judgement("train", "q1", "p1", 1)
        writer.add_judgement("train", "q1", "p1", 1)
        writer.add_pair("train", "보증금은?", ["p1"], query_id="q1", meta={"type": "t"})
    read = Collection.read(tmp_path / "set")
    assert read.judgements == {"train": {"q1": {"p1": 1}}}
    assert read.passages["p1"].metadata == {"date": "2020-01-02"}
    assert (read.name, read.licence) == ("set", "CC0-1.0")
    assert [pair.positive_passages for pair in read_pairs(tmp_path / "set/pairs/train.jsonl")] == [["p1"]]
    assert report.written == {"passages": 1, "queries": 1, "judgements train": 1, "pairs train": 1}


@pytest.mark.parametrize(
    ("method", "arguments", "words"),
    [
        ("add_passage", ("p1", "또"), "used before"),
        ("add_passage", ("p 2", "글"), "string should match"),
        ("add_passage", ("p2", " \n"), "empty"),
        ("add_passage", ("p2", "반쪽 \ud800"), "half a character"),
        ("add_passage", ("p2", "가" * 1_000_001), "1,000,001"),
        ("add_query", ("q1", "또"), "used before"),
        ("add_judgement", ("dev", "q9", "p1", 1), "q9"),
        ("add_judgement", ("dev", "q1", "p9", 1), "p9"),
        ("add_judgement", ("train", "q1", "p1", 0), "an earlier line as 1"),
    ],
)
def test_a_record_that_no_collection_may_hold_is_refused(tmp_path, method, arguments, words):
    with begin(tmp_path / "set") as writer:
        writer.add_passage("p1", "글")
        writer.add_query("q1", "물음")
        writer.add_judgement("train", "q1", "p1", 1)
        with pytest.raises(DataError, match=words):
            getattr(writer, method)(*arguments)
    assert list(Collection.read(tmp_path / "set").passages) == ["p1"]


def test_a_pair_names_only_passages_that_are_there(tmp_path):
    with begin(tmp_path / "set") as writer:
        writer.add_passage("p1", "글")
        with pytest.raises(DataError, match="p9"):
            writer.add_pair("train", "물음", ["p1", "p9"], meta={})


def test_without_a_passage_nothing_is_written(tmp_path):
    with pytest.raises(DataError, match="no passage"), begin(tmp_path / "set"):
        pass
    assert list(tmp_path.iterdir()) == []


def test_an_older_collection_is_replaced_and_anything_else_is_not(tmp_path):
    for text in ("하나", "둘"):
        with begin(tmp_path / "set") as writer:
            writer.add_passage("p1", text)
    assert Collection.read(tmp_path / "set").passages["p1"].text == "둘"
    (tmp_path / "set/thesis.docx").write_text("!")
    with pytest.raises(UsageError, match=r"thesis\.docx"), begin(tmp_path / "set"):
        pass


def test_near_copies_of_what_is_held_out_are_found():
    train = ["대한민국에서 가장 높은 산은 무엇인가요?", "세종대왕은 언제 태어났나?"]
    assert near_copies(train, ["대한민국에서 가장 높은 산은 무엇인가?"]) == {train[0]}
