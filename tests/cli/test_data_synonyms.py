import json

import pytest

from retrieval_ko.collection import Collection
from retrieval_ko.pairs.training_pairs import read_pairs, write_pairs
from retrieval_ko.records import Passage, Query, SynonymPair, TrainingPair

PAIRS = [
    *[("계약", "contract"), ("법원", "court"), ("판사", "judge"), ("병원", "hospital"), ("환자", "patient"), ("학교", "school")],
    *[("학생", "student"), ("은행", "bank"), ("세금", "tax"), ("도로", "road"), ("검색", "search")],
]


@pytest.fixture
def source(tmp_path):
    path = tmp_path / "terms.csv"
    path.write_text("ko,en,source\n" + "".join(f"{ko},{en},mine\n" for ko, en in [*PAIRS, ("API", "API")]), encoding="utf-8")
    return path


@pytest.fixture
def folder(run, source, tmp_path):
    target = tmp_path / "synonyms"
    done = run("data", "synonyms", "build", "--source", source, "--out", target, "--test-size", 3)
    assert done.exit_code == 0, done.stderr
    return target


@pytest.fixture
def collection(tmp_path):
    queries = {"t1": Query(id="t1", text="병원 검색"), "d1": Query(id="d1", text="학교 검색")}
    passages = {"p1": Passage(id="p1", title="병원", text="하나다. 둘이다. 셋이다. 넷이다. 다섯이다.")}
    judgements = {"train": {"t1": {"p1": 1}}, "dev": {"d1": {"p1": 1}}}
    Collection("c", passages, queries, judgements, [SynonymPair(ko="병원", en="hospital")]).write(tmp_path / "c")
    return tmp_path / "c"


def rows(path):
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def test_build_writes_the_lists_and_says_what_it_left_out(run, source, folder):
    assert {path.name for path in folder.iterdir()} == {"synonyms.jsonl", "synonyms-test.jsonl", "names.jsonl", "report.json"}
    both = rows(folder / "synonyms.jsonl") + rows(folder / "synonyms-test.jsonl")
    assert sorted((row["ko"], row["en"]) for row in both) == sorted(PAIRS)
    again = run("data", "synonyms", "build", "--source", source, "--out", folder, "--test-size", 3, "--json")
    report = json.loads(again.stdout)
    assert report == json.loads((folder / "report.json").read_text(encoding="utf-8"))
    assert report["left_out"] == {"both sides are the same": 1}


def test_sources_that_are_not_chosen_stay_out(run, source, tmp_path):
    done = run("data", "synonyms", "build", "--source", source, "--out", tmp_path / "none", "--licence-filter", "Apache-2.0")
    assert done.exit_code == 1
    assert "--licence-filter" in done.stderr
    assert not (tmp_path / "none").exists()


def test_build_replaces_no_folder_of_another_kind(run, source, collection):
    done = run("data", "synonyms", "build", "--source", source, "--out", collection, "--test-size", 3)
    assert done.exit_code == 1
    assert (collection / "corpus.jsonl").exists()


def test_check_passes_what_build_wrote_and_finds_a_leak(run, folder):
    assert run("data", "synonyms", "check", folder).exit_code == 0
    leak = rows(folder / "synonyms-test.jsonl")[0]
    with (folder / "synonyms.jsonl").open("a", encoding="utf-8") as training:
        training.write(json.dumps({"ko": leak["ko"], "en": "something else"}, ensure_ascii=False) + "\n")
    done = run("data", "synonyms", "check", folder, "--json")
    assert done.exit_code == 1
    (defect,) = json.loads(done.stdout)
    assert defect["line"] == len(rows(folder / "synonyms.jsonl"))
    assert leak["ko"] in defect["reason"]


@pytest.mark.parametrize(("term", "found"), [("계약", "contract"), ("Contracts", "계약")])
def test_lookup_shows_both_directions(run, folder, term, found):
    done = run("data", "synonyms", "lookup", folder, term)
    assert done.exit_code == 0
    assert found in done.stdout


def test_lookup_of_an_unknown_term_fails(run, folder):
    assert run("data", "synonyms", "lookup", folder, "보증금").exit_code == 1


def test_sample_is_repeatable(run, folder):
    first, second = (run("data", "synonyms", "sample", folder, "--size", 5, "--seed", 1, "--json") for _ in range(2))
    assert first.stdout == second.stdout
    assert len(json.loads(first.stdout)) == 5
    assert run("data", "synonyms", "sample", folder, "--size", 500).exit_code == 2


def test_merge_reports_conflicts(run, source, tmp_path):
    (tmp_path / "later.tsv").write_text("은행\tlender\n", encoding="utf-8")
    done = run("data", "synonyms", "merge", source, tmp_path / "later.tsv", "--out", tmp_path / "merged.jsonl", "--json")
    (conflict,) = json.loads(done.stdout)["conflicts"]
    assert (conflict["ko"], conflict["dropped"], conflict["kept"]) == ("은행", ["bank"], ["lender"])
    assert {"ko": "은행", "en": "lender", "source": "later"} in rows(tmp_path / "merged.jsonl")


# augment


def augment(run, collection, *options):
    return run("data", "augment", collection, "--out", collection.parent / "more.jsonl", *options)


def test_augment_writes_variants_of_training_queries_only(run, collection, tmp_path):
    done = augment(run, collection, "--synonyms", collection / "synonyms.jsonl", "--crosslingual", 3, "--simple", 0, "--json")
    assert done.exit_code == 0, done.stderr
    assert json.loads(done.stdout)["crosslingual"] == 1
    (pair,) = read_pairs(tmp_path / "more.jsonl")
    assert pair == TrainingPair(query_id="t1~x1", query_text="hospital 검색", positive_passages=["p1"], meta={"augmented": "crosslingual"})


def test_augment_prefers_the_pair_file(run, collection, tmp_path):
    write_pairs(collection / "pairs" / "train.jsonl", [TrainingPair(query_id="z", query_text="병원 예약", positive_passages=["p1"])])
    augment(run, collection, "--synonyms", collection / "synonyms.jsonl", "--simple", 0)
    assert [pair.query_text for pair in read_pairs(tmp_path / "more.jsonl")] == ["hospital 예약"]


def test_augment_writes_passages_too(run, collection, tmp_path):
    options = ("--crosslingual", 0, "--passages", 2, "--passages-out", tmp_path / "passages.jsonl")
    assert augment(run, collection, *options).exit_code == 0
    assert [row["_id"] for row in rows(tmp_path / "passages.jsonl")] == ["p1~p1", "p1~p2"]
    assert augment(run, collection, "--crosslingual", 0, "--passages", 2).exit_code == 2


@pytest.mark.parametrize("split", ["dev", "test"])
def test_augment_refuses_dev_and_test(run, collection, tmp_path, split):
    done = augment(run, collection, "--synonyms", collection / "synonyms.jsonl", "--split", split)
    assert done.exit_code == 2
    assert not (tmp_path / "more.jsonl").exists()


def test_augment_refuses_the_test_list(run, collection, folder):
    assert augment(run, collection, "--synonyms", folder / "synonyms-test.jsonl").exit_code == 2
    (folder / "synonyms.jsonl").write_bytes((folder / "synonyms-test.jsonl").read_bytes())
    done = augment(run, collection, "--synonyms", folder / "synonyms.jsonl")
    assert done.exit_code == 1
    assert "shares a term with the test pair" in done.stderr


def test_augment_without_synonyms_says_what_to_do(run, collection):
    done = augment(run, collection)
    assert done.exit_code == 2
    assert "--synonyms" in done.stderr
