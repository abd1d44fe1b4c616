"""`runs …` and `interleave`: what a person and a program read of runs, and what the exit code says."""

import json
import shlex
import shutil
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from retrieval_ko.collection import sample_folder
from retrieval_ko.runs import Run

RECORDED = Path(__file__).parent.parent / "retrieval_ko" / "recorded_runs"


@pytest.fixture
def runs_folder(tmp_path):
    """The recorded runs, with what git does not keep of them."""
    folder = tmp_path / "runs"
    for name in ("good", "flat", "killed"):
        shutil.copytree(RECORDED / name, folder / name)
        for part in ("checkpoint-16", "model"):
            (folder / name / part).mkdir()
    (folder / "latest-run").symlink_to("good")
    return folder


def test_list_shows_every_run_once_with_its_state(run, runs_folder):
    rows = json.loads(run("runs", "list", runs_folder, "--json").stdout)
    assert {Path(row["run"]).name: row["state"] for row in rows} == {"good": "finished", "flat": "finished", "killed": "crashed"}
    assert "crashed" in run("runs", "list", runs_folder).stdout


def test_list_finds_out_what_has_crashed(run, tmp_path):
    made = Run.begin(tmp_path / "run", {}, seed=1, data={})
    metadata = made.metadata()
    metadata["process"]["started"] -= 100
    (made.folder / "metadata.json").write_text(json.dumps(metadata))
    [row] = json.loads(run("runs", "list", tmp_path, "--json").stdout)
    assert row["state"] == made.metadata()["state"] == "crashed"


def test_show_prints_the_columns_that_a_run_has(run, runs_folder):
    text = run("runs", "show", runs_folder / "good").stdout
    assert "dims passage" in text
    assert "0.938" in text


def test_show_does_without_what_a_dense_run_has_not(run, tmp_path):
    made = Run.begin(tmp_path / "dense", {}, seed=1, data={})
    made.record(step=0, **{"dev_ndcg@10": 0.25, "dev_loss": 2.0})
    made.record(step=5, **{"dev_ndcg@10": 0.75})
    text = run("runs", "show", tmp_path / "dense").stdout
    assert "0.250" in text
    assert "0.750" in text
    assert "dims" not in text


@pytest.mark.parametrize(("name", "outcome", "code"), [("good", "good", 0), ("flat", "bad", 1), ("killed", "bad", 1)])
def test_the_verdict_is_the_exit_code(run, runs_folder, name, outcome, code):
    answer = run("runs", "verdict", runs_folder / name, "--json")
    assert answer.exit_code == code
    assert json.loads(answer.stdout)["verdict"] == outcome
    words = run("runs", "verdict", runs_folder / name)
    assert words.exit_code == code
    assert words.stdout.rstrip().endswith(outcome)


def test_a_run_that_goes_on_has_no_verdict_yet(run, tmp_path):
    Run.begin(tmp_path / "run", {}, seed=1, data={})
    assert run("runs", "verdict", tmp_path / "run").exit_code == 3


def test_the_run_that_began_last_is_meant_where_none_is_named(run, runs_folder, monkeypatch):
    monkeypatch.chdir(runs_folder.parent)
    assert json.loads(run("runs", "verdict", "--json").stdout)["run"] == "runs/latest-run"


def test_plot_draws_into_the_file_that_is_named(run, runs_folder, tmp_path):
    answer = run("runs", "plot", runs_folder / "good", runs_folder / "flat", "--out", tmp_path / "x.html", "--json")
    assert json.loads(answer.stdout)["picture"] == str(tmp_path / "x.html")
    assert "<svg" in (tmp_path / "x.html").read_text(encoding="utf-8")
    assert run("runs", "plot", runs_folder / "good", "--out", tmp_path / "x.bmp").exit_code == 2


