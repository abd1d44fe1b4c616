"""Siamese and doc-only encoders are sentence-transformers' own models: ours load there, theirs load here, weights are equal."""

import numpy as np
import pytest
import torch
from sentence_transformers import SparseEncoder as StockEncoder
from sentence_transformers.base.modules import Router, Transformer
from sentence_transformers.sparse_encoder.modules import SparseStaticEmbedding, SpladePooling
from transformers import BertForMaskedLM

from retrieval_ko.errors import ModelError
from retrieval_ko.files import read_json, write_json
from sparse_ko.building import build_encoder
from sparse_ko.forms.stock import MaximumFirst
from sparse_ko.model import SparseEncoder
from sparse_ko.settings import TrainSettings


def built(collection, **model):
    sizes = {"layers": 1, "dimensions": 32, "heads": 2, "max_tokens": 64, "neighbour_pull": 0}
    return build_encoder(TrainSettings.model_validate({"name": "a", "vocabulary": {"size": 6000}, "model": sizes | model}), collection)


@pytest.fixture(scope="module")
def doc_only(collection):
    return built(collection, form="doc-only", body="transformer")


def stock_weights(encode, texts):
    return np.stack([row.to_dense().numpy() for row in encode(texts, convert_to_tensor=False)])


@pytest.mark.parametrize("activation", ["log1p", "log1p-twice"])
def test_the_maximum_before_the_logarithm_gives_the_stock_weights_and_gradients(activation):
    logits = torch.randn(3, 5, 40, generator=torch.Generator().manual_seed(1))
    mask = torch.tensor([[1, 1, 1, 1, 1], [1, 1, 0, 0, 0], [0, 0, 0, 0, 0]])
    found = []
    for pooling in (MaximumFirst, SpladePooling):
        module = pooling("max", activation_function="log1p_relu" if activation == "log1p-twice" else "relu").train()
        given = logits.clone().requires_grad_()
        weights = module({"token_embeddings": given * 1.0, "attention_mask": mask})["sentence_embedding"]
        weights.square().sum().backward()
        found.append((weights.detach().numpy(), given.grad.numpy()))
    for ours, theirs in zip(*found, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-7)
    assert not found[0][0][2].any()


def test_a_saved_doc_only_encoder_loads_in_plain_sentence_transformers(doc_only, texts, tmp_path):
    doc_only.save(tmp_path / "model")
    stock = StockEncoder(str(tmp_path / "model"), local_files_only=True, device="cpu")
    np.testing.assert_array_equal(doc_only.encode_document(texts).toarray(), stock_weights(stock.encode_document, texts))
    asked = [text for text in texts if text]  # stock modules fail on a query without any token
    np.testing.assert_array_equal(doc_only.encode_query(asked).toarray(), stock_weights(stock.encode_query, asked))
    assert type(stock[0].sub_modules["document"][1]) is SpladePooling
    loaded = SparseEncoder.load(tmp_path / "model", device="cpu")
    assert loaded.form == "doc-only"
    assert (loaded.encode_query(texts) != doc_only.encode_query(texts)).nnz == 0


def test_a_doc_only_query_starts_as_its_tokens_idf(doc_only, collection):
    passages = [passage.passage_text for passage in collection.passages.values()]
    ids = [set(doc_only.tokenizer(text, truncation=True, max_length=64)["input_ids"]) for text in passages]
    [query] = doc_only.to_tokens(doc_only.encode_query(["김치찌개 보증금"]))
    for token, weight in query.items():
        inside = sum(doc_only.tokenizer.convert_tokens_to_ids(token) in found for found in ids)
        assert weight == pytest.approx(np.log(1 + (len(passages) - inside + 0.5) / (inside + 0.5)), rel=1e-5)
    assert query


def test_negative_weights_of_the_table_are_set_to_nothing(collection):
    encoder = built(collection, form="doc-only")
    with torch.no_grad():
        encoder.query_table[100:] = -1.0
    encoder.constrain()
    assert float(encoder.query_table.min()) == 0.0


