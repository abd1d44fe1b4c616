"""`sparse-ko data legal` and `lex-dpr preprocess-auto`, as a person calls them."""

import json

import pytest
import typer
from typer.testing import CliRunner

from retrieval_ko.collection import Collection
from sparse_ko_cli.data.legal import legal, preprocess_auto

app = typer.Typer()
app.command()(legal)
app.command("preprocess-auto")(preprocess_auto)


def run(*arguments):
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


@pytest.fixture
def raw(write, markdown_law, admin_rule, json_law):
    write("laws/000012.json", json_law())
    write("laws/000013.md", markdown_law(law_id="000013", name="책방법"))
    return write("admin_rules/1.json", admin_rule(["제1장 총칙", "제1조(목적) 정한다."])).parent.parent


def rows(path):
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def test_legal_writes_a_collection(raw, tmp_path):
    result = run("legal", "--source", raw, "--out", tmp_path / "out")
    assert result.exit_code == 0, result.output
    ids = list(Collection.read(tmp_path / "out").passages)
    assert ids[:2] == ["ADM_2100000000001_제1조", "LAW_000012_제1조"]
    assert len(ids) == 7


def test_legal_writes_it_again_in_smaller_units(raw, tmp_path):
    run("legal", "--source", raw, "--out", tmp_path / "out")
    assert run("legal", "--source", raw, "--out", tmp_path / "out", "--unit", "paragraph").exit_code == 0
    assert "LAW_000012_제3조의2_3" in Collection.read(tmp_path / "out").passages


def test_two_runs_write_the_same_bytes(raw, tmp_path):
    for name in ["one", "two"]:
        run("legal", "--source", raw, "--out", tmp_path / name)
    assert (tmp_path / "one/corpus.jsonl").read_bytes() == (tmp_path / "two/corpus.jsonl").read_bytes()


def test_a_problem_is_exit_code_1_and_the_rest_is_written(raw, write, tmp_path):
    write("laws/bad.json", '{"법령":')
    result = run("legal", "--source", raw, "--out", tmp_path / "out", "--json")
    assert result.exit_code == 1
    report = json.loads(result.stdout)
    assert [problem["file"].endswith("bad.json") for problem in report["problems"]] == [True]
    assert len(Collection.read(tmp_path / "out").passages) == 7


def test_strict_writes_nothing(raw, write, tmp_path):
    write("laws/bad.json", '{"법령":')
    result = run("legal", "--source", raw, "--out", tmp_path / "out", "--strict")
    assert result.exit_code == 1
    assert "bad.json" in result.stderr
    assert not (tmp_path / "out").exists()


def test_preprocess_auto_tells_statutes_from_rules(raw, tmp_path):
    law, admin = tmp_path / "law.jsonl", tmp_path / "admin.jsonl"
    result = run("preprocess-auto", "--src-dir", raw, "--out-law", law, "--out-admin", admin)
    assert result.exit_code == 0, result.output
    assert [row["id"] for row in rows(law)] == ["LAW_000012_제1조", "LAW_000012_제2조", "LAW_000012_제3조의2"]
    assert [(row["id"], row["type"]) for row in rows(admin)] == [("ADM_2100000000001_제1조", "admin")]


def test_preprocess_auto_reads_markdown_when_the_glob_says_so(raw, tmp_path):
    law, admin = tmp_path / "law.jsonl", tmp_path / "admin.jsonl"
    result = run("preprocess-auto", "--src-dir", raw, "--out-law", law, "--out-admin", admin, "--glob", "**/*.md")
    assert result.exit_code == 0, result.output
    assert {row["law_name"] for row in rows(law)} == {"책방법"}
    assert not admin.exists()
    assert "not written" in result.stdout


def test_nothing_but_bad_files_is_an_error_that_names_them(write, tmp_path):
    folder = write("bad.json", "{").parent
    result = run("preprocess-auto", "--src-dir", folder, "--out-law", tmp_path / "l.jsonl", "--out-admin", tmp_path / "a.jsonl")
    assert result.exit_code == 1
    assert "bad.json" in result.stderr
    assert "no article" in result.stderr


@pytest.mark.parametrize("command", ["legal", "preprocess-auto"])
def test_help_shows_an_example(command):
    assert "Example:" in run(command, "--help").stdout
