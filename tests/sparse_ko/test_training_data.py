"""Pairs come from judgements, pair files and synonyms; what is missing is told with the command that makes it."""

import pytest

from retrieval_ko.collection import Collection
from retrieval_ko.errors import DataError
from retrieval_ko.pairs.training_pairs import write_pairs
from retrieval_ko.records import Passage, Query, SynonymPair, TrainingPair
from sparse_ko.settings import TrainSettings
from sparse_ko.training.data import read_sources, synonym_pairs


def settings_of(folder, data=(), **more):
    return TrainSettings.model_validate({"name": "a", "collection": folder, "data": list(data), **more})


def sources_of(folder, data=(), **more):
    settings = settings_of(folder, data, **more)
    others = {place.collection: Collection.read(place.collection) for place in settings.data if place.collection != settings.collection}
    return read_sources(settings, Collection.read(folder), others)


@pytest.fixture
def folder(collection, tmp_path):
    collection.write(tmp_path / "tiny")
    return tmp_path / "tiny"


@pytest.fixture
def pages(tmp_path):
    """A collection that is judged at pages: p1 has three passages, p2 one."""
    passages = [Passage(id=f"p1#{n}", text=f"첫째 쪽의 {n}번 문단", metadata={"parent_id": "p1"}) for n in range(3)]
    passages.append(Passage(id="p2#0", text="둘째 쪽", metadata={"parent_id": "p2"}))
    queries = {"q1": Query(id="q1", text="첫째?"), "q2": Query(id="q2", text="둘째?", metadata={"excluded": ["p1#0"]})}
    judgements = {"train": {"q1": {"p1": 1}, "q2": {"p2": 1}}, "dev": {"q1": {"p1": 1}}}
    Collection("pages", {p.id: p for p in passages}, queries, judgements, judged="parent").write(tmp_path / "pages")
    return tmp_path / "pages"


def pair(query, *positives, **more):
    return TrainingPair(query_id=query, query_text=f"text of {query}", positive_passages=list(positives), **more)


def test_without_data_the_pairs_are_the_judgements_of_train_and_the_synonyms(folder, collection):
    judged, terms = sources_of(folder)
    assert len(judged.examples) == 12
    fourth = judged.examples[3]
    assert (fourth.query_id, fourth.query, fourth.positive) == ("qp04a", "도서관에서 책을 몇 권 빌리나요", "p04")
    assert judged.text_of("p04") == collection.passages["p04"].passage_text
    assert [(example.query, terms.text_of(example.positive)) for example in terms.examples][:2] == [
        ("deposit", "보증금"),
        ("landlord", "임대인"),
    ]


def test_synonyms_can_be_left_out(folder):
    assert len(sources_of(folder, synonyms={"as_pairs": False})) == 1


def test_synonyms_of_all_collections_are_counted_once(collection):
    other = Collection("other", collection.passages, synonyms=[*collection.synonyms, SynonymPair(ko="예금", en="deposit", source="x")])
    assert len(synonym_pairs([collection, other])) == 6


def test_a_pair_file_gives_an_example_for_every_positive_with_its_negatives(folder):
    write_pairs(folder / "pairs" / "mined.jsonl", [pair("qp01a", "p01", "p02", hard_negatives=["p03"], random_negatives=["p05", "p06"])])
    data = [{"collection": folder, "pairs": "mined", "weight": 2}]
    source, _ = sources_of(folder, data, training={"hard_negatives": 1})
    assert source.weight == 2
    assert [example.positive for example in source.examples] == ["p01", "p02"]
    assert {example.hard for example in source.examples} == {("p03",)}
    assert {example.random for example in source.examples} == {("p05", "p06")}
    assert {example.relevant for example in source.examples} == {("p01", "p02")}


def test_several_collections_are_several_sources(folder, pages):
    write_pairs(pages / "pairs" / "train.jsonl", [pair("q1", "p1#1")])
    data = [{"collection": folder}, {"collection": pages, "pairs": "train"}]
    sources = sources_of(folder, data)
    assert [source.name for source in sources] == ["tiny/train", "pages/train", "synonyms"]
    assert sources[1].text_of("p1#1") == "첫째 쪽의 1번 문단"


def test_other_passages_of_a_relevant_page_and_excluded_ones_are_no_negatives(pages):
    write_pairs(pages / "pairs" / "train.jsonl", [pair("q1", "p1#1"), pair("q2", "p2#0")])
    [source] = sources_of(pages)
    assert [set(example.relevant) for example in source.examples] == [{"p1#0", "p1#1", "p1#2"}, {"p2#0", "p1#0"}]


def test_judgements_of_pages_need_a_pair_file(pages):
    with pytest.raises(DataError, match="judged at parents") as caught:
        sources_of(pages)
    assert caught.value.remedy == f"Write one with: sparse-ko data mine {pages} --split train"


def test_a_pair_file_that_is_not_there_is_told_with_those_that_are(folder):
    write_pairs(folder / "pairs" / "mined.jsonl", [pair("qp01a", "p01")])
    with pytest.raises(DataError, match=r"no pair file .*other\.jsonl; the collection has: mined") as caught:
        sources_of(folder, [{"collection": folder, "pairs": "other"}])
    assert "sparse-ko data mine" in caught.value.remedy


def test_an_unknown_passage_is_named(folder):
    write_pairs(folder / "pairs" / "mined.jsonl", [pair("qp01a", "p01", hard_negatives=["p99"])])
    with pytest.raises(DataError, match=r"mined\.jsonl: the pair of 'qp01a' names 'p99'"):
        sources_of(folder, [{"collection": folder, "pairs": "mined"}])


@pytest.mark.parametrize("kind", ["hard", "random"])
def test_negatives_that_no_pair_has_are_told(folder, kind):
    write_pairs(folder / "pairs" / "mined.jsonl", [pair("qp01a", "p01")])
    with pytest.raises(DataError, match=f"training.{kind}_negatives is 3") as caught:
        sources_of(folder, [{"collection": folder, "pairs": "mined"}], training={f"{kind}_negatives": 3})
    assert caught.value.remedy == f"Add them with: sparse-ko data mine {folder}"


def test_a_loss_that_needs_a_teacher_says_so_when_there_is_none(folder):
    write_pairs(folder / "pairs" / "mined.jsonl", [pair("qp01a", "p01", hard_negatives=["p02"])])
    data = [{"collection": folder, "pairs": "mined"}]
    more = {"ranking": {"loss": "kl"}, "synonyms": {"as_pairs": False}, "training": {"hard_negatives": 1}}
    with pytest.raises(DataError, match="teacher's scores"):
        sources_of(folder, data, **more)
    write_pairs(folder / "pairs" / "mined.jsonl", [pair("qp01a", "p01", hard_negatives=["p02"], scores={"p01": 9.5, "p02": 1.25})])
    [source] = sources_of(folder, data, **more)
    assert source.examples[0].scores == {"p01": 9.5, "p02": 1.25}


def test_a_split_without_a_relevant_passage_is_told(folder, collection):
    judgements = {**collection.judgements, "train": {"qp01a": {"p01": 0}}}
    with pytest.raises(DataError, match="no pair to train on"):
        read_sources(settings_of(folder), Collection("tiny", collection.passages, collection.queries, judgements))
