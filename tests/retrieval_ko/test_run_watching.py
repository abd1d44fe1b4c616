"""A watched run is seen to the end; one that dies is begun again, so often and no oftener; nobody else's process is ended."""

import json
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta

import psutil
import pytest

from retrieval_ko.runs import Run
from retrieval_ko.runs.following import STALL_FACTOR, STALL_LEAST_SECONDS, STALL_START_SECONDS, Following
from retrieval_ko.runs.restarting import restart_log, why_not
from retrieval_ko.runs.watching import WatchSettings, watch

TRAIN = """
import os, signal, sys, time
from pathlib import Path
from retrieval_ko.runs import Run
folder, *sittings = sys.argv[1:]
resume = "--resume" in sittings
run = Run.begin(Path(folder), {"name": "x"}, seed=1, data={}, resume=resume)
sitting = len(run.metadata().get("earlier", []))
run.note(steps=4)
for step in range(2 * sitting, 2 * sitting + 2):
    run.record(step=step, loss=1.0 / (step + 1))
match sittings[min(sitting, len(sittings) - 1 - resume)]:
    case "die": os.kill(os.getpid(), signal.SIGKILL)
    case "hang": time.sleep(600)
    case "nan": run.end("failed", error="The loss is not a number any more at step 3.")
    case "memory": run.end("failed", error="CUDA out of memory: 2 GiB")
    case "interrupted": run.end("failed", error="KeyboardInterrupt")
    case "finish":
        run.record(step=4, **{"dev_ndcg@10": 0.5})
        run.end("finished")
"""
QUICK = 0.02


@pytest.fixture
def train(tmp_path):
    """Starts a training process whose sittings end as told, waits until it has begun, and returns the run; leftovers are killed."""
    started = []

    def start(*sittings):
        folder = tmp_path / "run"
        process = subprocess.Popen([sys.executable, "-c", TRAIN, str(folder), *sittings])
        started.append(process)
        run = Run(folder)
        while len(run.events()) < 2:
            assert process.poll() is None or len(run.events()) >= 2
            time.sleep(QUICK)
        return run, process

    yield start
    for child in [*started, *psutil.Process().children()]:
        try:
            child.kill()
            child.wait()
        except psutil.NoSuchProcess:
            continue


def test_a_run_that_finishes_is_watched_to_its_end(train):
    run, _ = train("finish")
    sights = []
    watched = watch(run, WatchSettings(poll_seconds=QUICK), on_sight=lambda sight, _: sights.append(sight))
    assert (watched.exit_code, watched.restarts) == (0, 0)
    assert (watched.sight.step, watched.sight.steps, watched.sight.best) == (4, 4, 0.5)
    assert sights[-1] == watched.sight


def test_a_run_that_is_killed_is_begun_again_from_where_it_was(train):
    run, _ = train("die", "finish")
    watched = watch(run, WatchSettings(restarts=2, poll_seconds=QUICK))
    assert (watched.exit_code, watched.restarts) == (0, 1)
    metadata = run.metadata()
    assert metadata["state"] == "finished"
    assert [before["state"] for before in metadata["earlier"]] == ["crashed"]
    assert metadata["command"]["argv"][-1] == "--resume"


def test_restarts_are_bounded(train):
    run, _ = train("die")
    watched = watch(run, WatchSettings(restarts=2, poll_seconds=QUICK))
    assert (watched.exit_code, watched.restarts, watched.sight.problem) == (6, 2, "crashed")
    assert "2 times already" in watched.not_restarted
    assert len(run.metadata()["earlier"]) == 2


def test_without_restart_a_crash_is_reported_and_left(train):
    run, _ = train("die", "finish")
    watched = watch(run, WatchSettings(poll_seconds=QUICK))
    assert (watched.exit_code, watched.not_restarted) == (6, "")
    assert run.metadata()["state"] == "crashed"


@pytest.mark.parametrize(("ends", "code", "reason"), [("nan", 4, "the same numbers"), ("interrupted", 1, "a person interrupted it")])
def test_what_a_restart_cannot_help_is_not_begun_again(train, ends, code, reason):
    run, _ = train(ends, "finish")
    watched = watch(run, WatchSettings(restarts=3, poll_seconds=QUICK))
    assert (watched.exit_code, watched.restarts) == (code, 0)
    assert reason in watched.not_restarted


def test_a_run_out_of_memory_is_named_so_and_begun_again(train):
    run, _ = train("memory", "memory")
    watched = watch(run, WatchSettings(restarts=1, poll_seconds=QUICK))
    assert (watched.exit_code, watched.sight.problem, watched.restarts) == (5, "out of memory", 1)