def test_compare_refuses_other_data_and_says_why(run, runs_folder):
    answer = run("runs", "compare", runs_folder / "good", runs_folder / "flat")
    assert answer.exit_code == 1
    assert "never measured on dev" in answer.stderr
    other = Run(runs_folder / "flat")
    other.note(dev={"sha256": "00", "collection": "another"})
    answer = run("runs", "compare", runs_folder / "good", runs_folder / "flat", "--json")
    assert answer.exit_code in (1, 2)
    assert "dev" in answer.stderr


def test_both_programs_know_all_of_it(runs_folder):
    from sparse_ko_cli.lexdpr import app

    for command in ("list", "show", "plot", "compare", "verdict", "watch"):
        assert CliRunner().invoke(app, ["runs", command, "--help"]).exit_code == 0
    assert CliRunner().invoke(app, ["runs", "verdict", str(runs_folder / "good")]).exit_code == 0


def test_watch_says_how_a_run_ended_and_runs_what_comes_after(run, runs_folder, tmp_path):
    write = "import sys; open(sys.argv[1], 'w').write(sys.argv[2])"
    then = shlex.join([sys.executable, "-c", write, str(tmp_path / "after"), "{model}"])
    answer = run("runs", "watch", runs_folder / "good", "--then", then, "--json")
    assert answer.exit_code == 0, answer.output
    assert json.loads(answer.stdout)["state"] == "finished"
    assert (tmp_path / "after").read_text() == str(runs_folder / "good" / "model")


def test_watch_tells_a_failed_evaluation_from_a_failed_run(run, runs_folder):
    fails = shlex.join([sys.executable, "-c", "import sys; sys.exit(9)"])
    assert run("runs", "watch", runs_folder / "good", "--then", fails).exit_code == 7
    crashed = run("runs", "watch", runs_folder / "killed", "--then", fails, "--restart", "2")
    assert crashed.exit_code == 6
    assert "Not begun again: its record holds no command." in crashed.stderr


@pytest.fixture
def rankers(sample, tmp_path):
    """Two TREC run files: the same ten passages for every query, and the same with an answer above them."""
    found = sorted(sample.passages, reverse=True)[:10]
    for name in ("chance", "right"):
        lines = []
        for query, answers in sample.relevant("dev").items():
            ranking = dict.fromkeys([answers[0], *found] if name == "right" else found)
            lines += [f"{query} Q0 {passage} {place} {-place} {name}" for place, passage in enumerate(ranking)]
        (tmp_path / name).write_text("\n".join(lines) + "\n")
    return tmp_path / "chance", tmp_path / "right"


def test_interleave_prefers_nobody_where_both_are_one(run, rankers, tmp_path):
    chance, _ = rankers
    log = tmp_path / "log.jsonl"
    answer = run("interleave", chance, chance, "--sessions", "5", "--out", log, "--json")
    assert answer.exit_code == 0, answer.output
    found = json.loads(answer.stdout)
    assert found["p_value"] > 1e-3
    again = json.loads(run("interleave", "--clicks", log, "--json").stdout)
    assert {name: again[name] for name in ("sessions", "wins_a", "wins_b", "ties", "delta")} == {
        name: found[name] for name in ("sessions", "wins_a", "wins_b", "ties", "delta")
    }


def test_interleave_finds_the_better_of_two_rankers(run, rankers):
    answer = run("interleave", *rankers, "--collection", sample_folder(), "--user", "navigational", "--json")
    found = json.loads(answer.stdout)
    assert found["delta"] > 0.1
    assert found["p_queries"] < 0.001
    assert "is preferred" in run("interleave", *rankers).stdout


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["bm25"], "Two rankers are compared"),
        (["bm25", "nowhere"], "nowhere is no ranker"),
        (["bm25", "bm25", "--user", "martian"], "--user martian: there are perfect"),
    ],
)
def test_interleave_refuses_what_it_cannot_do(run, words, message):
    answer = run("interleave", *words)
    assert answer.exit_code == 2
    assert message in answer.stderr
