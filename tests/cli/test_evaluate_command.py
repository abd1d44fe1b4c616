"""`sparse-ko evaluate` from what is typed to what is on disk."""

import json

import pytest

from retrieval_ko.collection import Collection


@pytest.fixture(autouse=True)
def own_cache(tmp_path_factory, monkeypatch):
    monkeypatch.setenv("SPARSE_KO_CACHE", str(tmp_path_factory.getbasetemp() / "cache"))


@pytest.fixture(scope="module")
def small(sample, tmp_path_factory):
    """Of the sample: 12 dev queries and 12 test queries, their passages, four pairs of terms."""
    judgements = {split: dict(list(sample.judgements[split].items())[::6][:12]) for split in ("dev", "test")}
    queries = {query: sample.queries[query] for judged in judgements.values() for query in judged}
    passages = {key: sample.passages[key] for judged in judgements.values() for grades in judged.values() for key in grades}
    folder = tmp_path_factory.mktemp("collections") / "small"
    Collection("small", passages, queries, judgements, sample.synonyms[:4]).write(folder)
    return folder


@pytest.fixture(scope="module")
def first(model_folder, small, tmp_path_factory):
    """An evaluation of the model beside BM25's bigrams, on disk."""
    from typer.testing import CliRunner

    from sparse_ko_cli.sparse import app

    folder = tmp_path_factory.mktemp("evaluations") / "first"
    command = ["evaluate", "--model", model_folder, "--collection", small, "--bm25", "bigram", "--group", "kind", "--out", folder, "--json"]
    answer = CliRunner().invoke(app, [*map(str, command), "--cache", str(folder.parent / "kept")])
    assert answer.exit_code == 0, answer.output
    return folder, json.loads(answer.stdout)


def test_what_is_printed_is_what_is_written(first):
    folder, printed = first
    written = json.loads((folder / "evaluation.json").read_text(encoding="utf-8"))
    assert written.pop("runs").keys() == {row["system"] for row in printed["systems"]}
    assert written == printed
    assert sum(printed["groups"]["kind"].values()) == printed["queries"] == 12
    assert printed["depth"] == 1000
    assert printed["conditions"]["torch_threads"] >= 1


def test_a_second_run_with_kept_weights_has_the_same_numbers(run, first, model_folder, small):
    folder, printed = first
    answer = run("evaluate", "--model", model_folder, "--collection", small, "--bm25", "none", "--cache", folder.parent / "kept", "--json")
    [row] = json.loads(answer.stdout)["systems"]
    for name in ("ndcg@10", "recall@1000", "doc_dims", "flops"):
        assert row[name] == printed["systems"][-1][name]
    assert len(list((folder.parent / "kept").iterdir())) == 1


def test_several_models_are_several_rows(run, model_folder, small):
    answer = run("evaluate", "--model", model_folder, "--model", model_folder, "--collection", small, "--bm25", "none")
    assert answer.exit_code == 0, answer.output
    assert "sparse-untrained-2" in answer.stdout


def test_with_no_model_bm25_alone_is_measured(run, small):
    report = json.loads(run("evaluate", "--no-model", "--collection", small, "--bm25", "bigram,whitespace", "--json").stdout)
    assert [row["system"] for row in report["systems"]] == [
        *("bm25-bigram", "bm25-bigram-0.9-0.4", "bm25-whitespace", "bm25-whitespace-0.9-0.4")
    ]
    assert report["best_bm25"].startswith("bm25-bigram")


def test_synonyms_are_measured_and_written(run, model_folder, small, tmp_path):
    pairs = ["--synonyms", small / "synonyms.jsonl"]
    answer = run("evaluate", "--model", model_folder, "--collection", small, "--bm25", "none", *pairs, "--out", tmp_path / "x")
    assert answer.exit_code == 0, answer.output
    assert "4 term pairs: cosine" in answer.stdout
    [table] = (tmp_path / "x" / "synonyms").iterdir()
    assert len(table.read_text(encoding="utf-8").splitlines()) == 1 + 4


def test_an_evaluation_against_itself_shows_nothing(run, first):
    folder, _ = first
    answer = run("evaluate", "--compare", folder, folder / "evaluation.json", "--json")
    [row] = json.loads(answer.stdout)["comparisons"]
    assert (row["ndcg@10"], row["p_value"], row["improved"]) == (0, 1, False)
    assert "no" in run("evaluate", "--compare", folder, folder).stdout


def test_another_split_is_other_data(run, first, small, tmp_path):
    folder, _ = first
    run("evaluate", "--no-model", "--collection", small, "--bm25", "bigram", "--split", "test", "--out", tmp_path / "test")
    answer = run("evaluate", "--compare", folder, tmp_path / "test")
    assert answer.exit_code == 2
    assert "can't be compared" in answer.stderr
    assert "judgements" in answer.stderr


@pytest.mark.parametrize(
    ("options", "code", "word"),
    [
        (["--bm25", "mecab"], 2, "kiwi, bigram, whitespace, none"),
        (["--no-model", "--bm25", "none"], 2, "nothing to measure"),
        (["--no-model", "--model", "runs/some/model"], 2, "BM25 alone"),
        (["--no-model", "--bm25", "bigram", "--split", "nowhere"], 1, "nowhere"),
        (["--no-model", "--bm25", "bigram", "--synonyms", "nowhere.jsonl"], 1, "nowhere.jsonl"),
    ],
)
def test_what_cannot_work_is_said_before_the_work(run, options, code, word):
    answer = run("evaluate", *options)
    assert answer.exit_code == code, answer.output
    assert word in answer.stderr


def test_a_folder_with_other_files_is_left_alone(run, tmp_path):
    (tmp_path / "letters.txt").write_text("mine", encoding="utf-8")
    answer = run("evaluate", "--no-model", "--bm25", "bigram", "--out", tmp_path)
    assert answer.exit_code == 2
    assert "letters.txt" in answer.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["letters.txt"]
