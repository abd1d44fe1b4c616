"""A run's folder tells what was asked, on what, what happened and how it ended; and no run overwrites another."""

import json
import multiprocessing
import os
import platform
import subprocess
import sys
from datetime import UTC, datetime, timedelta

import psutil
import pytest
import yaml

from retrieval_ko.errors import DataError, UsageError
from retrieval_ko.runs import LATEST, Run, find_runs
from retrieval_ko.runs.command_line import LEFT_OUT, without_secrets

SETTINGS = {"name": "한국어", "training": {"epochs": 3}}
DATA = {"sample": "ab" * 32}


@pytest.fixture
def run(tmp_path):
    return Run.begin(tmp_path / "run", SETTINGS, seed=13, data=DATA)


def test_a_run_that_begins_writes_down_what_it_is_about_to_do(run):
    assert yaml.safe_load((run.folder / "config.yaml").read_text(encoding="utf-8")) == SETTINGS
    assert "한국어" in (run.folder / "config.yaml").read_text(encoding="utf-8")
    metadata = run.metadata()
    assert (metadata["state"], metadata["seed"], metadata["data"]) == ("running", 13, DATA)
    assert {"started_at", "git_commit", "versions", "hardware"} <= metadata.keys()
    assert {"python", "torch", "kiwipiepy", "numpy"} <= metadata["versions"].keys()
    assert metadata["hardware"]["cores"] >= 1


def test_events_are_kept_in_order_with_their_time(run):
    assert run.events() == []
    run.record(step=1, loss=2.5)
    run.record(step=2, note="한글")
    assert [{key: value for key, value in event.items() if key != "time"} for event in run.events()] == [
        {"step": 1, "loss": 2.5},
        {"step": 2, "note": "한글"},
    ]
    assert all(event["time"].endswith("+00:00") for event in run.events())


def test_the_end_adds_the_state_and_the_facts_and_loses_nothing(run):
    before = run.metadata()
    run.end("finished", dev=0.5)
    after = run.metadata()
    assert after.pop("ended_at")
    assert after.pop("seconds") >= 0
    assert after.pop("peak_memory")["rss_mb"] >= psutil.Process().memory_info().rss / 2**20 * 0.5
    assert after == {**before, "state": "finished", "dev": 0.5}


def test_a_used_folder_is_refused_and_stays_as_it_is(run):
    before = (run.folder / "metadata.json").read_bytes()
    with pytest.raises(UsageError, match="already holds a run") as caught:
        Run.begin(run.folder, SETTINGS, seed=13, data=DATA)
    assert "--resume" in caught.value.remedy
    assert (run.folder / "metadata.json").read_bytes() == before


def test_a_folder_with_other_files_is_refused(tmp_path):
    (tmp_path / "thesis.docx").write_text("")
    with pytest.raises(UsageError, match="holds other files"):
        Run.begin(tmp_path, SETTINGS, seed=13, data=DATA)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.docx"]


def test_an_empty_folder_is_taken(tmp_path):
    (tmp_path / "run").mkdir()
    assert Run.begin(tmp_path / "run", SETTINGS, seed=13, data=DATA).metadata()["state"] == "running"


@pytest.mark.parametrize(
    ("settings", "data"), [({**SETTINGS, "name": "other"}, DATA), ({"name": "한국어"}, DATA), (SETTINGS, {"sample": "cd" * 32})]
)
def test_a_run_is_not_resumed_with_other_settings_or_other_data(run, settings, data):
    run.end("failed")
    with pytest.raises(UsageError, match="other settings or other data"):
        Run.begin(run.folder, settings, seed=13, data=data, resume=True)
    assert run.metadata()["state"] == "failed"


def test_a_resumed_run_keeps_its_events(run):
    run.record(step=1)
    run.end("failed", error="disk")
    again = Run.begin(run.folder, SETTINGS, seed=13, data=DATA, resume=True)
    assert [event["step"] for event in again.events()] == [1]
    assert again.metadata()["state"] == "running"
    assert "error" not in again.metadata()


