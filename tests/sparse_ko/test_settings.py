"""A wrong setting is refused before anything starts, with the file and the key."""

from pathlib import Path

import pytest
import yaml

import sparse_ko
from retrieval_ko.errors import UsageError
from sparse_ko.pretraining import PretrainSettings
from sparse_ko.settings import TrainSettings, read_settings
from training_ko.settings import Settings, known_keys
from training_ko.settings import read_settings as read_any

CONFIGS = sorted((Path(sparse_ko.__file__).parent / "configs").glob("*.yaml"))


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
        ("name: a\nmodel: {body: transformer, dimensions: 250}\n", "model"),
        ("name: a\ndata: [{split: train}]\n", "data.0.collection"),
        ("name: a\nsparsity: {target_doc_dims: 100, document_weight: 0}\n", "sparsity"),
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
    changed = read_settings(source, ["training.epochs=4", "synonyms.as_pairs=false", "training.learning_rate=0.01", "training.epochs=6"])
    assert changed.training.model_dump(include={"epochs", "seed", "learning_rate"}) == {"epochs": 6, "seed": 5, "learning_rate": 0.01}
    assert changed.synonyms.as_pairs is False


@pytest.mark.parametrize(("text", "complaint"), [("a: [\n", "is not YAML"), ("- a\n", "found list"), ("", "found NoneType")])
def test_a_file_that_is_no_table_is_named(config, text, complaint):
    source = config(text)
    with pytest.raises(UsageError, match=complaint) as caught:
        read_settings(source)
    assert str(source) in caught.value.problem


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(UsageError, match=r"There is no config file .*none\.yaml"):
        read_settings(tmp_path / "none.yaml")


@pytest.mark.parametrize(
    ("text", "unknown", "meant"),
    [
        ("name: a\ntraining: {epoch: 3}\n", "training.epoch", "training.epochs"),
        ("name: a\ntrainig: {epochs: 3}\n", "trainig", "training"),
        ("name: a\nepochs: 3\n", "epochs", "training.epochs"),
        ("name: a\ntraining: {target_doc_dims: 100}\n", "training.target_doc_dims", "sparsity.target_doc_dims"),
        ("name: a\nmodel: {lexical_floor: {k: 1}}\n", "model.lexical_floor.k", "model.lexical_floor.k1"),
        ("name: a\ndata: [{collection: x, spilt: dev}]\n", "data.0.spilt", "data.split"),
    ],
)
def test_an_unknown_key_is_answered_with_the_nearest_one(config, text, unknown, meant):
    source = config(text)
    with pytest.raises(UsageError) as caught:
        read_settings(source)
    assert caught.value.problem == f"{source}: {unknown}: there is no such key; did you mean {meant}?"


def test_a_key_that_is_like_no_other_is_answered_without_a_guess(config):
    source = config("name: a\nzzzz: 3\n")
    with pytest.raises(UsageError) as caught:
        read_settings(source)
    assert caught.value.problem == f"{source}: zzzz: there is no such key."


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("model: {form: doc-only}\nsparsity: {target_query_dims: 20}", "sparsity.target_query_dims"),
        ("model: {form: lexical-floor}\nsparsity: {target_query_dims: 20}", "sparsity.target_query_dims"),
        ("model: {form: lexical-floor, body: transformer, lexical_floor: {lead: [0.4]}}", "model.lexical_floor.lead"),
        ("model: {base: klue/bert-base}\nvocabulary: {source: vocab}", "vocabulary.source"),
        ("ranking: {in_batch: false}", "ranking.in_batch"),
        ("ranking: {loss: kl}", "ranking.loss"),
        ("ranking: {loss: margin-mse}\ntraining: {hard_negatives: 2}", "synonyms.as_pairs"),
        ("training: {hard_negatives: 2}", "training.hard_negatives"),
        ("data: [{collection: x}]", "collection"),
    ],
)
def test_settings_that_contradict_each_other_are_told_with_the_key_to_change(config, text, key):
    source = config(f"name: a\n{text}\n")
    with pytest.raises(UsageError) as caught:
        read_settings(source)
    assert caught.value.problem.startswith(f"{source}: {key}: ")


@pytest.mark.parametrize("source", CONFIGS, ids=lambda path: path.stem)
def test_every_packaged_config_can_be_read_and_says_what_it_is(source):
    settings = read_any(source, None, PretrainSettings if source.stem.startswith("pretrain") else TrainSettings)
    first = source.read_text(encoding="utf-8").splitlines()[:3]
    assert [line.split(":")[0] for line in first] == ["# What", "# Time", "# On"]
    assert settings.name


def test_another_kind_of_settings_is_read_by_the_same_rules(config):
    class Other(Settings):
        steps: int = 3

    assert read_any(config("steps: 4\n"), ["steps=5"], Other).steps == 5
    with pytest.raises(UsageError, match="did you mean steps"):
        read_any(config("step: 4\n"), None, Other)


def test_every_key_is_documented():
    documented = {key for key in known_keys(TrainSettings) if _field(key).description}
    holding_others = {key for key in known_keys(TrainSettings) if any(other.startswith(f"{key}.") for other in known_keys(TrainSettings))}
    assert set(known_keys(TrainSettings)) - holding_others - documented == set()


def _field(key):
    from training_ko.settings import settings_in

    *parents, name = key.split(".")
    schema = TrainSettings
    for parent in parents:
        schema = settings_in(schema.model_fields[parent].annotation)
    return schema.model_fields[name]


def test_what_a_run_writes_down_is_what_it_was_asked(config):
    settings = read_settings(config("name: a\nmodel: {body: transformer, layers: 3}\ndata: [{collection: a}]\ncollection: b\n"))
    assert TrainSettings.model_validate(yaml.safe_load(yaml.safe_dump(settings.model_dump(mode="json")))) == settings
