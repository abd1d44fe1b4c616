"""`data check`, `data stats`, `data list` and `data merge` as people and programs call them."""

import json
import shutil

import pytest

from retrieval_ko.collection import sample_folder

ROWS = {
    "corpus.jsonl": [{"_id": "p1", "title": "보증금", "text": "임차인은 보증금의 반환을 청구할 수 있다."}],
    "queries.jsonl": [{"_id": "q1", "text": "전세금 안 돌려줘요"}],
    "pairs/train.jsonl": [{"query_text": "전세금", "positive_passages": ["p1"]}],
}


def jsonl(rows):
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)


@pytest.fixture
def collection(tmp_path):
    folder = tmp_path / "rent"
    for name, rows in ROWS.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(jsonl(rows), encoding="utf-8")
    (folder / "qrels").mkdir()
    (folder / "qrels/train.tsv").write_text("query-id\tcorpus-id\tscore\nq1\tp1\t1\n", encoding="utf-8")
    return folder


def add(file, *rows):
    with file.open("a", encoding="utf-8") as out:
        out.write(jsonl(rows))


def test_a_good_collection_is_fine_and_says_how_much_it_holds(run, collection):
    answer = run("data", "check", collection, "--strict")
    assert answer.exit_code == 0, answer.output
    assert "is fine: 1 passages, 1 queries, 1 pairs" in answer.stdout


def test_errors_fail_and_all_are_listed(run, collection):
    add(collection / "corpus.jsonl", {"_id": "p1", "text": "다시"}, {"_id": "p2", "text": " "})
    add(collection / "pairs/train.jsonl", {"query_text": "월세", "positive_passages": ["p9"]})
    answer = run("data", "check", collection)
    assert answer.exit_code == 1
    for words in ("corpus.jsonl, line 2", "corpus.jsonl, line 3", "train.jsonl, line 2", "'p9'", "duplicate_id", "3 errors"):
        assert words in answer.stdout
    report = json.loads(run("data", "check", collection, "--json").stdout)
    assert not report["sound"]
    assert report["errors"] == {"duplicate_id": 1, "empty_text": 1, "unknown_passage": 1}
    assert [(finding["kind"], finding["line"]) for finding in report["findings"]] == [
        ("duplicate_id", 2),
        ("empty_text", 3),
        ("unknown_passage", 2),
    ]


def test_remarks_fail_only_when_asked(run, collection):
    add(collection / "queries.jsonl", {"_id": "q2", "text": "남는 질문"})
    relaxed, strict = run("data", "check", collection), run("data", "check", collection, "--strict")
    assert (relaxed.exit_code, strict.exit_code) == (0, 1)
    assert "Remarks: 1" in relaxed.stdout
    assert "query_without_judgement" in strict.stdout


def test_only_as_many_findings_are_shown_as_wanted(run, collection):
    add(collection / "corpus.jsonl", *({"_id": f"x{number}", "text": ""} for number in range(30)))
    answer = run("data", "check", collection, "--show", 5)
    assert answer.stdout.count("is empty") == 5
    assert "25 more" in answer.stderr


def test_pairs_by_themselves_and_against_a_corpus(run, collection):
    pairs = collection / "pairs/train.jsonl"
    add(pairs, {"query_text": "월세", "positive_passages": ["p9"]})
    alone = run("data", "check", pairs)
    assert alone.exit_code == 0
    assert "without --corpus" in alone.stdout
    for corpus in (collection, collection / "corpus.jsonl"):
        assert run("data", "check", pairs, "--corpus", corpus).exit_code == 1


def test_what_cannot_be_checked(run, collection, tmp_path):
    assert run("data", "check", tmp_path / "nowhere").exit_code == 1
    assert run("data", "check", tmp_path).exit_code == 1
    assert run("data", "check", collection, "--corpus", collection).exit_code == 2
    assert run("data", "check", collection / "corpus.jsonl", "--corpus", collection).exit_code == 2


def test_stats_are_a_table_and_a_report(run, tmp_path):
    answer = run("data", "stats", sample_folder(), "--out", tmp_path / "report")
    assert answer.exit_code == 0, answer.output
    assert "hardest queries" in answer.stdout
    assert str(tmp_path / "report" / "report.md") in answer.stderr
    report = json.loads((tmp_path / "report/report.json").read_text(encoding="utf-8"))
    assert report == json.loads(run("data", "stats", sample_folder(), "--json").stdout)
    assert set(report["splits"]) == {"train", "dev", "test"}


def test_stats_never_replace_another_folder(run, collection):
    answer = run("data", "stats", collection, "--out", collection)
    assert answer.exit_code == 2
    assert (collection / "corpus.jsonl").exists()


def test_collections_are_listed_and_merged(run, collection, tmp_path):
    shutil.copytree(sample_folder(), tmp_path / "sample")
    merged = run("data", "merge", tmp_path / "sample", collection, "--out", tmp_path / "both", "--json")
    assert merged.exit_code == 0, merged.output
    assert json.loads(merged.stdout)["passages"] == 301
    rows = json.loads(run("data", "list", tmp_path, "--json").stdout)
    assert {row["path"]: row["passages"] for row in rows} == {
        str(tmp_path / "both"): 301,
        str(tmp_path / "rent"): 1,
        str(tmp_path / "sample"): 300,
    }
    assert "rent" in run("data", "list", tmp_path).stdout
    again = run("data", "merge", tmp_path / "sample", collection, "--out", tmp_path / "both")
    assert again.exit_code == 2
    assert "exists" in again.stderr
