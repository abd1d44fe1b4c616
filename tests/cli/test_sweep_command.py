"""`sweep`: from a preset to a best config, with agents that are killed on the way."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
import yaml
from typer.testing import CliRunner

from retrieval_ko.collection import Collection
from retrieval_ko.records import Passage, Query
from retrieval_ko.runs import Run
from retrieval_ko.runs.process import is_running
from retrieval_ko.sweeps.settings import changes_of, read_settings
from sparse_ko_cli.lexdpr import app as lexdpr
from sparse_ko_cli.sweep_programs import dense_program, sparse_program
from sparse_ko_cli.train import find_config

TEXTS = (
    "보증금 반환 소송",
    "공영주차장 요금",
    "도서관 대출 기간",
    "김치찌개 끓이는 법",
    "서버 백업 시각",
    "형태소 분석기",
    "건강검진 주기",
    "기차표 예매",
)
ROOT = Path(__file__).resolve().parents[2]
SECONDS = 900
"""Until a test gives up: a process needs ten seconds of one core to import what trains."""


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder with a collection of eight passages, a config of `train` and a sweep's file."""
    folder = tmp_path_factory.mktemp("sweep")
    passages = {f"p{number}": Passage(id=f"p{number}", title="", text=f"{text}에 대한 안내입니다.") for number, text in enumerate(TEXTS)}
    queries = {f"q{number}": Query(id=f"q{number}", text=text) for number, text in enumerate(TEXTS)}
    judged = [{f"q{number}": {f"p{number}": 1} for number in range(first, 8, 2)} for first in (0, 1)]
    Collection("tiny", passages, queries, {"train": judged[0], "dev": judged[1]}).write(folder / "tiny")
    config = {
        "name": "tiny",
        "collection": str(folder / "tiny"),
        "vocabulary": {"size": 6000},
        "model": {"dimensions": 32, "max_tokens": 32, "neighbour_pull": 0},
        "training": {"max_steps": 200, "batch_size": 2, "eval_steps": 100, "save_steps": 20},
    }
    (folder / "tiny.yaml").write_text(yaml.safe_dump(config), encoding="utf-8")
    (folder / "sweep.yaml").write_text(
        f"""# 작은 탐색
name: tiny
config: {folder / "tiny.yaml"}
method: random   # or grid
metric:
  - {{name: eval/ndcg_at_10, goal: maximize}}
  - {{name: eval/flops, goal: minimize}}
run_cap: 2  # trials
parameters:
  training.learning_rate: {{distribution: log_uniform_values, min: 1e-4, max: 1e-2}}
  sparsity.document_weight: {{values: [0.001, 0.01]}}
""",
        encoding="utf-8",
    )
    return folder


@pytest.fixture
def agent(place):
    """Start an agent as a person does; none outlives the test."""
    started = []

    def start(*arguments):
        words = ["sweep", "agent", "--config", place / "sweep.yaml", "--runs", place / "runs", *arguments]
        command = [sys.executable, "-m", "sparse_ko_cli", *map(str, words)]
        environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        started.append(subprocess.Popen(command, env=environment, text=True, start_new_session=True, **pipes))
        return started[-1]

    yield start
    for process in started:
        process.kill()
        process.wait()


def until(condition, what):
    """Wait for something to be there, and return it."""
    end = time.monotonic() + SECONDS
    while time.monotonic() < end:
        if found := condition():
            return found
        time.sleep(0.05)
    raise AssertionError(f"{what}: not within {SECONDS} s")


def trainers(agent):
    """Return the trials that an agent has begun, as processes."""
    return [child for child in psutil.Process(agent.pid).children() if "train" in child.cmdline()]


