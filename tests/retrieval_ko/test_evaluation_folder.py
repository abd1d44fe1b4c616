"""An evaluation on disk is whole, says on what it was measured, and is compared only with one of the same data."""

import json

import pytest

from retrieval_ko.collection import Collection
from retrieval_ko.collection_statistics.distribution import Distribution
from retrieval_ko.errors import DataError, UsageError
from retrieval_ko.evaluation.earlier_runs import compare_evaluations
from retrieval_ko.evaluation.evaluation_folder import write_evaluation
from retrieval_ko.evaluation.evaluation_json import best_baseline, comparisons, evaluation_json
from retrieval_ko.evaluation.groups import query_groups
from retrieval_ko.evaluation.identity import conditions, data_hashes, texts_hash
from retrieval_ko.evaluation.judging import judge
from retrieval_ko.evaluation.markdown_report import comparison_table, group_tables, quality_table
from retrieval_ko.evaluation.per_query import file_name, read_values
from retrieval_ko.evaluation.significance import paired_p_value
from retrieval_ko.files import write_json
from retrieval_ko.records import Passage, Query

QUERIES = [f"q{number:02}" for number in range(12)]
PLACES = {"bm25-kiwi": [3, 1, 2] * 4, "bm25-bigram": [2, 1, 1] * 4, "sparse-a": [1, 1, 1] * 4, "sparse-b": [1, 1, 2] * 4}
"""Where each system puts the one relevant passage of each query."""


@pytest.fixture
def collection():
    passages = {f"p{number}": Passage(id=f"p{number}", title=f"제목 {number}", text="글") for number in range(4)}
    queries = {query: Query(id=query, text=f"물음 {query}") for query in QUERIES}
    return Collection("small", passages, queries, {"dev": {query: {"p0": 1} for query in QUERIES}})


@pytest.fixture
def folder(collection, tmp_path):
    collection.write(tmp_path / "collection")
    return tmp_path / "collection"


def results_of(collection, names=tuple(PLACES)):
    results = []
    for name in names:
        rankings = {}
        for query, place in zip(QUERIES, PLACES[name], strict=True):
            others = ["p1", "p2", "p3"]
            order = [*others[: place - 1], "p0", *others[place - 1 :]]
            rankings[query] = [(passage, 9.0 - number) for number, passage in enumerate(order)]
        results.append(judge(name, rankings, collection, "dev", depth=1000))
    return results


def report_of(collection, folder, results):
    return evaluation_json(
        collection,
        "dev",
        results,
        depth=1000,
        data=data_hashes(folder, collection, "dev"),
        conditions=conditions(),
        groups=query_groups(collection, "dev"),
    )


@pytest.fixture
def written(collection, folder, tmp_path):
    def write(name, names=tuple(PLACES)):
        results = results_of(collection, names)
        dims = {"sparse-a": {"passages": Distribution([3, 4, 4]), "queries": Distribution([2])}}
        lines = {"sparse-a": ["ko\ten", "개\tdog"]}
        write_evaluation(tmp_path / name, report_of(collection, folder, results), results, dims, lines)
        return tmp_path / name

    return write


def test_the_promised_keys_are_there(collection, folder):
    report = report_of(collection, folder, results_of(collection))
    assert {
        "collection",
        "split",
        "queries",
        "passages",
        "systems",
        "data",
        "depth",
        "comparisons",
        "groups",
        "conditions",
    } <= report.keys()
    assert [row["system"] for row in report["systems"]] == list(PLACES)
    mrr = {row["system"]: row["mrr@10"] for row in report["systems"]}
    assert mrr == pytest.approx(
        {"bm25-kiwi": (1 / 3 + 1 + 1 / 2) / 3, "bm25-bigram": 2.5 / 3, "sparse-a": 1, "sparse-b": 2.5 / 3}, abs=1e-4
    )
    for row in report["systems"]:
        low, high = row["ndcg@10_interval"]
        assert low <= row["ndcg@10"] <= high
    assert report["groups"]["naming"] == {"does not name it": 12}
    json.dumps(report)


def test_every_encoder_is_tested_against_the_best_bm25_and_against_each_other(collection):
    results = results_of(collection)
    assert best_baseline(results).system == "bm25-bigram"
    rows = comparisons(results)
    assert [(row["first"], row["second"]) for row in rows] == [
        ("sparse-a", "bm25-bigram"),
        ("sparse-b", "bm25-bigram"),
        ("sparse-a", "sparse-b"),
    ]
    values = {result.system: result.scores.by_query["ndcg@10"] for result in results}
    alone = [paired_p_value(values[row["first"]], values[row["second"]]) for row in rows]
    assert [row["p_value"] for row in rows] == pytest.approx(alone, abs=1e-5)
    assert max(row["p_holm"] for row in rows) >= max(alone) - 1e-5
    assert min(row["p_holm"] for row in rows) == pytest.approx(min(1, 3 * min(alone)), abs=1e-4)


def test_without_bm25_only_the_encoders_are_compared(collection):
    results = results_of(collection, ("sparse-a",))
    assert best_baseline(results) is None
    assert comparisons(results) == []


