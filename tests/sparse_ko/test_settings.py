"""A wrong setting is refused before anything starts, with the file and the key."""

import pytest
import yaml

from retrieval_ko.errors import UsageError
from sparse_ko.settings import TrainSettings, read_settings


@pytest.fixture
def config(tmp_path):
    def write(text):
        (tmp_path / "run.yaml").write_text(text, encoding="utf-8")
        return tmp_path / "run.yaml"

    return write


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("name: a\nepochs: 3\n", "epochs"),
        ("name: a\ntraining: {epoch: 3}\n", "training.epoch"),
        ("name: a\ntraining: {epochs: 0}\n", "training.epochs"),
        ("name: a\ntraining: {learning_rate: fast}\n", "training.learning_rate"),
        ("name: a\nmodel: {form: recurrent}\n", "model.form"),
        ("name: a\nmodel: {max_tokens: 513}\n", "model.max_tokens"),
        ("name: a\nvocabulary: {size: 50001}\n", "vocabulary.size"),
        ("name: a\nmodel:\n", "model"),
        ("name: 한국어\n", "name"),
        ("training: {epochs: 3}\n", "name"),
    ],
)
def test_an_unknown_key_or_a_wrong_value_is_named_with_its_file(config, text, key):
    source = config(text)
    with pytest.raises(UsageError) as caught:
        read_settings(source)
    assert caught.value.problem.startswith(f"{source}: {key}: ")


@pytest.mark.parametrize(
    ("change", "key"),
    [("training.epochs=0", "training.epochs"), ("training.epochs=viele", "training.epochs"), ("trainig.epochs=3", "trainig")],
)
def test_a_wrong_change_is_named_with_its_file_and_key(config, change, key):
    source = config("name: a\n")
    with pytest.raises(UsageError) as caught:
        read_settings(source, [change])
    assert caught.value.problem.startswith(f"{source}: {key}: ")


@pytest.mark.parametrize("change", ["training.epochs", "=3", "training.epochs=[", "name.first=a"])
def test_a_change_that_is_none_is_quoted(config, change):
    with pytest.raises(UsageError) as caught:
        read_settings(config("name: a\n"), [change])
    assert caught.value.problem.startswith(f"--set {change}: ")


def test_changes_are_read_as_yaml_and_the_last_one_counts(config):
    source = config("name: a\ntraining: {epochs: 3, seed: 5}\n")
    changed = read_settings(source, ["training.epochs=4", "training.synonyms=false", "training.learning_rate=0.01", "training.epochs=6"])
    assert changed.training.model_dump(include={"epochs", "seed", "synonyms", "learning_rate"}) == {
        "epochs": 6,
        "seed": 5,
        "synonyms": False,
        "learning_rate": 0.01,
    }


@pytest.mark.parametrize(("text", "complaint"), [("a: [\n", "is not YAML"), ("- a\n", "found list"), ("", "found NoneType")])
def test_a_file_that_is_no_table_is_named(config, text, complaint):
    source = config(text)
    with pytest.raises(UsageError, match=complaint) as caught:
        read_settings(source)
    assert str(source) in caught.value.problem


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(UsageError, match=r"There is no config file .*none\.yaml"):
        read_settings(tmp_path / "none.yaml")


def test_what_a_run_writes_down_is_what_it_was_asked(config):
    settings = read_settings(config("name: a\nmodel: {form: transformer, layers: 3}\n"))
    assert TrainSettings.model_validate(yaml.safe_load(yaml.safe_dump(settings.model_dump(mode="json")))) == settings