def test_runs_are_found_oldest_first_and_other_folders_are_not_runs(tmp_path):
    for name, started_at in (("b", "2026-01-01T00:00:00+00:00"), ("a", "2026-01-02T00:00:00+00:00"), ("c", "2025-12-31T00:00:00+00:00")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "metadata.json").write_text(f'{{"started_at": "{started_at}"}}')
    (tmp_path / LATEST).symlink_to("b")
    (tmp_path / "notes").mkdir()
    assert [found.folder.name for found in find_runs(tmp_path)] == ["c", "b", "a"]
    assert find_runs(tmp_path / "notes") == []


def test_a_folder_without_metadata_is_no_run(tmp_path):
    with pytest.raises(DataError, match=r"metadata\.json"):
        Run(tmp_path).metadata()


BEGIN = """
import sys
from pathlib import Path
from retrieval_ko.runs import Run
run = Run.begin(Path(sys.argv[1]), {"name": "killed"}, seed=1, data={})
run.record(step=1, loss=2.5)
print("begun", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def process(tmp_path):
    """A process of its own that has begun a run and waits."""
    started = subprocess.Popen([sys.executable, "-c", BEGIN, str(tmp_path / "other")], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert started.stdout.readline() == b"begun\n"
    yield started
    started.kill()
    started.communicate()


def test_a_run_lives_as_long_as_its_process_and_is_crashed_for_whoever_looks_next(process, tmp_path):
    other = Run(tmp_path / "other")
    assert other.is_alive()
    assert other.look()["state"] == "running"
    process.kill()
    process.wait()
    assert not other.is_alive()
    assert other.metadata()["state"] == "running"
    assert other.look()["state"] == "crashed"
    assert other.metadata()["state"] == "crashed"
    assert other.metadata()["found_crashed_at"]


def test_a_process_that_nobody_has_waited_for_is_gone(process, tmp_path):
    process.kill()
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)  # it is dead, and a zombie
    assert not Run(tmp_path / "other").is_alive()


def test_a_run_that_still_goes_is_not_resumed_by_a_second_process(process, tmp_path):
    with pytest.raises(UsageError, match=f"still running: process {process.pid}"):
        Run.begin(tmp_path / "other", {"name": "killed"}, seed=1, data={}, resume=True)


def test_another_process_with_the_same_number_is_not_the_run(run):
    metadata = run.metadata()
    metadata["process"]["started"] -= 100
    (run.folder / "metadata.json").write_text(json.dumps(metadata))
    assert not run.is_alive()


def test_a_run_of_another_machine_is_believed(run):
    metadata = run.metadata()
    metadata["process"] |= {"host": platform.node() + "-2", "pid": 2**22 + 1}
    (run.folder / "metadata.json").write_text(json.dumps(metadata))
    assert run.is_alive()
    assert run.look()["state"] == "running"


def elsewhere(run, seconds):
    """Let a run be one of another machine, begun and silent for so long."""
    metadata = run.metadata()
    metadata["process"] |= {"host": platform.node() + "-2", "pid": 4711}
    metadata["started_at"] = (datetime.now(UTC) - timedelta(seconds=seconds)).isoformat(timespec="seconds")
    (run.folder / "metadata.json").write_text(json.dumps(metadata))
    return metadata["process"]["host"]


def resumed(run):
    return Run.begin(run.folder, SETTINGS, seed=13, data=DATA, resume=True)


def test_a_run_of_another_machine_is_resumed_only_after_it_was_taken_over(run):
    host = elsewhere(run, 3 * 3600)
    with pytest.raises(UsageError) as refused:
        resumed(run)
    assert f"process 4711 on {host}" in refused.value.problem
    assert "Its last event is 3.0 h old" in refused.value.problem
    assert "--take-over" in refused.value.remedy
    assert run.take_over()
    assert run.metadata()["state"] == "crashed"
    [before] = resumed(run).metadata()["earlier"]
    assert before["error"] == f"taken over from process 4711 on {host}, silent for 3.0 h"


def test_a_run_of_another_machine_that_has_just_recorded_something_is_not_taken_over(run):
    elsewhere(run, 3 * 3600)
    run.record(step=1, loss=2.5)
    with pytest.raises(UsageError, match="may well be at work"):
        run.take_over()
    assert run.metadata()["state"] == "running"
    elsewhere(run, -3600)  # its clock is an hour ahead
    with pytest.raises(UsageError, match="recorded something 0 s ago"):
        run.take_over()


def test_a_run_of_this_machine_is_not_taken_over_since_it_can_be_seen(process, tmp_path):
    other = Run(tmp_path / "other")
    assert not other.take_over()
    assert other.metadata()["state"] == "running"


def test_a_run_that_has_ended_on_another_machine_needs_no_taking_over(run):
    elsewhere(run, 3 * 3600)
    run.end("failed", error="disk")
    assert not run.take_over()
    assert resumed(run).metadata()["earlier"][0]["error"] == "disk"


@pytest.mark.parametrize("state", ["finished", "failed"])
def test_a_run_that_has_ended_is_not_alive_and_stays_what_it_is(run, state):
    run.end(state)
    assert not run.is_alive()
    assert run.look() == run.metadata()
    assert run.metadata()["state"] == state


def test_a_link_names_the_run_that_began_last(tmp_path):
    for name in ("first", "second"):
        Run.begin(tmp_path / "runs" / name, SETTINGS, seed=1, data=DATA)
        link = tmp_path / "runs" / LATEST
        assert os.readlink(link) == name  # relative: the folder can be moved
        assert Run(link).metadata() == Run(tmp_path / "runs" / name).metadata()
    assert [found.folder.name for found in find_runs(tmp_path / "runs")] == ["first", "second"]
    assert sorted(path.name for path in (tmp_path / "runs").iterdir()) == ["first", LATEST, "second"]


def test_a_folder_that_is_called_like_the_link_is_left_alone(tmp_path):
    (tmp_path / LATEST).mkdir()
    Run.begin(tmp_path / "run", SETTINGS, seed=1, data=DATA)
    assert not (tmp_path / LATEST).is_symlink()


def test_many_runs_that_begin_at_once_leave_one_whole_link(tmp_path):
    context = multiprocessing.get_context("fork")
    begun = [context.Process(target=Run.begin, args=(tmp_path / f"run{n}", SETTINGS), kwargs={"seed": n, "data": DATA}) for n in range(4)]
    for one in begun:
        one.start()
    for one in begun:
        one.join()
    assert [one.exitcode for one in begun] == [0] * 4
    assert (tmp_path / LATEST / "config.yaml").is_file()
    assert not list(tmp_path.glob(".*"))


def test_what_is_known_outlives_a_resumption_and_so_does_how_it_ended_before(run):
    run.note(steps=60, dev={"sha256": "ab"})
    run.end("failed", error="disk")
    again = Run.begin(run.folder, SETTINGS, seed=13, data=DATA, resume=True).metadata()
    assert (again["steps"], again["dev"]) == (60, {"sha256": "ab"})
    [before] = again["earlier"]
    assert (before["state"], before["error"]) == ("failed", "disk")


def test_a_line_that_is_being_written_is_not_read_yet(run):
    run.record(step=1)
    with (run.folder / "events.jsonl").open("a") as file:
        file.write('{"step": 2, "lo')
    assert [event["step"] for event in run.events()] == [1]


def test_a_damaged_line_in_the_middle_is_named(run):
    (run.folder / "events.jsonl").write_text('{"step": 1}\n{"st\n{"step": 2}\n')
    with pytest.raises(DataError, match=r"events\.jsonl, line 2"):
        run.events()


def test_the_command_is_kept_without_its_secrets():
    words = ["python", "-m", "x", "--password", "hunter2", "--api-key=abc", "https://me:hunter2@host:9200", "--set", "model.max_tokens=256"]
    words += ["--set", "es.token=abc", "--seed", "3"]
    kept = without_secrets(words)
    assert kept == [
        *(
            "python",
            "-m",
            "x",
            "--password",
            LEFT_OUT,
            f"--api-key={LEFT_OUT}",
            f"https://{LEFT_OUT}@host:9200",
            "--set",
            "model.max_tokens=256",
        ),
        *("--set", f"es.token={LEFT_OUT}", "--seed", "3"),
    ]


def test_the_command_of_a_run_begins_it_again(process, tmp_path):
    command = Run(tmp_path / "other").metadata()["command"]
    assert command["argv"] == [sys.executable, "-c", BEGIN, str(tmp_path / "other")]
    assert command["folder"] == os.getcwd()