def test_the_folder_is_whole_and_its_values_can_be_read_again(collection, written):
    folder = written("first")
    assert {path.name for path in folder.iterdir()} == {
        *("evaluation.json", "report.md", "quality.png", "dimensions.png", "queries.png", "runs", "synonyms")
    }
    report = json.loads((folder / "evaluation.json").read_text(encoding="utf-8"))
    for result in results_of(collection):
        values = read_values(folder / report["runs"][result.system])
        for metric, by_query in result.scores.by_query.items():
            assert values[metric] == pytest.approx(by_query, abs=1e-6)
    text = (folder / "report.md").read_text(encoding="utf-8")
    assert report["data"]["corpus"] in text
    assert text.count("quality.png") == 1
    for figure in ("quality.png", "dimensions.png", "queries.png"):
        assert (folder / figure).read_bytes().startswith(b"\x89PNG")


def test_a_second_evaluation_replaces_the_first_and_nothing_else(written, tmp_path):
    written("first")
    written("first", ("bm25-kiwi", "sparse-b"))
    assert sorted(path.name for path in (tmp_path / "first" / "runs").iterdir()) == ["bm25-kiwi.tsv", "sparse-b.tsv"]
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "letters.txt").write_text("mine", encoding="utf-8")
    with pytest.raises(UsageError, match="other files"):
        written("mine")
    assert [path.name for path in (tmp_path / "mine").iterdir()] == ["letters.txt"]


def test_two_evaluations_of_the_same_data_are_compared(written):
    found = compare_evaluations(written("old", ("bm25-kiwi", "sparse-b")), written("new", ("sparse-a",)) / "evaluation.json")
    [row] = found["comparisons"]
    assert (row["first"], row["second"]) == ("sparse-b", "sparse-a")
    # a puts four of twelve passages from place 2 to 1: 4/12 · (1 - 1/log2(3))
    assert row["ndcg@10"] == pytest.approx(4 / 12 * (1 - 0.63093), abs=1e-4)
    assert row["recall@10"] == 0
    assert row["improved"] is False  # both must rise
    assert row["p_value"] == pytest.approx(2 / 2**4, abs=0.02)  # four differences of one sign


@pytest.mark.parametrize(
    ("file", "line", "part"),
    [
        ("corpus.jsonl", '{"_id": "p9", "text": "새 글"}\n', "corpus"),
        ("queries.jsonl", '{"_id": "q99", "text": "새 물음"}\n', "queries"),
        ("qrels/dev.tsv", "q00\tp1\t1\n", "judgements"),
    ],
)
def test_two_evaluations_of_different_data_are_not(collection, folder, tmp_path, file, line, part):
    results = results_of(collection, ("sparse-a",))
    write_json(tmp_path / "old.json", {**report_of(collection, folder, results), "runs": {}})
    with (folder / file).open("a", encoding="utf-8") as out:
        out.write(line)
    write_json(tmp_path / "new.json", {**report_of(collection, folder, results), "runs": {}})
    with pytest.raises(UsageError, match=part):
        compare_evaluations(tmp_path / "old.json", tmp_path / "new.json")


def test_a_file_that_is_no_evaluation_is_named(tmp_path):
    (tmp_path / "old.json").write_text('{"systems": []}', encoding="utf-8")
    with pytest.raises(DataError, match=r"old\.json is no evaluation"):
        compare_evaluations(tmp_path / "old.json", tmp_path / "old.json")


@pytest.mark.parametrize(
    ("text", "word"), [("", "no query"), ("id\tx\n", "line 1"), ("query-id\tx\nq\tfive\n", "line 2"), ("query-id\tx\nq\n", "line 2")]
)
def test_damaged_per_query_values_are_named_by_line(tmp_path, text, word):
    (tmp_path / "x.tsv").write_text(text, encoding="utf-8")
    with pytest.raises(DataError, match=word):
        read_values(tmp_path / "x.tsv")


def test_how_a_collection_is_judged_is_part_of_its_data(collection, folder):
    hashes = data_hashes(folder, collection, "dev")
    collection.judged = "parent"
    assert data_hashes(folder, collection, "dev")["sha256"] != hashes["sha256"]


def test_the_hash_of_texts_sees_a_moved_border_between_two_passages():
    def of(*texts):
        return texts_hash(Collection("x", {f"p{number}": Passage(id=f"p{number}", text=text) for number, text in enumerate(texts)}))

    assert of("가나", "다") != of("가", "나다")
    assert of("가나", "다") == of("가나", "다")


def test_tables_for_people(collection, folder):
    report = report_of(collection, folder, results_of(collection))
    assert "| sparse-a | **1.000** | 1.000–1.000 |" in quality_table(report)
    assert quality_table(report).count("**") == 2
    assert "sparse-a − bm25-bigram" in comparison_table(report)
    assert group_tables(report).startswith("All queries: naming: does not name it, language: mixed.")


def test_a_systems_name_becomes_a_file_name():
    assert file_name("sparse-a/b c") == "sparse-a_b_c.tsv"
    assert file_name("bm25-kiwi+synonyms") == "bm25-kiwi+synonyms.tsv"


def test_one_query_proves_nothing():
    assert paired_p_value({"q": 1.0}, {"q": 0.0}) == 1.0
