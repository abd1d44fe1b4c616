"""`lex-dpr teacher`, and the scripts under their earlier flags: what a person and a program see."""

import importlib.util
import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from dense_ko.teacher.building import build_teacher
from dense_ko.teacher.settings import TeacherModelSettings
from retrieval_ko.collection import Collection
from retrieval_ko.pairs.training_pairs import read_pairs, write_pairs
from retrieval_ko.records import TrainingPair
from sparse_ko_cli.lexdpr import app

SCRIPTS = Path(__file__).resolve().parents[2] / "scripts"


@pytest.fixture(scope="module")
def places(bases, collection, tmp_path_factory):
    """A collection with a pair file, and an untrained teacher."""
    root = tmp_path_factory.mktemp("command")
    judged = collection.judgements["train"]
    Collection(collection.name, collection.passages, collection.queries, {"train": judged, "dev": judged}, []).write(root / "collection")
    ids = list(collection.passages)
    pairs = [
        TrainingPair(
            query_id=f"q{key}",
            query_text=collection.queries[f"q{key}"].text,
            positive_passages=[key],
            hard_negatives=[other for other in ids if other != key],
        )
        for key in ids
    ]
    write_pairs(root / "collection" / "pairs" / "train.jsonl", pairs)
    shape = {"vocabulary": bases / "vocabulary", "layers": 1, "dimensions": 32, "heads": 2, "max_tokens": 64}
    build_teacher(TeacherModelSettings.model_validate(shape), seed=3).save(root / "teacher")
    return root


def call(*arguments):
    return CliRunner(env={"COLUMNS": "300", "TERM": "dumb"}).invoke(app, [str(argument) for argument in arguments])


def script(name):
    spec = importlib.util.spec_from_file_location(name, SCRIPTS / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_a_dry_run_counts_lists_and_steps(places, bases, tmp_path):
    words = ["--collection", places / "collection", "--vocabulary", bases / "vocabulary", "--max-samples", 4, "--out", tmp_path / "run"]
    answer = call("teacher", "train", "scratch", *words, "--set", "training.batch_size=2", "--dry-run", "--json")
    assert answer.exit_code == 0, answer.output
    found = json.loads(answer.stdout)
    assert [source["lists"] for source in found["sources"]] == [4]
    assert (found["steps_per_epoch"], found["steps"]) == (2, 6)
    assert not (tmp_path / "run").exists()


def test_scores_are_written_and_said(places):
    answer = call("teacher", "score", "--model", places / "teacher", "--collection", places / "collection", "--k", 3, "--filter-share", 0)
    assert answer.exit_code == 0, answer.output
    assert "5 queries, 15 candidates" in answer.stdout
    assert all(len(pair.scores) == 3 for pair in read_pairs(places / "collection" / "pairs" / "train-scored.jsonl"))


def test_an_evaluation_has_both_orders_and_figures(places, tmp_path):
    words = ["--model", places / "teacher", "--collection", places / "collection", "--depth", 5, "--out", tmp_path / "evaluation", "--json"]
    answer = call("teacher", "evaluate", *words)
    assert answer.exit_code == 0, answer.output
    found = json.loads(answer.stdout)
    assert [row["system"] for row in found["systems"]] == ["bm25-bigram", "bm25-bigram+teacher"]
    assert found["positives"]["count"] == 5
    assert found == json.loads((tmp_path / "evaluation" / "evaluation.json").read_text())
    assert (tmp_path / "evaluation" / "scores.png").read_bytes().startswith(b"\x89PNG")


def test_what_is_wrong_is_said_with_the_way_out(places, tmp_path):
    missing = call("teacher", "score", "--model", tmp_path / "nothing", "--collection", places / "collection")
    assert missing.exit_code == 1
    assert "lex-dpr teacher train" in missing.stderr
    unknown = call("teacher", "train", "slow", "--collection", places / "collection", "--base", "x")
    assert unknown.exit_code == 2
    assert "full, quick, scratch" in unknown.stderr
    both = call("teacher", "train", "scratch", "--collection", places / "collection")
    assert both.exit_code == 2
    assert "base" in both.stderr
    assert "vocabulary" in both.stderr


def test_a_folder_without_a_tokenizer_is_found_before_anything_begins(places, tmp_path):
    words = ["--collection", places / "collection", "--vocabulary", tmp_path, "--out", tmp_path / "run"]
    for command in (["teacher", "train", "scratch"], ["distill", "scratch", "--teacher", places / "teacher"]):
        answer = call(*command, *words)
        assert answer.exit_code == 1
        assert "no tokenizer.json" in answer.stderr
        assert not (tmp_path / "run").exists()  # else the corrected command would find a run there


def test_the_earlier_flags_of_the_teacher_become_settings():
    told = [
        "--data_version",
        "c",
        "--output_dir",
        "o",
        "--teacher_name",
        "klue/bert-base",
        "--lr",
        "3e-5",
        "--lora_r",
        "8",
        "--max_samples",
        "7",
    ]
    module = script("train_teacher_model")
    found = {key: value for key, value in module.changes(module.parser().parse_args(told)).items() if value is not None}
    assert found == {
        "collection": "c",
        "data": [{"collection": "c", "pairs": "train"}],
        "model.base": "klue/bert-base",
        "training.learning_rate": 3e-5,
        "training.max_samples": 7,
        "model.lora.r": 8,
    }


def test_the_earlier_flags_of_the_student_become_settings():
    told = ["--teacher_path", "t", "--data_version", "c", "--output_dir", "o", "--K", "8", "--tau", "0.3", "--max_len", "128"]
    module = script("train_distillation_pipeline")
    found = module.changes(module.parser().parse_args([*told, "--contrastive_weight", "0.1", "--negative_penalty_weight", "0.2"]))
    assert (found["teacher"], found["candidates.k"], found["distillation.temperature"]) == ("t", 8, 0.3)
    assert (found["distillation.contrastive_weight"], found["distillation.negative_penalty_weight"]) == (0.1, 0.2)
    assert found["model.max_passage_tokens"] == 128
