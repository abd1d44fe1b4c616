"""A run that is killed at any moment and resumed ends with the weights of one that was left alone, bit by bit."""

import json
import os
import signal
import time
from types import SimpleNamespace

import pytest
import torch
from safetensors.torch import load_file

from retrieval_ko.errors import DataError
from retrieval_ko.runs import Run
from sparse_ko.settings import TrainSettings
from training_ko.checkpoints import Progress, checkpoints, drop_unfinished, keep_newest, rewind_events

STEPS, SAVED_EVERY = 60, 7
TRAIN = """
import json, signal, sys
from pathlib import Path
from retrieval_ko.collection import Collection
from sparse_ko.settings import TrainSettings
from sparse_ko.training import train
from sparse_ko.training.trainer import SparseTrainer

if stop_in_checkpoint:
    save = SparseTrainer._save_rng_state
    def save_and_wait(self, folder):
        save(self, folder)
        if self.state.global_step == stop_in_checkpoint:
            Path(folder, "..", "writing").touch()
            while True:
                signal.pause()
    SparseTrainer._save_rng_state = save_and_wait
settings = TrainSettings.model_validate(json.loads(settings))
train(settings, Collection.read(Path(collection)), Path(out), data_hash="0", resume=resume)
"""


def wait_for(what, process, seconds=120):
    deadline = time.monotonic() + seconds
    while not (found := what()):
        assert process.is_alive(), f"the run ended with {process.exitcode}"
        assert time.monotonic() < deadline
        time.sleep(0.005)
    return found


def last_step(folder):
    def read():
        events = folder / "events.jsonl"
        lines = events.read_text(encoding="utf-8").splitlines() if events.exists() else []
        return json.loads(lines[-1])["step"] if lines and lines[-1].endswith("}") else 0

    return read


@pytest.fixture(scope="module")
def ways(start, collection, tmp_path_factory):
    """One run left alone, one killed between two checkpoints, one killed in the middle of writing one; and their settings."""
    root = tmp_path_factory.mktemp("resume")
    collection.write(root / "collection")
    settings = TrainSettings.model_validate(
        {
            "name": "killed",
            "vocabulary": {"size": 6000},
            "model": {"body": "transformer", "layers": 1, "dimensions": 32, "heads": 2, "max_tokens": 32, "neighbour_pull": 0},
            "sparsity": {"document": "df-flops", "target_doc_dims": 50},
            "synonyms": {"weight": 0.1, "batch_size": 2},
            "training": {"max_steps": STEPS, "batch_size": 4, "save_steps": SAVED_EVERY, "eval_steps": 30, "seed": 8},
        }
    )
    given = {"settings": settings.model_dump_json(), "collection": str(root / "collection")}
    whole = start(TRAIN, **given, out=str(root / "whole"), resume=False, stop_in_checkpoint=0)
    whole.join()
    assert whole.exitcode == 0
    found = {}
    for name, stop_in_checkpoint in (("between", 0), ("writing", 4 * SAVED_EVERY)):
        folder = root / name
        killed = start(TRAIN, **given, out=str(folder), resume=False, stop_in_checkpoint=stop_in_checkpoint)
        if stop_in_checkpoint:
            wait_for((folder / "writing").exists, killed)
        else:
            wait_for(lambda folder=folder: last_step(folder)() > 2 * SAVED_EVERY + 2, killed)
        os.kill(killed.pid, signal.SIGKILL)
        killed.join()
        left = sorted(path.name for path in folder.iterdir())
        events = Run(folder).events()
        metadata = Run(folder).metadata()
        again = start(TRAIN, **given, out=str(folder), resume=True, stop_in_checkpoint=0)
        again.join()
        found[name] = SimpleNamespace(
            folder=folder, exitcode=killed.exitcode, left=left, events=events, metadata=metadata, resumed=again.exitcode
        )
    return SimpleNamespace(root=root, settings=settings, killed=found)


@pytest.mark.parametrize("name", ["between", "writing"])
def test_the_run_was_killed_in_the_middle(ways, name):
    killed = ways.killed[name]
    assert killed.exitcode == -signal.SIGKILL
    assert killed.metadata["state"] == "running"
    assert 2 * SAVED_EVERY < killed.events[-1]["step"] < STEPS


