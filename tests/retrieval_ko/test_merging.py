"""Collections joined, and every clash named instead of settled."""

from dataclasses import replace

import pytest

from retrieval_ko.collection import Collection, SplitRule
from retrieval_ko.errors import DataError, UsageError
from retrieval_ko.listing import find_collections
from retrieval_ko.merging import merge_collections
from retrieval_ko.pairs.training_pairs import read_pairs, write_pairs
from retrieval_ko.records import Passage, Query, SynonymPair, TrainingPair
from retrieval_ko.validation.checks import check_collection
from retrieval_ko.validation.contents import Contents


def collection(name, *, licence="CC0-1.0", judged="train", query="q1", text="글", grade=1, **more):
    return Collection(
        name,
        {f"{name}1": Passage(id=f"{name}1", text=f"{name} 하나"), "same": Passage(id="same", text=text, metadata={"parent_id": "page"})},
        {query: Query(id=query, text=f"{query}의 질문")},
        {judged: {query: {"same": grade}}},
        [SynonymPair(ko="법", en="law"), SynonymPair(ko=name, en=name)],
        licence,
        ["law.go.kr", name],
        **more,
    )


@pytest.fixture
def merged(tmp_path):
    """Merge collections; returns a function of (collections, prefix) → the merged collection as it stands on the disk."""

    def merge(*parts, prefix=False):
        folders = []
        for number, part in enumerate(parts):
            folders.append(tmp_path / f"part{number}")
            part.write(folders[-1])
            pair = TrainingPair(
                query_id=next(iter(part.queries)),
                query_text=f"{part.name}의 질문",
                positive_passages=["same"],
                hard_negatives=[next(iter(part.passages))],
            )
            write_pairs(folders[-1] / "pairs" / "train.jsonl", [pair])
        merge_collections(folders, tmp_path / "out", prefix=prefix)
        return Collection.read(tmp_path / "out")

    return merge


def test_everything_is_joined(merged, tmp_path):
    both = merged(collection("a"), collection("b", licence="CC-BY-SA-4.0", judged="dev", query="q2"))
    assert list(both.passages) == ["a1", "same", "b1"]
    assert list(both.queries) == ["q1", "q2"]
    assert both.judgements == {"train": {"q1": {"same": 1}}, "dev": {"q2": {"same": 1}}}
    assert [(pair.ko, pair.en) for pair in both.synonyms] == [("법", "law"), ("a", "a"), ("b", "b")]
    assert both.licence == "CC0-1.0 AND CC-BY-SA-4.0"
    assert both.sources == ["law.go.kr", "a", "b"]
    assert [pair.hard_negatives for pair in read_pairs(tmp_path / "out/pairs/train.jsonl")] == [["a1"], ["b1"]]


def test_a_prefix_keeps_ids_apart_everywhere(merged, tmp_path):
    both = merged(collection("a"), replace(collection("b", text="다른 글", grade=2), name="b c"), prefix=True)
    assert both.passages["a:same"].text == "글"
    assert both.passages["b-c:same"].text == "다른 글"
    assert both.passages["b-c:same"].metadata == {"parent_id": "b-c:page"}
    assert both.judgements["train"] == {"a:q1": {"a:same": 1}, "b-c:q1": {"b-c:same": 2}}
    last = list(read_pairs(tmp_path / "out/pairs/train.jsonl"))[-1]
    assert (last.query_id, last.positive_passages, last.hard_negatives) == ("b-c:q1", ["b-c:same"], ["b-c:b1"])


def test_the_merged_collection_is_sound(merged, tmp_path):
    merged(collection("a"), collection("b", query="q2"))
    assert list(check_collection(Contents(tmp_path / "out"))) == []


@pytest.mark.parametrize(
    ("other", "words"),
    [
        (collection("b", text="다른 글"), "passage 'same'.*--prefix"),
        (collection("b", grade=2), "judges 'same' for 'q1' as 2"),
        (collection("b", judged="dev"), "query 'q1' is in the split 'dev'"),
    ],
)
def test_a_clash_is_refused_and_nothing_written(merged, tmp_path, other, words):
    with pytest.raises(DataError, match=f"(?s){words}"):
        merged(collection("a"), other)
    assert not (tmp_path / "out").exists()


def test_queries_of_one_id_and_two_texts_clash(merged):
    other = collection("b")
    other.queries = {"q1": Query(id="q1", text="다른 질문")}
    with pytest.raises(DataError, match="query 'q1'"):
        merged(collection("a"), other)


def test_parts_of_two_schemes_may_share_a_query(merged):
    both = merged(collection("a"), collection("b", judged="article-dev"))
    assert set(both.judgements) == {"train", "article-dev"}


def test_a_rule_is_promised_only_where_all_promise_it(merged):
    by_date = {"": SplitRule(by="date", train_before="2018")}
    assert merged(collection("a", splits=by_date), collection("b", splits=by_date, query="q2")).splits == by_date


def test_a_rule_that_one_does_not_keep_is_dropped(merged):
    assert (
        merged(collection("a", splits={"": SplitRule(by="date")}), collection("b", splits={"": SplitRule(by="group")}, query="q2")).splits
        == {}
    )


def test_judgements_of_passages_and_of_parents_do_not_mix(merged):
    by_parent = collection("b")
    by_parent.passages = {
        key: passage.model_copy(update={"metadata": {"parent_id": "same"}}) for key, passage in by_parent.passages.items()
    }
    by_parent.judged = "parent"
    with pytest.raises(DataError, match=r"name passages.*name parents"):
        merged(collection("a"), by_parent)


def test_a_licence_that_is_not_stated_is_not_made_up(merged):
    assert merged(collection("a"), collection("b", licence="", query="q2")).licence == "CC0-1.0 AND NOASSERTION"


def test_wrong_use(merged, tmp_path):
    with pytest.raises(UsageError, match="two or more"):
        merged(collection("a"))
    with pytest.raises(UsageError, match="called 'a'"):
        merged(collection("a"), collection("a"), prefix=True)
    (tmp_path / "out").mkdir()
    with pytest.raises(UsageError, match="exists"):
        merged(collection("a"), collection("b"))


def test_what_lies_below_a_folder_is_listed(merged, tmp_path):
    merged(collection("a"), collection("b", query="q2"))
    write_pairs(tmp_path / "more/pairs.jsonl", [TrainingPair(query_text="질문", positive_passages=["a1"])] * 3)
    (tmp_path / "more/notes.jsonl").write_text('{"note": 1}\n', encoding="utf-8")
    (tmp_path / ".hidden").mkdir()
    collection("z").write(tmp_path / ".hidden/z")
    rows = {row["path"].removeprefix(f"{tmp_path}/"): row for row in find_collections(tmp_path)}
    assert list(rows) == ["more/pairs.jsonl", "out", "part0", "part1"]
    assert rows["more/pairs.jsonl"]["pairs"] == 3
    out = rows["out"]
    assert (out["passages"], out["queries"], out["splits"], out["pairs"], out["licence"]) == (3, 2, {"train": 2}, {"train": 2}, "CC0-1.0")
    assert out["bytes"] == sum(path.stat().st_size for path in (tmp_path / "out").rglob("*") if path.is_file())


def test_a_folder_that_is_not_there(tmp_path):
    with pytest.raises(DataError, match="no folder"):
        find_collections(tmp_path / "nowhere")
