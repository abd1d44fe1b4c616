"""Weights in half precision and in shards come back as float32, and nothing is lost in silence."""

import json

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from retrieval_ko.errors import ModelError, UsageError
from training_ko.weights import parse_size, read_weights, repack, weight_files

HALF_EPS = 2.0**-11
"""Half of the distance from 1 to fp16's next number: the largest relative error of rounding."""
SMALL_FILES = 300_000


@pytest.fixture
def folder(tmp_path):
    """A model of four matrices of 160 kB, a bias, a scalar and counts; a second part in a folder of its own."""
    generator = torch.Generator().manual_seed(2)
    tensors = {f"matrix{number}": torch.randn(200, 200, generator=generator) for number in range(4)}
    tensors |= {"bias": torch.full((200,), -1e9), "gamma": torch.tensor(0.1), "counts": torch.arange(5)}
    (tmp_path / "body").mkdir()
    save_file(tensors, tmp_path / "model.safetensors")
    save_file({"head": torch.randn(200, 200, generator=generator)}, tmp_path / "body" / "model.safetensors")
    save_file({"lora": torch.ones(4, 4)}, tmp_path / "body" / "adapter_model.safetensors")
    (tmp_path / "card.json").write_text('{"form": "any"}', encoding="utf-8")
    return tmp_path


def test_half_precision_halves_matrices_and_leaves_vectors_exact(folder):
    before, size = read_weights(folder), (folder / "model.safetensors").stat().st_size
    repack(folder, "fp16", card="card.json")
    stored, read = load_file(folder / "model.safetensors"), read_weights(folder)
    assert {name for name, tensor in stored.items() if tensor.dtype == torch.float16} == {f"matrix{number}" for number in range(4)}
    assert (folder / "model.safetensors").stat().st_size < 0.51 * size
    for name, tensor in read.items():
        assert tensor.dtype == before[name].dtype
        if name.startswith("matrix"):
            assert ((tensor - before[name]).abs() <= before[name].abs() * HALF_EPS + 2.0**-25).all()
        else:
            assert torch.equal(tensor, before[name])
    assert load_file(folder / "body" / "model.safetensors")["head"].dtype == torch.float16
    assert load_file(folder / "body" / "adapter_model.safetensors")["lora"].dtype == torch.float32
    assert json.loads((folder / "card.json").read_text(encoding="utf-8")) == {"form": "any", "precision": "fp16"}


def test_shards_hold_everything_and_none_is_too_large(folder):
    before = read_weights(folder)
    repack(folder, "fp32", SMALL_FILES)
    files = weight_files(folder)
    assert [file.name for file in files] == [
        *(f"model-0000{number}-of-00004.safetensors" for number in range(1, 5)),
        "model.safetensors.index.json",
    ]
    assert max(file.stat().st_size for file in files) <= SMALL_FILES
    assert not (folder / "model.safetensors").exists()
    assert [file.name for file in weight_files(folder / "body")] == ["model.safetensors"]
    with safe_open(files[0], "pt") as shard:  # without it transformers refuses a file
        assert shard.metadata() == {"format": "pt"}
    after = read_weights(folder)
    assert after.keys() == before.keys()
    assert all(torch.equal(after[name], before[name]) for name in before)
    repack(folder, "fp32")
    assert [file.name for file in weight_files(folder)] == ["model.safetensors"]
    assert not list(folder.glob("model-*"))


def test_weights_that_are_as_asked_keep_their_bytes(folder):
    before = (folder / "model.safetensors").read_bytes()
    repack(folder, "fp32", 10 * SMALL_FILES)
    assert (folder / "model.safetensors").read_bytes() == before


@pytest.mark.parametrize("value", [65_520.0, -7e4, float("nan"), float("inf")])
def test_what_fp16_cannot_hold_is_refused_and_nothing_is_changed(folder, value):
    tensors = load_file(folder / "model.safetensors")
    tensors["matrix3"][7, 7] = value
    save_file(tensors, folder / "model.safetensors")
    before = (folder / "model.safetensors").read_bytes()
    with pytest.raises(ModelError, match="matrix3"):
        repack(folder, "fp16")
    assert (folder / "model.safetensors").read_bytes() == before


def test_the_largest_half_is_still_one(folder):
    tensors = load_file(folder / "model.safetensors")
    tensors["matrix3"][7, 7] = 65_504.0
    save_file(tensors, folder / "model.safetensors")
    repack(folder, "fp16")
    assert read_weights(folder)["matrix3"][7, 7] == 65_504.0


def test_a_tensor_that_no_file_may_hold_is_named(folder):
    with pytest.raises(ModelError, match=r"matrix0 alone has 0\.2 MB"):
        repack(folder, "fp32", 200_000)


def test_a_missing_shard_is_named(folder):
    repack(folder, "fp32", SMALL_FILES)
    (folder / "model-00003-of-00004.safetensors").unlink()
    with pytest.raises(ModelError, match="model-00003-of-00004"):
        read_weights(folder)


def test_an_index_may_not_lead_out_of_the_folder(folder):
    repack(folder, "fp32", SMALL_FILES)
    index = folder / "model.safetensors.index.json"
    index.write_text(json.dumps({"weight_map": {"matrix0": "../elsewhere.safetensors"}}), encoding="utf-8")
    with pytest.raises(ModelError, match="no index of shards"):
        read_weights(folder)


@pytest.mark.parametrize(("text", "size"), [("45MB", 45_000_000), ("0.5 gb", 500_000_000), ("900KB", 900_000), ("1000000", 1_000_000)])
def test_sizes(text, size):
    assert parse_size(text) == size


@pytest.mark.parametrize("text", ["", "much", "45MiB", "-3MB", "1KB", "infMB", "nan"])
def test_what_is_no_size(text):
    with pytest.raises(UsageError, match="45MB"):
        parse_size(text)