def test_one_was_killed_while_it_wrote_a_checkpoint(ways):
    half_written = f".checkpoint-{4 * SAVED_EVERY}.unfinished"
    assert half_written in ways.killed["writing"].left
    assert f"checkpoint-{3 * SAVED_EVERY}" in ways.killed["writing"].left
    assert not (ways.killed["writing"].folder / half_written).exists()


@pytest.mark.parametrize("name", ["between", "writing"])
@pytest.mark.parametrize("file", ["model/model.safetensors", f"checkpoint-{STEPS}/model.safetensors"])
def test_a_resumed_run_ends_with_the_same_weights(ways, name, file):
    assert ways.killed[name].resumed == 0
    whole, resumed = load_file(ways.root / "whole" / file), load_file(ways.killed[name].folder / file)
    assert whole.keys() == resumed.keys()
    assert [key for key in whole if not torch.equal(whole[key], resumed[key])] == []


@pytest.mark.parametrize("name", ["between", "writing"])
def test_a_resumed_run_tells_one_story(ways, name):
    folder = ways.killed[name].folder
    figures = [{k: v for k, v in event.items() if k not in ("time", "passages_per_second")} for event in Run(folder).events()]
    whole = [{k: v for k, v in event.items() if k not in ("time", "passages_per_second")} for event in Run(ways.root / "whole").events()]
    steps = [event for event in figures if "loss" in event]
    assert steps == [event for event in whole if "loss" in event]
    assert [event["step"] for event in steps] == list(range(1, STEPS + 1))
    [resumed] = [event for event in figures if "resumed" in event]
    assert resumed["step"] == 3 * SAVED_EVERY if name == "writing" else resumed["step"] % SAVED_EVERY == 0
    assert resumed["events_dropped"] == sum(event["step"] > resumed["step"] for event in ways.killed[name].events)
    assert Run(folder).metadata()["state"] == "finished"


def test_only_the_newest_checkpoint_is_kept(ways):
    assert [step for step, _ in checkpoints(ways.root / "whole")] == [STEPS]


def test_resuming_a_finished_run_changes_nothing(ways, collection):
    from sparse_ko.training import train

    folder = ways.root / "whole"
    before = load_file(folder / "model" / "model.safetensors")
    losses = [event for event in Run(folder).events() if "loss" in event]
    again = train(ways.settings, collection, folder, data_hash="0", resume=True)
    after = load_file(folder / "model" / "model.safetensors")
    assert all(torch.equal(tensor, before[name]) for name, tensor in after.items())
    assert [event for event in Run(folder).events() if "loss" in event] == losses
    assert again.dev_ndcg == Progress.read(folder / f"checkpoint-{STEPS}").best_ndcg


def test_events_after_the_checkpoint_are_dropped_and_a_torn_line_too(tmp_path):
    events = tmp_path / "events.jsonl"
    lines = ['{"step": 0, "a": 1}', '{"step": 3}', '{"step": 4}', '{"step": 4, "dev_nd']
    events.write_text("\n".join(lines), encoding="utf-8")
    assert rewind_events(tmp_path, 3) == 2
    assert events.read_text(encoding="utf-8") == '{"step": 0, "a": 1}\n{"step": 3}\n'


def test_a_damaged_line_that_is_not_the_last_is_named(tmp_path):
    (tmp_path / "events.jsonl").write_text('{"step": 0}\n{"st\n{"step": 1}\n', encoding="utf-8")
    with pytest.raises(DataError, match=r"events\.jsonl, line 2"):
        rewind_events(tmp_path, 0)


def test_checkpoints_are_in_the_order_of_their_steps(tmp_path):
    for name in ("checkpoint-9", "checkpoint-10", ".checkpoint-11.unfinished", "checkpoint-x", ".model.ab12.unfinished"):
        (tmp_path / name).mkdir()
    (tmp_path / ".events.jsonl.ab12.unfinished").touch()
    assert [step for step, _ in checkpoints(tmp_path)] == [9, 10]
    drop_unfinished(tmp_path)
    keep_newest(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["checkpoint-10", "checkpoint-x"]
