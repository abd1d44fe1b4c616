"""The export refuses what the audit forbids, in the audit's words, and lets a WordPiece vocabulary through."""

import json

import pytest
import torch
from sentence_transformers import SparseEncoder as StockEncoder
from sentence_transformers.base.modules import Transformer
from sentence_transformers.sparse_encoder.modules import SpladePooling
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers
from transformers import BertConfig, BertForMaskedLM, PreTrainedTokenizerFast

from opensearch_ko.export import export_model
from opensearch_ko.export.tokenizer import server_tokenizer
from retrieval_ko.errors import ModelError, UsageError
from sparse_ko.forms.stock import stock_network
from sparse_ko.model import SparseEncoder
from sparse_ko.vocabulary import SPECIAL_TOKENS, audit_tokenizer, build_tokenizer

NAMES = dict(zip(("pad_token", "unk_token", "cls_token", "sep_token", "mask_token"), SPECIAL_TOKENS, strict=True))
WORDS = ["보증금", "##을", "전세", "보", "##증", "##금"]


def byte_level():
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer, tokenizer.decoder = pre_tokenizers.ByteLevel(add_prefix_space=False), decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(special_tokens=list(SPECIAL_TOKENS), initial_alphabet=alphabet, show_progress=False)
    tokenizer.train_from_iterator(["보증금을 전세"], trainer)
    return tokenizer


def unigram():
    tokenizer = Tokenizer(models.Unigram([*((token, 0.0) for token in SPECIAL_TOKENS), ("▁보증금", -2.0), ("보증금", -2.0)], unk_id=1))
    tokenizer.pre_tokenizer, tokenizer.decoder = pre_tokenizers.Metaspace(), decoders.Metaspace()
    return tokenizer


def model_folder(tokenizer, folder):
    torch.manual_seed(1)
    shape = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16, "max_position_embeddings": 32}
    BertForMaskedLM(BertConfig(vocab_size=len(tokenizer), **shape)).save_pretrained(folder / "parts")
    tokenizer.save_pretrained(folder / "parts")
    body = Transformer(str(folder / "parts"), transformer_task="fill-mask", max_seq_length=32)
    StockEncoder(modules=[body, SpladePooling("max")], device="cpu").save_pretrained(str(folder / "model"))
    return folder / "model"


@pytest.mark.parametrize("make", [byte_level, unigram])
def test_a_vocabulary_that_the_audit_forbids_is_refused_in_its_words(make, tmp_path):
    folder = model_folder(PreTrainedTokenizerFast(tokenizer_object=make(), **NAMES), tmp_path)
    with pytest.raises(ModelError) as forbidden:
        audit_tokenizer(folder).check_serves("rank_features")
    with pytest.raises(ModelError) as refused:
        export_model(folder, tmp_path / "out")
    assert refused.value.problem == forbidden.value.problem
    assert refused.value.remedy.startswith(forbidden.value.remedy)
    assert "--field sparse_vector" in refused.value.remedy
    assert "query_tokens" in refused.value.remedy
    assert "are spelt like another one when decoded alone" in refused.value.problem
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("make", [byte_level, unigram])
def test_the_same_vocabulary_is_exported_for_a_field_that_goes_by_ids(make, tmp_path):
    folder = model_folder(PreTrainedTokenizerFast(tokenizer_object=make(), **NAMES), tmp_path)
    card = export_model(folder, tmp_path / "out", fields=("sparse_vector",)).encoder.card
    assert card.serves == ["sparse_vector"]
    assert card.probe_by_id
    encoder = SparseEncoder.load(folder, device="cpu")
    row = encoder.encode_document([card.probe_text])
    assert card.probe_weights == pytest.approx(dict(zip(map(str, row.indices), row.data, strict=True)), abs=1e-5)
    with pytest.raises(UsageError, match="'text' is unknown"):
        export_model(folder, tmp_path / "out", fields=("text",))


def test_a_doc_only_model_with_such_a_vocabulary_gets_no_query_zip(tmp_path):
    folder = model_folder(PreTrainedTokenizerFast(tokenizer_object=byte_level(), **NAMES), tmp_path)
    siamese = SparseEncoder.load(folder, device="cpu")
    table = torch.ones(len(siamese.tokenizer))
    SparseEncoder(stock_network(siamese.masked_language_model, siamese.tokenizer, 32, query_table=table)).save(tmp_path / "doc-only")
    steps = []
    done = export_model(tmp_path / "doc-only", tmp_path / "out", fields=("sparse_vector",), on_step=steps.append)
    assert done.query is None
    assert any("the client makes query_tokens" in step for step in steps)


def test_a_word_piece_vocabulary_is_let_through_and_its_missing_truncation_filled_in(tmp_path):
    folder = model_folder(build_tokenizer([*SPECIAL_TOKENS, *WORDS], 32), tmp_path)
    assert audit_tokenizer(folder).field_types == ["rank_features", "sparse_vector"]
    assert audit_tokenizer(folder).truncation is None
    content, max_tokens = server_tokenizer(SparseEncoder.load(folder, device="cpu"))
    assert json.loads(content)["truncation"]["max_length"] == max_tokens == 32


def test_what_the_audit_only_warns_of_is_exported(tmp_path):
    tokenizer = build_tokenizer([*SPECIAL_TOKENS, *WORDS], 32)
    tokenizer.backend_tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)  # takes Hangul apart, but no key is lost
    folder = model_folder(tokenizer, tmp_path)
    assert audit_tokenizer(folder).decomposes_hangul
    assert server_tokenizer(SparseEncoder.load(folder, device="cpu"))[1] == 32
