"""What `sparse-ko vocab` promises to people and to programs."""

import json

import pytest
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import BertConfig, BertForMaskedLM

from retrieval_ko.files import write_jsonl
from sparse_ko.vocabulary import SPECIAL_TOKENS, build_tokenizer
from sparse_ko.vocabulary.embeddings import load_embeddings


@pytest.fixture(scope="module")
def texts(tmp_path_factory):
    source = tmp_path_factory.mktemp("texts") / "texts.jsonl"
    rows = [{"text": "보증금을 돌려받지 못한 임차인은 법원에 신청한다."}, {"text": "도서관에서 책을 빌린다. 보증금은 없다."}] * 3
    write_jsonl(source, rows)
    return source


def train(run, texts, out, *more):
    return run("vocab", "train", "--input", texts, "--size", 8000, "--out", out, "--workers", 1, *more)


def test_a_vocabulary_is_learnt_and_judged(run, texts, tmp_path):
    answer = train(run, texts, tmp_path / "small", "--json")
    assert answer.exit_code == 0, answer.output
    card = json.loads(answer.stdout)
    assert card["texts"] == 6
    assert card["path"] == str(tmp_path / "small")
    answer = run("vocab", "audit", tmp_path / "small", "--sample", texts, "--json")
    assert answer.exit_code == 0, answer.output
    audit = json.loads(answer.stdout)
    assert audit["sample"]["unknown_share"] == 0
    assert audit["field_types"]["rank_features"] == {"served": True, "forbidden_by": []}
    assert "rank_features: yes" in run("vocab", "audit", tmp_path / "small").stdout


def test_a_tokenizer_that_can_serve_no_field_ends_with_1(run, tmp_path):
    words = [f"낱{number}" for number in range(32_768)]
    tokenizer = Tokenizer(models.Unigram([*((word, -9.0) for word in [*SPECIAL_TOKENS, "▁가", "가", *words])], unk_id=1))
    tokenizer.pre_tokenizer, tokenizer.decoder = pre_tokenizers.Metaspace(), decoders.Metaspace()
    tokenizer.save(str(tmp_path / "tokenizer.json"))
    answer = run("vocab", "audit", tmp_path / "tokenizer.json")
    assert answer.exit_code == 1
    assert "rank_features: no, for: decode collisions" in answer.stdout
    assert "sparse_vector: no, for: largest id" in answer.stdout


@pytest.mark.parametrize("size", [7999, 50_001])
def test_a_size_out_of_range_is_wrong_use(run, texts, tmp_path, size):
    assert run("vocab", "train", "--input", texts, "--size", size, "--out", tmp_path / "x").exit_code == 2


def test_the_queries_of_a_collection_are_refused_by_name(run, tmp_path):
    (tmp_path / "qrels").mkdir()
    write_jsonl(tmp_path / "queries.jsonl", [{"_id": "1", "text": "질문"}])
    answer = train(run, tmp_path / "queries.jsonl", tmp_path / "x")
    assert answer.exit_code == 1
    assert "queries of dev and test too" in answer.stderr
    assert not (tmp_path / "x").exists()


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """A tiny masked language model whose vocabulary holds words that the texts do not."""
    folder = tmp_path_factory.mktemp("models") / "tiny"
    pieces = [*SPECIAL_TOKENS, "보증금", "##을", "돌려받지", "못한", "임차인", "##은", "책", "고양이", "강아지"]
    shape = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16, "max_position_embeddings": 32}
    BertForMaskedLM(BertConfig(vocab_size=len(pieces), **shape)).save_pretrained(folder)
    build_tokenizer(pieces, 32).save_pretrained(folder)
    return folder


def test_pieces_get_vectors(run, model, texts, tmp_path):
    answer = run("vocab", "embed", "--tokenizer", model, "--input", texts, "--dimensions", 4, "--out", tmp_path / "v.safetensors", "--json")
    assert answer.exit_code == 0, answer.output
    facts = json.loads(answer.stdout)
    assert (facts["pieces"], facts["dimensions"]) == (14, 4)
    assert load_embeddings(tmp_path / "v.safetensors", ["보증금", "##을"]).shape == (2, 4)


def test_a_model_is_pruned_to_what_a_sample_uses(run, model, texts, tmp_path):
    answer = run("vocab", "prune", "--model", model, "--sample", texts, "--out", tmp_path / "pruned", "--json")
    assert answer.exit_code == 0, answer.output
    facts = json.loads(answer.stdout)
    assert (facts["pieces"], facts["kept"]) == (14, 12)  # no cat, no dog
    assert facts["parameters"] == facts["parameters_before"] - 2 * (16 + 1)  # rows of the embedding, tied, and of the bias
    assert run("vocab", "audit", tmp_path / "pruned").exit_code == 0


def test_what_is_no_model_is_an_error(run, texts, tmp_path):
    answer = run("vocab", "prune", "--model", tmp_path, "--sample", texts, "--out", tmp_path / "pruned")
    assert answer.exit_code == 1
    assert "cannot be loaded" in answer.stderr
