"""A run's folder tells what was asked, on what, what happened and how it ended; and no run overwrites another."""

import pytest
import yaml

from retrieval_ko.errors import DataError, UsageError
from retrieval_ko.runs import Run, find_runs

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
        made = Run.begin(tmp_path / name, SETTINGS, seed=1, data=DATA)
        (made.folder / "metadata.json").write_text(f'{{"started_at": "{started_at}"}}')
    (tmp_path / "notes").mkdir()
    assert [found.folder.name for found in find_runs(tmp_path)] == ["c", "b", "a"]
    assert find_runs(tmp_path / "notes") == []


def test_a_folder_without_metadata_is_no_run(tmp_path):
    with pytest.raises(DataError, match=r"metadata\.json"):
        Run(tmp_path).metadata()
