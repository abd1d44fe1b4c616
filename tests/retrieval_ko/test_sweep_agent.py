"""What an agent does around its trials: hours, trials that fail, trials that others lost."""

import sys
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import pytest
import yaml

from retrieval_ko.errors import DataError, ModelError
from retrieval_ko.files import write_text
from retrieval_ko.runs import Run
from retrieval_ko.sweeps.agent import FAILURES_IN_A_ROW, Agent
from retrieval_ko.sweeps.claims import Claims
from retrieval_ko.sweeps.results import MEASURED_ON, results_of
from retrieval_ko.sweeps.sweep import Sweep, create, open_sweep
from retrieval_ko.sweeps.time_window import TimeWindow
from sparse_ko_cli.sweep_programs import sparse_program

DEV = {"dev_split": "dev", "training": {"eval_queries": 1000, "eval_passages": None}}


@pytest.fixture
def sweep(tmp_path):
    return begun(tmp_path)


def begun(folder, command=None):
    """A sweep of four points; `command` stands for a program that breaks in a certain way."""
    values = {
        "config": "demo",
        "method": "grid",
        "metric": {"name": "eval/ndcg_at_10"},
        "parameters": {"training.batch_size": {"values": [16, 32, 64, 128]}},
    }
    source = folder / "sweep.yaml"
    source.write_text(yaml.safe_dump(values), encoding="utf-8")
    program = sparse_program()
    return create(source, folder / "runs", replace(program, command=command) if command else program)


def lost_after_its_run_ended(sweep, number, value, data="same"):
    """Leave a trial as an agent does that was killed between the end of the run and the record of it."""
    claims = Claims(sweep.folder / "claims")
    claim = claims.take(number)
    sweep.store.draw(number, lambda key: claims.take_point(key, number), claims.points)
    run = Run.begin(sweep.trial_folder(number), DEV, seed=1, data={"collection": data})
    run.record(step=0, **{"dev_ndcg@10": 0.1})
    run.record(step=5, **{"dev_ndcg@10": value})
    run.end("finished", best_step=5)
    claims.release(claim)


def test_outside_its_hours_an_agent_begins_nothing(sweep):
    now = [datetime(2026, 3, 1, 21, 0)]
    begun_at = []
    lost_after_its_run_ended(sweep, 1, 0.5)

    def sleep(seconds):
        begun_at.append((now[0], len(results_of(sweep).front)))
        now[0] += timedelta(seconds=seconds)

    agent = Agent(sweep, count=1, window=TimeWindow.read("22-6"), clock=lambda: now[0], sleep=sleep)
    assert agent.run() == 1
    assert now[0] == datetime(2026, 3, 1, 22, 0)
    assert {finished for _, finished in begun_at} == {0}
    assert len(results_of(sweep).front) == 1


def test_a_run_that_ended_after_its_agent_was_lost_is_not_run_again(sweep):
    lost_after_its_run_ended(sweep, 1, 0.5)
    assert Agent(sweep, count=1).run() == 1
    record = sweep.store.records()[1]
    assert (record.state, record.values, record.facts["generation"]) == ("finished", (0.5,), 2)
    best = yaml.safe_load((sweep.folder / "best.yaml").read_text(encoding="utf-8"))
    assert best == yaml.safe_load((sweep.trial_folder(1) / "config.yaml").read_text(encoding="utf-8"))


def test_trials_over_other_data_stop_the_agent_and_are_no_best(sweep):
    lost_after_its_run_ended(sweep, 1, 0.5)
    lost_after_its_run_ended(sweep, 2, 0.9, data="changed")
    with pytest.raises(DataError, match="sha256 same and changed"):
        Agent(sweep).run()
    records = sweep.store.records()
    assert records[2].state == "failed"
    assert MEASURED_ON in records[1].facts
    assert results_of(sweep).best == records[1]


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("import sys; sys.stderr.write('step 1\\nError: the disk is full\\n'); sys.exit(1)", "the disk is full"),
        ("import os, signal; os.kill(os.getpid(), signal.SIGKILL)", "ended by SIGKILL"),
        ("", "it ended without a word"),
    ],
)
def test_an_agent_stops_where_one_trial_after_the_other_fails(tmp_path, code, said):
    sweep = begun(tmp_path, (sys.executable, "-c", code))
    with pytest.raises(ModelError, match=f"{FAILURES_IN_A_ROW} trials in a row failed; the last one: .*{said}"):
        Agent(sweep).run()
    records = sweep.store.records()
    assert [record.state for record in records.values()] == ["failed"] * FAILURES_IN_A_ROW
    assert all(said in record.facts["error"] for record in records.values())


def test_a_hopeless_trial_is_ended_with_its_process(tmp_path):
    """The program stands for a run that goes on for ever; what it measured is there before it starts."""
    sweep = begun(tmp_path, (sys.executable, "-c", "import time; time.sleep(600)"))
    early = {"early_terminate": {"type": "median", "min_iter": 1}}
    source = tmp_path / "early.yaml"
    source.write_text(
        yaml.safe_dump({**yaml.safe_load((tmp_path / "sweep.yaml").read_text()), **early, "sweep_id": None}), encoding="utf-8"
    )
    sweep = create(source, tmp_path / "runs", sweep.program)
    claims = sweep.claims
    for number, value in ((1, 0.5), (2, 0.6), (3, 0.7)):
        claims.take(number)
        sweep.store.draw(number, lambda key, number=number: claims.take_point(key, number), claims.points)
        sweep.store.hopeless(number, [0.1, value])
        sweep.store.finish(number, [value])
        write_text(sweep.trial_folder(number) / "config.yaml", yaml.safe_dump(DEV))
    run = Run.begin(sweep.trial_folder(4), DEV, seed=1, data={"collection": "same"})
    run.record(step=0, **{"dev_ndcg@10": 0.1})
    run.record(step=5, **{"dev_ndcg@10": 0.2})
    assert Agent(sweep, count=1).run() == 1
    assert sweep.store.records()[4].state == "pruned"
    assert run.metadata()["state"] == "failed"
    assert "ended early by its sweep" in run.metadata()["error"]


def test_changing_the_config_a_sweep_began_from_changes_no_trial(tmp_path):
    config = tmp_path / "own.yaml"
    config.write_text("name: own\ntraining: {epochs: 2}\n", encoding="utf-8")
    source = tmp_path / "sweep.yaml"
    parameters = {"training.batch_size": {"values": [16, 32]}}
    source.write_text(yaml.safe_dump({"config": str(config), "metric": {"name": "ndcg@10"}, "parameters": parameters}), encoding="utf-8")
    created = create(source, tmp_path / "runs", sparse_program())
    config.unlink()
    opened: Sweep = open_sweep(created.sweep_id, tmp_path / "runs", sparse_program())
    command = opened.trial_run(1, {"training.batch_size": 16}).command()
    base = Path(command[command.index("train") + 1])
    assert yaml.safe_load(base.read_text(encoding="utf-8"))["training"] == {"epochs": 2}
