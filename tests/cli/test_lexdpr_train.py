"""`lex-dpr train`, `mine` and `evaluate`: one story on a collection of eight laws, from the first step to the second training."""

import json

import pytest
from typer.testing import CliRunner

from retrieval_ko.collection import Collection
from retrieval_ko.pairs.training_pairs import read_pairs
from sparse_ko_cli.lexdpr import app


@pytest.fixture(scope="module")
def lexdpr():
    runner = CliRunner(env={"COLUMNS": "200", "TERM": "dumb"})

    def call(*arguments):
        return runner.invoke(app, [str(argument) for argument in arguments])

    return call


@pytest.fixture(scope="module")
def story(sample, model_folder, lexdpr, tmp_path_factory):
    """A collection of the sample's first dev and train queries, a config over the vocabulary of the demo's encoder, a run."""
    root = tmp_path_factory.mktemp("lexdpr")
    judgements = {split: dict(list(sample.judgements[split].items())[:16]) for split in ("train", "dev")}
    queries = {query: sample.queries[query] for judged in judgements.values() for query in judged}
    passages = {key: sample.passages[key] for judged in judgements.values() for grades in judged.values() for key in grades}
    Collection("small", passages, queries, judgements).write(root / "small")
    config = {
        "name": "tiny",
        "collection": str(root / "small"),
        "model": {"vocabulary": str(model_folder), "layers": 0, "dimensions": 32, "max_passage_tokens": 64, "template": "e5"},
        "training": {"epochs": 1, "batch_size": 8, "learning_rate": 1e-3},
    }
    (root / "tiny.yaml").write_text(json.dumps(config), encoding="utf-8")  # JSON is YAML
    answer = lexdpr("train", root / "tiny.yaml", "--out", root / "run", "--json")
    assert answer.exit_code == 0, answer.output
    return root, json.loads(answer.stdout)


def test_training_says_where_the_model_is(story):
    root, printed = story
    assert printed["model"] == str(root / "run" / "model")
    assert 0 <= printed["dev_ndcg@10"] <= 1


def test_a_dry_run_counts_and_writes_nothing(story, lexdpr):
    root, _ = story
    answer = lexdpr("train", root / "tiny.yaml", "--out", root / "dry", "--dry-run", "--json")
    found = json.loads(answer.stdout)
    assert (found["dimensions"], found["template"], found["steps"]) == (32, "e5", found["steps_per_epoch"])
    assert not (root / "dry").exists()


def test_the_model_mines_and_training_goes_on_from_it(story, lexdpr):
    root, printed = story
    answer = lexdpr("mine", "--model", printed["model"], "--collection", root / "small", "--hard", 2, "--random", 1, "--json")
    assert answer.exit_code == 0, answer.output
    pairs = list(read_pairs(root / "small" / "pairs" / "train.jsonl"))
    assert json.loads(answer.stdout)["queries"] == len(pairs) == 16
    changes = [
        word for change in ("data=[{pairs: train}]", "training.hard_negatives=1", "model.vocabulary=null") for word in ("--set", change)
    ]
    again = lexdpr("train", root / "tiny.yaml", "--model", printed["model"], *changes, "--out", root / "again", "--json")
    assert again.exit_code == 0, again.output
    record = json.loads((root / "again" / "model" / "training_config.json").read_text(encoding="utf-8"))
    assert record["base_model"] == printed["model"]


def test_bi_encoder_sparse_encoder_bm25_and_hybrids_stand_in_one_table(story, model_folder, lexdpr):
    root, printed = story
    options = ["--collection", root / "small", "--bm25", "bigram", "--sparse", model_folder, "--out", root / "evaluation", "--json"]
    answer = lexdpr("evaluate", "--model", printed["model"], *options)
    assert answer.exit_code == 0, answer.output
    names = [row["system"] for row in json.loads(answer.stdout)["systems"]]
    assert names == [
        *("bm25-bigram", "bm25-bigram-0.9-0.4", "dense-run", "sparse-untrained"),
        *("dense-run+bm25", "dense-run+sparse-untrained", "dense-run+bm25+sparse-untrained"),
    ]
    assert (root / "evaluation" / "report.md").is_file()


def test_the_table_shows_the_depths_that_are_asked_for(story, lexdpr):
    root, printed = story
    answer = lexdpr(
        "evaluate", "--model", printed["model"], "--collection", root / "small", "--bm25", "none", "--k", "3", "--ablate-template"
    )
    assert answer.exit_code == 0, answer.output
    assert "nDCG@3" in answer.stdout
    assert "nDCG@5" not in answer.stdout
    assert "with the template e5" in answer.stdout


@pytest.mark.parametrize(
    ("options", "code", "word"),
    [
        (["--k", "7"], 2, "1, 3, 5, 10"),
        (["--no-template", "--ablate-template"], 2, "Choose one"),
        (["--by-type"], 1, "metadata.type"),
        (["--split", "nowhere"], 1, "nowhere"),
    ],
)
def test_what_cannot_work_is_said(story, lexdpr, options, code, word):
    root, printed = story
    answer = lexdpr("evaluate", "--model", printed["model"], "--collection", root / "small", "--bm25", "none", *options)
    assert answer.exit_code == code, answer.output
    assert word in " ".join(answer.stderr.split())


def test_a_config_that_is_none_names_the_packaged_ones(lexdpr):
    answer = lexdpr("train", "nowhere")
    assert answer.exit_code == 2
    assert "static" in answer.stderr
