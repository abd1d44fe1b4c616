"""What a name stands for."""

import logging

import pytest

from dense_ko.registry import ALIASES, COMBINATIONS, DEFAULT_BASE, STAND_INS, pooling_of, resolve
from retrieval_ko.errors import ModelError


@pytest.mark.parametrize(
    ("alias", "name"),
    [
        ("bge-m3-ko", "BAAI/bge-m3"),
        ("ko-simcse", "BM-K/KoSimCSE-roberta-multitask"),
        ("Multilingual-E5-small", "intfloat/multilingual-e5-small"),
        ("multilingual-minilm", "sentence-transformers/paraphrase-multilingual-MiniLM-L12-v2"),
    ],
)
def test_an_alias_is_resolved_aloud(alias, name, caplog):
    with caplog.at_level(logging.INFO):
        assert resolve(alias) == name
    assert alias in caplog.text
    assert name in caplog.text


@pytest.mark.parametrize("alias", STAND_INS)
def test_a_stand_in_says_that_it_is_one(alias, caplog):
    with caplog.at_level(logging.INFO):
        resolve(alias)
    assert STAND_INS[alias] in caplog.text


def test_a_folder_goes_before_an_alias(tmp_path, monkeypatch):
    (tmp_path / "bge-m3").mkdir()
    monkeypatch.chdir(tmp_path)
    assert resolve("bge-m3") == "bge-m3"


def test_a_name_on_the_hub_is_left_alone():
    assert resolve("klue/roberta-base") == "klue/roberta-base"


def test_an_unknown_name_gets_the_nearest_aliases():
    with pytest.raises(ModelError, match="bge-m3-ko"):
        resolve("bge-m3-kor")


@pytest.mark.parametrize("name", ["no/such/folder", "ausgedacht"])
def test_a_path_that_is_not_there_is_no_hub_name(name):
    with pytest.raises(ModelError, match="no folder, no name on the hub"):
        resolve(name)


def test_what_is_combined_and_the_default_are_aliases():
    assert {name for pair in COMBINATIONS.values() for name in pair} | {DEFAULT_BASE} <= set(ALIASES)


def test_only_what_is_known_to_pool_the_first_token_does():
    assert [pooling_of(name) for name in ("BM-K/KoSimCSE-roberta-multitask", "BAAI/bge-m3")] == ["cls", None]
