"""Two processes train the encoder that one trains, and one of them alone writes."""

import socket
import subprocess
import sys
from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch
import yaml
from safetensors.torch import load_file

from retrieval_ko.records import SynonymPair
from retrieval_ko.runs import Run
from sparse_ko.settings import TrainSettings
from sparse_ko.training import train

TRAIN = """
import json, os
from pathlib import Path
os.environ.update(RANK=rank, LOCAL_RANK=rank, WORLD_SIZE="2", LOCAL_WORLD_SIZE="2", MASTER_ADDR="127.0.0.1", MASTER_PORT=port)
from retrieval_ko.collection import Collection
from retrieval_ko.runs import Run
from sparse_ko.settings import TrainSettings
from sparse_ko.training import train

def refuse(*_, **__):
    raise AssertionError("only the main process writes")

if rank != "0":
    Run.record = Run.end = Run.begin = refuse
trained = train(TrainSettings.model_validate(json.loads(settings)), Collection.read(Path(collection)), Path(out), data_hash="0")
Path(out, f"dev-{rank}").write_text(repr(trained.dev_ndcg))
import torch.distributed
torch.distributed.destroy_process_group()
"""


def free_port():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


RECIPES = {
    "siamese": {"synonyms": {"weight": 0.1}, "sparsity": {"document": "df-flops"}},
    "floor": {
        "model": {"form": "lexical-floor", "lexical_floor": {"lead": [0.4]}},
        "sparsity": {"document_weight": 0.01, "regularised": "expansion", "hold": 0.4, "sampled_dimensions": 64},
    },
}


@pytest.fixture(scope="module", params=RECIPES)
def runs(request, start, collection, tmp_path_factory):
    """A run of one process and one of two with the same settings."""
    recipe = RECIPES[request.param]
    root = tmp_path_factory.mktemp("processes")
    # one pair of terms is a batch in which the first process has nothing
    small = replace(collection, synonyms=[SynonymPair(ko="보증금", en="deposit")])
    small.write(root / "collection")
    settings = TrainSettings.model_validate(
        {
            "name": "shared",
            "vocabulary": {"size": 6000},
            "model": {"dimensions": 32, "max_tokens": 32, "neighbour_pull": 0, **recipe.get("model", {})},
            "synonyms": recipe.get("synonyms", {}),
            "sparsity": recipe["sparsity"],
            "training": {"max_steps": 8, "batch_size": 4, "eval_steps": 4, "chunk_size": 3, "seed": 8},
        }
    )
    port = str(free_port())
    given = {"settings": settings.model_dump_json(), "collection": str(root / "collection"), "out": str(root / "two"), "port": port}
    processes = [start(TRAIN, **given, rank=str(rank)) for rank in range(2)]
    train(settings, small, root / "one", data_hash="0")
    for process in processes:
        process.join(120)
    return SimpleNamespace(
        one=root / "one", two=root / "two", exitcodes=[process.exitcode for process in processes], root=root, settings=settings
    )


@pytest.mark.parametrize("file", ["model/model.safetensors", "checkpoint-8/model.safetensors"])
def test_two_processes_end_with_the_weights_of_one(runs, file):
    assert runs.exitcodes == [0, 0]
    one, two = load_file(runs.one / file), load_file(runs.two / file)
    assert one.keys() == two.keys()
    for name, tensor in two.items():
        torch.testing.assert_close(tensor, one[name], rtol=0, atol=1e-5)


def test_two_processes_log_the_figures_of_one(runs):
    one, two = ([event for event in Run(folder).events() if "loss" in event] for folder in (runs.one, runs.two))
    assert [event["step"] for event in two] == [event["step"] for event in one] == list(range(1, 9))
    for ours, theirs in zip(two, one, strict=True):
        for name in ("loss", "grad_norm", "ranking", "document_dims", "query_dims", "document_sparsity", "lambda_document"):
            assert ours[name] == pytest.approx(theirs[name], rel=1e-4, abs=1e-6)


def test_both_processes_know_the_result_and_one_has_written_it(runs):
    assert (runs.two / "dev-0").read_text() == (runs.two / "dev-1").read_text()
    metadata = Run(runs.two).metadata()
    assert metadata["state"] == "finished"
    assert metadata["processes"] == 2
    assert sorted(path.name for path in (runs.two / "checkpoint-8").glob("rng*")) == ["rng_state_0.pth", "rng_state_1.pth"]


def test_accelerate_launch_of_the_command_ends_with_the_weights_of_one(runs):
    config = runs.root / "shared.yaml"
    config.write_text(yaml.safe_dump(runs.settings.model_dump(mode="json")), encoding="utf-8")
    launch = [sys.executable, "-m", "accelerate.commands.launch", "--multi_gpu", "--num_processes", "2", "--num_machines", "1"]
    launch += ["--mixed_precision", "no", "--dynamo_backend", "no", "--main_process_port", str(free_port())]
    command = ["-m", "sparse_ko_cli", "train", str(config), "--set", f"collection={runs.root / 'collection'}"]
    out = runs.root / "launched"  # --multi_gpu chooses the launcher of processes; without a GPU they talk by gloo
    done = subprocess.run([*launch, *command, "--out", str(out)], capture_output=True, text=True, timeout=180, check=False)
    assert done.returncode == 0, done.stderr
    one, launched = load_file(runs.one / "model" / "model.safetensors"), load_file(out / "model" / "model.safetensors")
    for name, tensor in launched.items():
        torch.testing.assert_close(tensor, one[name], rtol=0, atol=1e-5)
    assert Run(out).metadata()["processes"] == 2