@pytest.mark.parametrize("pooling", ["relu", "log1p_relu"])
@pytest.mark.parametrize("shape", ["siamese", "router"])
def test_a_folder_of_plain_sentence_transformers_loads_with_equal_outputs(doc_only, texts, tmp_path, shape, pooling):
    folder = tmp_path / "body"
    doc_only.masked_language_model.save_pretrained(folder)
    doc_only.tokenizer.save_pretrained(folder)
    document = [
        Transformer(str(folder), transformer_task="fill-mask", max_seq_length=32),
        SpladePooling("max", activation_function=pooling),
    ]
    weights = torch.linspace(0, 3, len(doc_only.tokenizer))
    weights[doc_only.tokenizer.all_special_ids] = 0
    query = [SparseStaticEmbedding(doc_only.tokenizer, weight=weights, frozen=True)]
    modules = document if shape == "siamese" else [Router.for_query_document(query_modules=query, document_modules=document)]
    stock = StockEncoder(modules=modules, device="cpu")
    stock.save_pretrained(str(tmp_path / "theirs"))
    theirs = StockEncoder(str(tmp_path / "theirs"), device="cpu", local_files_only=True)
    ours = SparseEncoder.load(tmp_path / "theirs", device="cpu")
    texts = [text for text in texts if text]
    np.testing.assert_allclose(ours.encode_document(texts).toarray(), stock_weights(theirs.encode_document, texts), rtol=1e-6)
    np.testing.assert_allclose(ours.encode_query(texts).toarray(), stock_weights(theirs.encode_query, texts), rtol=1e-6)


def test_a_base_by_folder_keeps_its_weights_and_silences_special_tokens(doc_only, collection, texts, tmp_path):
    model = BertForMaskedLM(doc_only.masked_language_model.config)
    model.save_pretrained(tmp_path / "base")
    doc_only.tokenizer.save_pretrained(tmp_path / "base")
    encoder = built(collection, base=str(tmp_path / "base"))
    assert encoder.form == "siamese"
    for name, value in model.base_model.state_dict().items():
        assert torch.equal(encoder.masked_language_model.base_model.state_dict()[name], value)
    encoder.save(tmp_path / "model")
    stock = StockEncoder(str(tmp_path / "model"), local_files_only=True, device="cpu")
    assert not stock.encode_document(texts).to_dense()[:, encoder.tokenizer.all_special_ids].any()


def test_a_base_without_its_head_is_refused_with_the_way_out(doc_only, collection, tmp_path):
    doc_only.masked_language_model.bert.save_pretrained(tmp_path / "body")
    doc_only.tokenizer.save_pretrained(tmp_path / "body")
    with pytest.raises(ModelError, match="have no MLM head") as caught:
        built(collection, base=str(tmp_path / "body"))
    assert "sparse-ko pretrain" in caught.value.remedy


def test_a_base_that_is_not_there_is_refused_with_the_way_out(collection, monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)  # the library reads its variable once, when it is imported
    with pytest.raises(ModelError, match="is no folder here") as caught:
        built(collection, base="nobody/nothing")
    assert "model.base" in caught.value.remedy


def test_a_vocabulary_larger_than_the_model_is_refused(doc_only, collection, tmp_path):
    doc_only.masked_language_model.save_pretrained(tmp_path / "base")
    doc_only.tokenizer.save_pretrained(tmp_path / "base")
    tokenizer = read_json(tmp_path / "base" / "tokenizer.json")
    tokenizer["model"]["vocab"] |= {f"새말{number}": len(doc_only.tokenizer) + number for number in range(3)}
    write_json(tmp_path / "base" / "tokenizer.json", tokenizer)
    with pytest.raises(ModelError, match="don't fit"):
        built(collection, base=str(tmp_path / "base"))
