"""A model reads the words in front that it was trained with."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dense_ko.templates import PREFIXES, Prefixes, TemplateMode, prompts_of, template_named, template_of, template_of_prompts, tp, tq
from retrieval_ko.errors import UsageError


@pytest.mark.parametrize(
    ("mode", "query", "passage"),
    [
        ("none", "질의", "글"),
        ("e5", "query: 질의", "passage: 글"),
        (
            "bge",
            "Represent this sentence for searching relevant passages: 질의",
            "Represent this sentence for retrieving relevant passages: 글",
        ),
        ("bge-query", "Represent this sentence for searching relevant passages: 질의", "글"),
    ],
)
def test_both_sides_get_what_the_models_cards_say(mode, query, passage):
    assert (tq("질의", mode), tp("글", TemplateMode(mode))) == (query, passage)


def test_the_instruction_of_e5_ends_with_the_query_and_leaves_passages_alone():
    assert tq("질의", "e5-instruct").startswith("Instruct: ")
    assert tq("질의", "e5-instruct").endswith("\nQuery: 질의")
    assert tp("글", "e5-instruct") == "글"


@pytest.mark.parametrize(
    ("name", "mode"),
    [
        ("intfloat/multilingual-e5-small", "e5"),
        ("nlpai-lab/KoE5", "e5"),
        ("models/multilingual-e5-large-instruct", "e5-instruct"),
        ("BAAI/bge-base-en-v1.5", "bge-query"),
        ("hub/models--BAAI--bge-base-en-v1.5/snapshots/a5beb1e3", "bge-query"),
        ("BAAI/bge-m3", "none"),
        ("BM-K/KoSimCSE-roberta-multitask", "none"),
        ("runs/case5-model", "none"),
        ("some/t5-base", "none"),
    ],
)
def test_the_backbone_chooses(name, mode):
    assert template_of(name) == mode


def test_the_folder_where_one_stands_has_a_name_too(tmp_path, monkeypatch):
    (tmp_path / "multilingual-e5-small").mkdir()
    monkeypatch.chdir(tmp_path / "multilingual-e5-small")
    assert template_of(".") is TemplateMode.E5


@pytest.mark.parametrize("mode", PREFIXES)
def test_what_a_folder_keeps_is_read_back(mode):
    assert template_of_prompts(prompts_of(PREFIXES[mode])) == (mode, PREFIXES[mode])


@given(st.text(min_size=1), st.text(min_size=1))
def test_prompts_of_others_stay_what_they_are(query, passage):
    mode, found = template_of_prompts({"query": query, "passage": passage})
    assert found == Prefixes(query, passage)
    assert mode is TemplateMode.OWN or PREFIXES[mode] == found


@pytest.mark.parametrize("name", ["BGE", "bge", "E5_INSTRUCT", TemplateMode.NONE])
def test_names_are_read_in_capitals_too(name):
    assert template_named(name).value == str(name).lower().replace("_", "-")


def test_an_unknown_template_names_the_known_ones():
    with pytest.raises(UsageError, match="e5-instruct"):
        tq("질의", "e6")


def test_only_the_folder_knows_its_own_prompts():
    with pytest.raises(UsageError, match="model folder"):
        tp("글", "own")