def test_somebody_elses_stalled_process_is_reported_and_goes_on(train):
    run, process = train("hang")
    watched = watch(run, WatchSettings(restarts=1, stall_seconds=1.0, poll_seconds=QUICK))
    assert (watched.exit_code, watched.sight.problem) == (3, "stalled")
    assert "was not started by this watch" in watched.not_restarted
    assert process.poll() is None


def test_a_stalled_process_of_its_own_is_ended_and_begun_again(train):
    run, _ = train("die", "hang", "finish")
    watched = watch(run, WatchSettings(restarts=2, stall_seconds=1.5, poll_seconds=QUICK))
    assert (watched.exit_code, watched.restarts) == (0, 2)
    assert [before["state"] for before in run.metadata()["earlier"]] == ["crashed", "crashed"]


def test_a_restart_that_fails_says_with_what_words(train):
    run, _ = train("die")
    command = [sys.executable, "-c", "import sys; sys.exit('no such config')"]
    watched = watch(run, WatchSettings(restarts=1, poll_seconds=QUICK, command=command))
    assert watched.exit_code == 1
    assert "no such config" in watched.sight.reason
    assert restart_log(run, 1).exists()


def sight_after(run, seconds, **options):
    started = datetime.fromisoformat(run.metadata()["started_at"])
    return Following(run, **options).look(now=started + timedelta(seconds=seconds))


def test_silence_is_measured_by_the_runs_own_habits(tmp_path):
    run = Run.begin(tmp_path / "run", {}, seed=1, data={})
    assert sight_after(run, STALL_START_SECONDS - 1).problem is None
    assert sight_after(run, STALL_START_SECONDS + 1).problem == "stalled"
    started = datetime.fromisoformat(run.metadata()["started_at"])
    times = [started + timedelta(seconds=seconds) for seconds in (10, 20, 320)]  # 300 s for a measurement
    lines = [json.dumps({"time": time.isoformat(), "step": step}) for step, time in enumerate(times)]
    (run.folder / "events.jsonl").write_text("\n".join(lines[:2]) + "\n")
    assert sight_after(run, 20 + STALL_LEAST_SECONDS - 1).problem is None
    assert sight_after(run, 20 + STALL_LEAST_SECONDS + 1).problem == "stalled"
    (run.folder / "events.jsonl").write_text("\n".join(lines) + "\n")
    assert sight_after(run, 320 + STALL_FACTOR * 300 - 1).problem is None
    assert sight_after(run, 320 + STALL_FACTOR * 300 + 1).problem == "stalled"
    assert sight_after(run, 325, stall_seconds=4).problem == "stalled"


def test_only_what_is_new_is_read_and_a_rewritten_file_anew(tmp_path):
    run = Run.begin(tmp_path / "run", {}, seed=1, data={})
    following = Following(run)
    for step in range(3):
        run.record(step=step, loss=float(step))
        assert following.look().step == step
    with (run.folder / "events.jsonl").open("a") as file:
        file.write('{"step": 9, "lo')
    assert following.look().step == 2
    events = run.folder / "events.jsonl"
    rewritten = tmp_path / "rewritten"
    rewritten.write_text(events.read_text().splitlines()[0] + "\n")
    rewritten.replace(events)  # as a resumption does
    assert following.look().step == 0


def test_a_process_that_the_kernel_killed_for_memory_is_named_so(tmp_path):
    run = Run.begin(tmp_path / "run", {}, seed=1, data={})
    counts = iter([3, 4])
    following = Following(run, kills=lambda: next(counts))
    metadata = run.metadata()
    metadata["process"]["started"] -= 100
    (run.folder / "metadata.json").write_text(json.dumps(metadata))
    assert following.look(datetime.now(UTC)).problem == "out of memory"


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"command": None}, "no command"),
        ({"process": {"host": "elsewhere", "pid": 1, "started": 0}}, "elsewhere"),
        ({"command": {"argv": ["x"], "folder": ".", "processes": 8}}, "launcher"),
        ({"command": {"argv": ["x", "--password", "***"], "folder": ".", "processes": 1}}, "secret"),
    ],
)
def test_a_run_that_cannot_be_begun_again_from_here_says_why(tmp_path, change, reason):
    metadata = Run.begin(tmp_path / "run", {}, seed=1, data={}).metadata()
    assert why_not(metadata) == ""
    assert reason in why_not(metadata | change)
    assert why_not(metadata | change, ["make", "train"]) == ""
