"""`sparse-ko data mine` adds negatives that are none of the answers, and writes the same bytes every time."""

import json
import shutil

import pytest

from retrieval_ko.collection import Collection, sample_folder
from retrieval_ko.pairs.training_pairs import read_pairs, write_pairs
from retrieval_ko.records import Passage, Query, TrainingPair


@pytest.fixture
def folder(tmp_path):
    shutil.copytree(sample_folder(), tmp_path / "collection")
    return tmp_path / "collection"


@pytest.fixture
def mine(run):
    return lambda folder, *options: run("data", "mine", folder, "--tokenization", "bigram", *options)


def test_every_judged_query_gets_a_pair_with_negatives_of_the_corpus(mine, folder, sample):
    answer = mine(folder, "--hard", 4, "--random", 2, "--json")
    assert answer.exit_code == 0, answer.stderr
    report = json.loads(answer.stdout)
    pairs = list(read_pairs(folder / "pairs" / "train.jsonl"))
    assert {pair.query_id: pair.positive_passages for pair in pairs} == sample.relevant("train")
    for pair in pairs:
        negatives = {*pair.hard_negatives, *pair.random_negatives}
        assert len(negatives) == 6
        assert negatives <= sample.passages.keys() - set(pair.positive_passages)
    assert report["pairs"] == str(folder / "pairs" / "train.jsonl")
    assert (report["queries"], report["hard"]) == (len(pairs), sum(len(pair.hard_negatives) for pair in pairs))


def test_the_same_bytes_for_any_number_of_workers_and_when_mined_again(mine, folder, tmp_path):
    found = []
    for workers, name in ((1, "one"), (3, "three")):
        assert mine(folder, "--workers", workers, "--out", tmp_path / name).exit_code == 0
        found.append((tmp_path / name).read_bytes())
    assert not (folder / "pairs").exists()
    for _ in range(2):
        assert mine(folder).exit_code == 0
        found.append((folder / "pairs" / "train.jsonl").read_bytes())
    assert len(set(found)) == 1


def test_pairs_that_are_there_keep_their_positives_and_meta(mine, folder, sample):
    query, [passage, *_] = next(iter(sample.relevant("train").items()))
    given = TrainingPair(query_id=query, query_text=sample.queries[query].text, positive_passages=[passage], meta={"type": "law"})
    write_pairs(folder / "pairs" / "train.jsonl", [given])
    assert mine(folder).exit_code == 0
    [pair] = read_pairs(folder / "pairs" / "train.jsonl")
    assert pair.model_copy(update={"hard_negatives": [], "random_negatives": []}) == given
    assert not set(sample.relevant("train")[query]) & {*pair.hard_negatives, *pair.random_negatives}


def with_parents(folder, judged):
    texts = {"a#1": "도서관은 책을 빌려준다", "a#2": "도서관은 밤에 닫는다", "b#1": "박물관은 밤에 책을 판다", "c#1": "밤에 여는 수영장"}
    passages = {key: Passage(id=key, text=text, metadata={"parent_id": key[0]}) for key, text in texts.items()}
    relevant = {"a": 1} if judged == "parent" else {"a#2": 1}
    queries = {"q": Query(id="q", text="도서관은 밤에 언제 닫나")}
    Collection("parents", passages, queries, {"train": {"q": relevant}}, judged=judged).write(folder)


@pytest.mark.parametrize(
    ("judged", "options", "siblings"),
    [("parent", [], False), ("passage", [], True), ("passage", ["--siblings", "parent"], False), ("passage", ["--siblings", "none"], True)],
)
def test_siblings_of_a_positive(mine, tmp_path, judged, options, siblings):
    with_parents(tmp_path / "parents", judged)
    assert mine(tmp_path / "parents", *options).exit_code == 0
    [pair] = read_pairs(tmp_path / "parents" / "pairs" / "train.jsonl")
    assert pair.positive_passages == ["a#2"]
    assert ("a#1" in {*pair.hard_negatives, *pair.random_negatives}) == siblings


def test_the_terminal_says_what_was_chosen_and_held_back(mine, folder):
    answer = mine(folder, "--hard", 2)
    assert "540 queries" in answer.stdout
    assert "Median rank" in answer.stdout
    assert "× positive" in answer.stdout


@pytest.mark.parametrize(
    ("options", "code", "words"),
    [
        (["--split", "nowhere"], 1, "no judgements for the split 'nowhere'"),
        (["--siblings", "parent"], 2, "--siblings none"),
        (["--tokenization", "letters"], 2, "letters"),
        (["--hard", "-1"], 2, "--hard"),
    ],
)
def test_what_cannot_work_is_said_before_anything_is_written(mine, folder, options, code, words):
    answer = mine(folder, *options)
    assert answer.exit_code == code
    assert words in answer.stderr
    assert not (folder / "pairs").exists()


def test_kiwis_analyses_are_kept_only_where_asked_for(run, tmp_path):
    with_parents(tmp_path / "parents", "passage")
    place = {"SPARSE_KO_CACHE": str(tmp_path / "cache")}
    assert run("data", "mine", tmp_path / "parents", env=place).exit_code == 0
    assert not (tmp_path / "cache").exists()
    plain = (tmp_path / "parents" / "pairs" / "train.jsonl").read_bytes()
    for _ in range(2):
        assert run("data", "mine", tmp_path / "parents", "--cache", env=place).exit_code == 0
        assert (tmp_path / "parents" / "pairs" / "train.jsonl").read_bytes() == plain
    assert list((tmp_path / "cache" / "terms").glob("*.sqlite3"))
