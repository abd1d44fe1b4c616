"""What `sparse-ko pretrain` promises to people and to programs."""

import json

import pytest
from transformers import AutoModelForMaskedLM

from retrieval_ko.files import write_jsonl
from sparse_ko.pretraining import PretrainSettings
from sparse_ko.vocabulary import SPECIAL_TOKENS, build_tokenizer
from sparse_ko_cli.train import find_config
from training_ko.settings import read_settings

TINY = ["model.layers=1", "model.dimensions=16", "model.heads=2", "model.max_tokens=16", "training.batch_size=4", "held_out=0.3"]


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pretrain")
    write_jsonl(folder / "texts.jsonl", [{"text": f"가 나 다 {number}"} for number in range(60)])
    build_tokenizer([*SPECIAL_TOKENS, "가", "나", "다", *(str(number) for number in range(60))], 16).save_pretrained(folder / "vocabulary")
    return folder


def pretrain(run, place, out, *more, steps=4):
    changes = [*TINY, f"sources=[{place / 'texts.jsonl'}]", f"vocabulary.source={place / 'vocabulary'}", f"training.max_steps={steps}"]
    return run("pretrain", "pretrain-mini", *(part for change in changes for part in ("--set", change)), "--out", out, *more)


def test_a_run_leaves_a_model_and_says_how_good_it_is(run, place, tmp_path):
    answer = pretrain(run, place, tmp_path / "run", "--json")
    assert answer.exit_code == 0, answer.output
    facts = json.loads(answer.stdout)
    assert facts["model"] == str(tmp_path / "run" / "model")
    assert {"dev_loss", "dev_accuracy", "unigram_loss", "unigram_accuracy"} <= facts.keys()
    assert AutoModelForMaskedLM.from_pretrained(facts["model"]).config.hidden_size == 16
    again = pretrain(run, place, tmp_path / "run")
    assert again.exit_code == 2
    assert "--resume" in again.stderr
    assert pretrain(run, place, tmp_path / "run", "--resume").exit_code == 0


def test_both_commands_of_the_program_take_a_run_over_only_to_resume_it(run, place, tmp_path):
    for answer in (pretrain(run, place, tmp_path, "--take-over"), run("train", "demo", "--out", tmp_path, "--take-over")):
        assert answer.exit_code == 2
        assert "--take-over is for a run that is gone on with" in answer.stderr


def test_an_unknown_key_is_wrong_use_and_the_nearest_named(run, tmp_path):
    answer = run("pretrain", "pretrain-mini", "--set", "masking.whole_word=true", "--out", tmp_path / "run")
    assert answer.exit_code == 2
    assert "masking.whole_words" in answer.stderr


def test_the_packaged_config_is_four_layers_of_256():
    settings = read_settings(find_config("pretrain-mini"), None, PretrainSettings)
    assert (settings.model.layers, settings.model.dimensions, settings.masking.share) == (4, 256, 0.3)
