"""What a run is told is checked before it starts; the published keys are read or refused."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import dense_ko
from dense_ko.published_keys import INSTEAD, MAPPED, translated
from dense_ko.settings import DenseTrainSettings, read_settings
from retrieval_ko.errors import UsageError
from training_ko.settings import known_keys

CONFIGS = sorted((Path(dense_ko.__file__).parent / "configs").glob("*.yaml"))


def written(folder, text):
    path = folder / "config.yaml"
    path.write_text(text, encoding="utf-8")
    return path


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_the_packaged_configs_are_read(path):
    settings = read_settings(path)
    assert settings.ranking.temperature == 0.05
    assert settings.collection is not None


def test_there_are_those_that_everything_is_shown_with():
    assert {"static", "mini", "law", "e5-small-lora"} <= {path.stem for path in CONFIGS}


def test_the_published_config_is_read(tmp_path):
    path = written(
        tmp_path,
        """
model: {bi_model: BAAI/bge-m3, use_bge_template: true, max_len: 512}
data: {batches: {bi: 32}}
trainer: {epochs: 3, lr: 2.0e-5, temperature: 0.05, eval_steps: 300, lora_r: 8}
seed: 42
""",
    )
    settings = read_settings(path)
    assert (settings.name, settings.model.base, settings.model.template, settings.model.max_passage_tokens) == (
        "bi-encoder",
        "BAAI/bge-m3",
        "bge",
        512,
    )
    assert (settings.training.batch_size, settings.training.epochs, settings.training.eval_steps) == (32, 3, 300)
    assert (settings.training.learning_rate, settings.ranking.temperature, settings.training.seed) == (2e-5, 0.05, 42)
    assert settings.model.lora is not None
    assert settings.model.lora.r == 8


def test_the_published_key_of_the_base_works_on_the_command_line(tmp_path):
    path = written(tmp_path, "name: tiny\n")
    assert read_settings(path, ["model.bi_model=ko-simcse"]).model.base == "ko-simcse"


@pytest.mark.parametrize("key", INSTEAD)
def test_published_keys_of_another_meaning_say_what_to_write(key):
    values = 1
    for part in reversed(key.split(".")):
        values = {part: values}
    with pytest.raises(ValueError, match=key):
        translated(values)


def test_a_value_under_both_names_is_refused(tmp_path):
    path = written(tmp_path, "name: tiny\nmodel: {base: a/b, bi_model: c/d}\n")
    with pytest.raises(UsageError, match=r"model\.bi_model: the same as model\.base"):
        read_settings(path)


def test_published_keys_stand_for_known_ones():
    assert set(MAPPED.values()) <= set(known_keys(DenseTrainSettings))


@given(
    st.recursive(st.integers() | st.none(), lambda inner: st.dictionaries(st.sampled_from(["own", "keys", "only"]), inner), max_leaves=5)
)
def test_what_is_ours_goes_through_unchanged(values):
    assert translated({"model": values}) == {"model": values}


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("{}", "sparse-ko vocab train"),
        ("{base: a/b, vocabulary: c}", "brings its own"),
        ("{pretrained: a, vocabulary: c}", "brings its own"),
        ("{base: a/b, embeddings: c}", "model.embeddings"),
        ("{vocabulary: c, lora: {r: 8}}", "model.lora"),
        ("{vocabulary: c, dimensions: 30}", "30 dimensions cannot be shared among 4 heads"),
        ("{base: a/b, lora: {targets: []}}", "no layer would be trained"),
        ("{base: a/b, template: own}", "leave it out"),
        ("{base: a/b, normalize: false}", "ranking.temperature"),
        ("{base: a/b, max_len_tokens: 3}", "there is no such key"),
    ],
)
def test_what_contradicts_itself_is_refused_with_its_key(tmp_path, text, complaint):
    with pytest.raises(UsageError, match=complaint.replace(".", r"\.")):
        read_settings(written(tmp_path, f"name: tiny\nmodel: {text}\n"))


@pytest.mark.parametrize("temperature", [0, -0.05])
def test_a_temperature_is_above_0(tmp_path, temperature):
    with pytest.raises(UsageError, match=r"ranking\.temperature"):
        read_settings(written(tmp_path, "name: tiny\nmodel: {base: a/b}\n"), [f"ranking.temperature={temperature}"])


def test_a_bag_of_vectors_needs_no_heads(tmp_path):
    text = "name: tiny\nmodel: {vocabulary: c, layers: 0, dimensions: 30}\n"
    assert read_settings(written(tmp_path, text)).model.dimensions == 30
