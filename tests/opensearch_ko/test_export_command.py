"""`sparse-ko export` writes every kind of zip, `export check` judges it, and both say in JSON what they say in words."""

import json
import sys
import zipfile
from pathlib import Path

import pytest
from typer.testing import CliRunner

sys.path.insert(0, str(Path(__file__).parent))
import export_models

from sparse_ko_cli.sparse import app


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    root, pieces = tmp_path_factory.mktemp("command"), export_models.tokenizer()
    export_models.encoder("floor", pieces).save(root / "floor")
    export_models.save_dense(root / "dense", pieces)
    return root


def run(*arguments):
    return CliRunner().invoke(app, ["export", *map(str, arguments)])


def test_a_sparse_folder_becomes_two_zips_that_pass_the_check(folders, tmp_path):
    answer = run("--model", folders / "floor", "--out", tmp_path, "--format", "onnx", "--prune", "top_k:50", "--json")
    assert answer.exit_code == 0, answer.output
    report = json.loads(answer.stdout)
    assert (report["model_format"], report["pruning"]) == ("ONNX", {"type": "top_k", "ratio": 50.0})
    assert report["query"]["function_name"] == "SPARSE_TOKENIZE"
    assert report["latency_ms"].keys() == {"pytorch", "onnx"}
    for path in (report["path"], report["query"]["path"]):
        checked = run("check", path, "--json")
        assert checked.exit_code == 0, checked.output
        assert json.loads(checked.stdout)["deployable"]


def test_a_dense_folder_is_recognised(folders, tmp_path):
    answer = run("--model", folders / "dense", "--out", tmp_path, "--query-prefix", "질문: ", "--json")
    assert answer.exit_code == 0, answer.output
    report = json.loads(answer.stdout)
    assert (report["function_name"], report["registration"]["query_prefix"]) == ("TEXT_EMBEDDING", "질문: ")
    refused = run("--model", folders / "dense", "--out", tmp_path, "--prune", "top_k:5")
    assert refused.exit_code == 2


@pytest.mark.parametrize(
    "arguments",
    [
        ["--model", "x"],
        ["--out", "x"],
        ["--model", "x", "--out", "y", "--prune", "much"],
        ["--model", "x", "--out", "y", "--precision", "int8"],
        ["--model", "x", "--out", "y", "--format", "tflite"],
        ["--model", "x", "--out", "y", "--field", "text"],
        ["--model", "x", "--out", "y", "--passage-prefix", "글: "],
    ],
)
def test_a_call_that_cannot_work_ends_with_2(arguments):
    assert run(*arguments).exit_code == 2


def test_a_zip_that_cannot_be_deployed_ends_with_1_and_a_table(tmp_path):
    with zipfile.ZipFile(tmp_path / "empty.zip", "w") as archive:
        archive.writestr("readme.txt", "nothing")
    answer = run("check", tmp_path / "empty.zip")
    assert answer.exit_code == 1
    assert "tokenizer.json" in answer.output
    assert run("check", tmp_path / "nothing.zip").exit_code == 1