def test_two_agents_one_of_them_killed_finish_every_trial_once(run, place, agent):
    written = (place / "sweep.yaml").read_text(encoding="utf-8")
    created = run("sweep", "--config", place / "sweep.yaml", "--runs", place / "runs", "--no-run-agent")
    assert created.exit_code == 0, created.output
    sweep = place / "runs" / created.stdout.strip()
    assert (place / "sweep.yaml").read_text(encoding="utf-8") == written.replace("name: tiny", f"sweep_id: {sweep.name}\nname: tiny", 1)

    agents = [agent("--count", "2", "--json") for _ in range(2)]
    until(lambda: list(sweep.glob("trial-0001/checkpoint-*")), "a checkpoint of the first trial")
    [(first, trainer)] = [(each, child) for each in agents for child in trainers(each) if str(sweep / "trial-0001") in child.cmdline()]
    process = {"pid": trainer.pid, "started": trainer.create_time()}
    first.send_signal(signal.SIGKILL)
    first.communicate()
    until(lambda: not is_running(process), "the end of a trial whose agent is gone")
    assert Run(sweep / "trial-0001").metadata()["state"] == "running"  # nobody could write down that it is not

    [other] = [each for each in agents if each is not first]
    said = other.communicate(timeout=SECONDS)
    assert other.returncode == 0, said
    shown = run("sweep", "show", sweep, "--json")
    found = json.loads(shown.stdout)
    trials = found["trials"]
    assert [trial["state"] for trial in trials] == ["finished"] * 2
    assert len({json.dumps(trial["settings"]) for trial in trials}) == 2
    events = Run(sweep / "trial-0001").events()
    assert any(event.get("resumed") and event["step"] > 0 for event in events), "it began anew instead of going on"
    assert [trial["generation"] for trial in trials] == [2, 1]
    begun = [number for number in (1, 2) if "earlier" in Run(sweep / f"trial-{number:04}").metadata()]
    assert begun == [1]  # the other was run once, by one of two agents that began together
    assert all(Path(picture).stat().st_size > 1000 for picture in found["pictures"])
    assert {Path(picture).suffix for picture in found["pictures"]} == {".png", ".html"}

    best = max(trials, key=lambda trial: (trial["eval/ndcg_at_10"], -trial["eval/flops"]))
    assert found["best"] == best["trial"]
    program = sparse_program()
    settings = program.check(found["best_config"], [])  # `train` reads it
    assert settings == program.check(str(place / "tiny.yaml"), changes_of(best["settings"]))

    again = run("sweep", "agent", sweep)  # there is nothing left to do
    assert again.exit_code == 0, again.output
    assert len(list(sweep.glob("trial-*"))) == 2


@pytest.mark.parametrize("name", ["static"])
def test_a_preset_is_written_and_read(run, tmp_path, name):
    target = tmp_path / "my.yaml"
    answer = run("sweep", "preset", name, "--no-run", "--output", target)
    assert answer.exit_code == 0, answer.output
    assert [one.key for one in read_settings(target, sparse_program()).objectives] == ["dev_ndcg@10", "dev_flops"]
    assert not list(tmp_path.glob("runs"))
    twice = run("sweep", "preset", name, "--no-run", "--output", target)
    assert twice.exit_code == 2
    assert "is there already" in twice.stderr


def test_the_published_sweep_is_read_with_its_names_and_ours(tmp_path):
    target = tmp_path / "lexdpr.yaml"
    answer = CliRunner().invoke(lexdpr, ["sweep", "preset", "--no-run-agent", "--output", str(target), "--runs", str(tmp_path / "runs")])
    assert answer.exit_code == 0, answer.output
    settings = read_settings(target, dense_program())
    assert settings.written["sweep_id"] in answer.output
    rate = settings.space.parameters["training.learning_rate"]
    assert (rate.low, rate.high, rate.log) == (5e-7, 1e-4, True)
    point = settings.space.draw(lambda name, how: "multilingual-minilm" if name == "model.base" else how.ends()[-1])
    assert point["model.max_passage_tokens"] == 128  # 512 clipped
    assert point["model.lora.alpha"] == 64
    assert (point["training.hard_negatives"], point["training.random_negatives"]) == (3, 2)

    published = {
        "config": "e5-small-lora",
        "metric": {"name": "eval/ndcg_at_10", "goal": "maximize"},
        "parameters": {
            "trainer.lr": {"distribution": "log_uniform_values", "min": 1e-6, "max": 1e-4},
            "trainer.lora_r": {"values": [4, 8, 16]},
            "trainer.gradient_clip_norm": {"distribution": "uniform", "min": 1.0, "max": 20.0},
        },
        "fixed": {"trainer.epochs": 3},
    }
    target.write_text(yaml.safe_dump(published), encoding="utf-8")
    space = read_settings(target, dense_program()).space
    assert set(space.parameters) == {"training.learning_rate", "model.lora.r", "training.max_grad_norm"}
    assert space.fixed == {"training.epochs": 3}


def test_accumulation_is_answered_with_what_does_it_here(tmp_path):
    target = tmp_path / "sweep.yaml"
    target.write_text(
        yaml.safe_dump(
            {
                "config": "e5-small-lora",
                "metric": {"name": "eval/ndcg_at_10"},
                "parameters": {"trainer.gradient_accumulation_steps": {"values": [16, 32]}},
            }
        )
    )
    answer = CliRunner().invoke(lexdpr, ["sweep", "--config", str(target)])
    assert answer.exit_code == 2
    assert "training.chunk_size" in answer.output


@pytest.mark.parametrize("words", [("sweep",), ("sweep", "agent", "nothing"), ("sweep", "preset", "none"), ("sweep", "show")])
def test_what_is_missing_is_said_with_the_way_out(run, tmp_path, monkeypatch, words):
    monkeypatch.chdir(tmp_path)
    answer = run(*words)
    assert answer.exit_code == 2
    assert answer.stderr.startswith("Error: ")
    assert list(tmp_path.iterdir()) == []


def test_every_preset_starts_from_a_packaged_config():
    for program in (sparse_program(), dense_program()):
        for file in program.presets.glob("*.yaml"):
            assert read_settings(file, program).limit
    assert find_config("demo").is_file()
