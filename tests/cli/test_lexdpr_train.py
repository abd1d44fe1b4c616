"""`lex-dpr train`, `mine` and `evaluate`: one story on a collection of eight laws, from the first step to the second training."""

import io
import json
import shutil

import pytest
from rich.console import Console
from typer.testing import CliRunner

from retrieval_ko.collection import Collection
from retrieval_ko.files import write_jsonl
from retrieval_ko.pairs.training_pairs import read_pairs
from retrieval_ko.runs import Run
from sparse_ko.evaluation.encoded_passages import EncodedPassages
from sparse_ko_cli.evaluate import comparison_table
from sparse_ko_cli.lexdpr import app
from sparse_ko_cli.lexdpr_evaluate import fitting


@pytest.fixture(scope="module")
def lexdpr():
    runner = CliRunner(env={"COLUMNS": "200", "TERM": "dumb"})

    def call(*arguments, env=None):
        return runner.invoke(app, [str(argument) for argument in arguments], env=env)

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


def test_a_run_whose_machine_is_lost_is_gone_on_with_when_it_is_taken_over(story, lexdpr):
    root, _ = story
    lost = root / "lost"
    shutil.copytree(root / "run", lost)
    metadata = json.loads((lost / "metadata.json").read_text(encoding="utf-8"))
    metadata |= {"state": "running", "process": {"pid": 4711, "started": 1.0, "host": "another-machine"}}
    (lost / "metadata.json").write_text(json.dumps(metadata), encoding="utf-8")
    command = ["train", root / "tiny.yaml", "--out", lost, "--resume"]
    refused = lexdpr(*command)
    assert refused.exit_code == 2
    assert "process 4711 on another-machine" in " ".join(refused.stderr.split())
    early = lexdpr(*command, "--take-over")
    assert early.exit_code == 2
    assert "may well be at work" in " ".join(early.stderr.split())

    metadata["started_at"] = "2020-01-01T00:00:00+00:00"
    (lost / "metadata.json").write_text(json.dumps(metadata), encoding="utf-8")
    events = [json.loads(line) for line in (lost / "events.jsonl").read_text(encoding="utf-8").splitlines()]
    write_jsonl(lost / "events.jsonl", [event | {"time": metadata["started_at"]} for event in events])
    answer = lexdpr(*command, "--take-over")
    assert answer.exit_code == 0, answer.output
    after = Run(lost).metadata()
    assert (after["state"], after["earlier"][0]["state"]) == ("finished", "crashed")


def test_taking_over_without_resuming_is_refused(story, lexdpr):
    root, _ = story
    answer = lexdpr("train", root / "tiny.yaml", "--out", root / "run", "--take-over")
    assert answer.exit_code == 2
    assert "Add --resume" in answer.stderr


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
    options = ["--collection", root / "small", "--bm25", "bigram", "--sparse", model_folder, "--cache", root / "kept"]
    answer = lexdpr("evaluate", "--model", printed["model"], *options, "--out", root / "evaluation", "--json")
    assert answer.exit_code == 0, answer.output
    names = [row["system"] for row in json.loads(answer.stdout)["systems"]]
    assert names == [
        *("bm25-bigram", "bm25-bigram-0.9-0.4", "dense-run", "sparse-untrained", "sparse-untrained+bm25"),
        *("dense-run+bm25", "dense-run+sparse-untrained", "dense-run+bm25+sparse-untrained"),
    ]
    assert (root / "evaluation" / "report.md").is_file()
    kept = EncodedPassages.of(root / "kept", model_folder, Collection.read(root / "small"))  # the file that `sparse-ko evaluate` would keep
    assert kept.load().shape[0] == len(Collection.read(root / "small").passages)
    kept.path.write_bytes(b"damaged")
    again = lexdpr("evaluate", "--model", printed["model"], *options)
    assert again.exit_code == 1
    assert str(kept.path) in again.stderr.replace("\n", "")


def test_a_narrow_terminal_shows_the_main_figures_whole_and_names_the_others():
    depths = [f"{name}@{depth}" for name in ("ndcg", "mrr", "recall", "map") for depth in (1, 3, 5, 10)]
    metrics = {name: name.upper() for name in (*depths, "recall@100")}
    rows = [{"system": name} | dict.fromkeys(metrics, 0.123) for name in ("bm25-bigram-0.9-0.4", "dense-run+bm25+sparse-untrained")]
    report = {"collection": "small", "split": "dev", "queries": 16, "passages": 30, "systems": rows}
    counts = []
    for width in (60, 80, 100, 120, 250):
        console = Console(width=width, file=io.StringIO())
        shown = fitting(report, metrics, console)
        console.print(comparison_table(report, shown))
        text = console.file.getvalue()
        assert "…" not in text
        assert all(heading in text for heading in shown.values())
        assert list(shown) == [name for name in metrics if name in shown]
        counts.append(len(shown))
    assert counts == sorted(counts)
    assert set(fitting(report, metrics, Console(width=80))) >= {"ndcg@10", "mrr@10", "recall@100"}
    assert counts[-1] == len(metrics)


def test_what_is_left_out_of_the_table_is_named_below_it(story, lexdpr):
    root, printed = story
    answer = lexdpr("evaluate", "--model", printed["model"], "--collection", root / "small", "--bm25", "none", env={"COLUMNS": "80"})
    assert answer.exit_code == 0, answer.output
    assert "nDCG@10" in answer.stdout
    assert "MAP@1," in " ".join(answer.stderr.split())
    assert "--json" in answer.stderr


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
        (["--cache", "kept"], 2, "--sparse DIR"),
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
