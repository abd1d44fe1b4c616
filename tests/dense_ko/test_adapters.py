"""Adapters: nothing changes when they are attached, they alone are trained, and merged or beside their base they give the same vectors."""

import json
import shutil

import numpy as np
import pytest
import torch

from dense_ko import BiEncoder
from dense_ko.adapters import attach_lora, merge, trainable_share
from retrieval_ko.errors import ModelError, UsageError

TEXTS = ["전세 보증금 신청", "법인세를 신고한다"]
LORA = {"r": 4, "alpha": 8, "dropout": 0.0}


def moved(encoder):
    """The encoder after a step that moved every weight that is trained."""
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in encoder.module.parameters():
            if parameter.requires_grad:
                parameter.add_(torch.randn(parameter.shape, generator=generator) * 0.5)
    return encoder


@pytest.fixture(scope="module")
def adapted(build, bases):
    """An encoder over the base `body` with adapters that were trained."""
    return moved(build(base=str(bases / "body"), lora=LORA))


@pytest.fixture(scope="module")
def folder(adapted, tmp_path_factory):
    folder = tmp_path_factory.mktemp("adapted") / "model"
    adapted.save(folder)
    return folder


def test_attaching_changes_no_vector_and_freezes_the_rest(build, bases):
    plain, encoder = build(base=str(bases / "body")), build(base=str(bases / "body"), lora=LORA)
    np.testing.assert_array_equal(encoder.encode_passages(TEXTS), plain.encode_passages(TEXTS))
    trained = {name for name, parameter in encoder.module.named_parameters() if parameter.requires_grad}
    assert trained
    assert all("lora_" in name for name in trained)
    # two matrices of rank 4 beside two layers of 32 × 32
    assert sum(parameter.numel() for parameter in encoder.module.parameters() if parameter.requires_grad) == 2 * 2 * 4 * 32
    assert 0 < trainable_share(encoder.module) < 0.2


def test_the_training_config_is_that_of_peft(adapted, bases, build):
    expected = {"base_model_name_or_path": str(bases / "body"), "r": 4, "lora_alpha": 8, "target_modules": ["query", "value"]}
    assert adapted.get_training_config() == expected
    assert build(base=str(bases / "body")).get_training_config() is None


def test_the_saved_folder_is_merged_and_says_what_it_was_trained_with(adapted, folder):
    loaded = BiEncoder.load(folder, device="cpu")
    np.testing.assert_allclose(loaded.encode_passages(TEXTS), adapted.encode_passages(TEXTS), atol=1e-5)
    assert not any("lora_" in name for name, _ in loaded.module.named_parameters())
    assert loaded.get_training_config() == adapted.get_training_config()


def test_saving_leaves_the_encoder_as_it_was(adapted, folder, tmp_path):
    before = {name: tensor.clone() for name, tensor in adapted.module.state_dict().items()}
    adapted.save(tmp_path / "again")
    after = adapted.module.state_dict()
    assert list(before) == list(after)
    assert all(torch.equal(before[name], after[name]) for name in before)


def test_the_adapters_by_themselves_give_the_same_vectors_beside_their_base(adapted, folder, bases):
    expected = adapted.encode_passages(TEXTS)
    as_argument = BiEncoder(bases / "body", peft_adapter_path=folder / "adapter", device="cpu")
    as_folder = BiEncoder(folder / "adapter", device="cpu")
    for encoder in (as_argument, as_folder):
        np.testing.assert_allclose(encoder.encode_passages(TEXTS), expected, atol=1e-5)
        assert encoder.get_training_config() == adapted.get_training_config()
        assert encoder.get_max_seq_length("query") == 24


def test_a_model_with_adapters_can_be_trained_on(folder, build, adapted):
    encoder = build(base=str(folder / "adapter"))
    np.testing.assert_allclose(encoder.encode_passages(TEXTS), adapted.encode_passages(TEXTS), atol=1e-5)
    assert not any("lora_" in name for name, _ in encoder.module.named_parameters())


def test_merging_is_the_sum_of_the_weights(adapted):
    layer = adapted.model[0].auto_model.encoder.layer[0].attention.self.query
    a, b = layer.lora_A["default"].weight, layer.lora_B["default"].weight
    merged = merge(adapted.model)[0].auto_model.encoder.layer[0].attention.self.query.weight
    torch.testing.assert_close(merged, layer.base_layer.weight + 8 / 4 * b @ a)


def test_an_unknown_target_gets_the_names_there_are(build, bases):
    with pytest.raises(UsageError, match=r"no linear layer q_proj(.|\n)*query \(1\)"):
        build(base=str(bases / "body"), lora=LORA | {"targets": ["q_proj"]})


def test_named_targets_are_taken(build, bases):
    encoder = build(base=str(bases / "body"), lora=LORA | {"targets": ["dense", "key"]})
    assert encoder.get_training_config()["target_modules"] == ["dense", "key"]


def test_a_network_without_attention_has_nothing_to_adapt(saved):
    with pytest.raises(UsageError, match="none of the known names"):
        attach_lora(BiEncoder.load(saved / "static", device="cpu").model)


def test_adapters_are_attached_once(adapted):
    with pytest.raises(ModelError, match="adapters already"):
        attach_lora(adapted.model)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda path: path.joinpath("adapter_model.safetensors").unlink(), "no weights"),
        (lambda path: path.joinpath("adapter_config.json").unlink(), r"no adapter_config\.json"),
        (lambda path: path.joinpath("adapter_config.json").write_text('{"peft_type": "IA3"}'), "IA3"),
    ],
)
def test_a_damaged_adapter_says_what_it_lacks(folder, bases, tmp_path, change, message):
    shutil.copytree(folder / "adapter", tmp_path / "adapter")
    change(tmp_path / "adapter")
    with pytest.raises(ModelError, match=message):
        BiEncoder(bases / "body", peft_adapter_path=tmp_path / "adapter", device="cpu")


def test_an_adapter_whose_base_is_not_here_says_which_it_wants(folder, tmp_path):
    shutil.copytree(folder / "adapter", tmp_path / "adapter")
    path = tmp_path / "adapter" / "adapter_config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"base_model_name_or_path": "nowhere-at-all"}))
    with pytest.raises(ModelError, match="nowhere-at-all"):
        BiEncoder(tmp_path / "adapter")
