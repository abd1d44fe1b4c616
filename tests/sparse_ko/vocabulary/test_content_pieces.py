"""Which pieces Kiwi reads as particles, endings and punctuation, and a lexical floor that leaves them out."""

import numpy as np
import pytest
import torch

from retrieval_ko.collection import texts_of
from retrieval_ko.errors import UsageError
from sparse_ko.building import build_encoder, lucene_idf
from sparse_ko.losses.weighted_sum import WeightedSum
from sparse_ko.settings import TrainSettings, read_settings
from sparse_ko.training import train
from sparse_ko.vocabulary.content import function_pieces
from training_ko.losses import Embedded


def settings_of(**model):
    model = {"form": "lexical-floor", "dimensions": 32, "max_tokens": 64, "neighbour_pull": 0, **model}
    training = {"max_steps": 3, "batch_size": 6}
    return TrainSettings.model_validate({"name": "content", "vocabulary": {"size": 6000}, "model": model, "training": training})


@pytest.fixture(scope="module")
def encoder(collection):
    return build_encoder(settings_of(content_only=True), collection)


def test_particles_and_endings_are_left_out_and_nouns_and_stems_are_not(collection, encoder):
    texts = [
        *texts_of(collection.passages.values()),
        "집을 집은 집에 집의 집이 산을 산은 산에 산의 물을 물은 물에 물의.",
        "학교에서 먹었다. 학교에서 왔다.",
    ]
    found = {encoder.tokenizer.convert_ids_to_tokens(token) for token in function_pieces(encoder.tokenizer, texts)}
    assert {"##을", "##은", "##에", "##의", "."} <= found
    assert not {"집", "산", "물", "학교", "보증금", "계약"} & found
    assert not any(token.removeprefix("##").isdigit() for token in found)


def test_a_piece_that_stands_nowhere_is_content(encoder):
    assert function_pieces(encoder.tokenizer, []) == []


def test_the_floor_is_bm25_of_the_content_pieces(collection, encoder):
    passages = texts_of(collection.passages.values())
    left_out = {*function_pieces(encoder.tokenizer, passages), *encoder.tokenizer.all_special_ids}
    kept = np.array([token not in left_out for token in range(len(encoder.tokenizer))])
    cut = [encoder.tokenizer(text, truncation=True, max_length=64)["input_ids"] for text in passages]
    counts = np.array([np.bincount(ids, minlength=len(kept)) for ids in cut]) * kept
    # the mean counts 64 pieces of a text, special ones not among them
    longer = [encoder.tokenizer(text, truncation=True, max_length=64, add_special_tokens=False)["input_ids"] for text in passages]
    mean = np.mean([kept[ids].sum() for ids in longer])
    lengths = counts.sum(axis=1, keepdims=True)
    weights = counts * 2.2 / (counts + 1.2 * (1 - 0.75 + 0.75 * lengths / mean))
    np.testing.assert_allclose(encoder.encode_document(passages).toarray(), weights, rtol=1e-5)
    query = next(iter(collection.queries.values())).text
    own = set(encoder.tokenizer(query)["input_ids"]) - left_out
    assert set(encoder.encode_query([query]).indices.tolist()) == own


def test_passages_of_other_collections_count_for_rarity(collection):
    alone = build_encoder(settings_of(), collection)
    passages = texts_of(collection.passages.values())
    both = build_encoder(settings_of(), collection, others=[collection])
    torch.testing.assert_close(both.module.idf, alone.module.idf)  # a text that stands in two collections is one text
    inside = (alone.encode_document(passages) > 0).sum(axis=0)
    short = torch.from_numpy(np.asarray(inside).ravel()).float() > 0
    expected = lucene_idf(torch.from_numpy(np.asarray(inside).ravel()).float(), len(passages))
    torch.testing.assert_close(alone.module.idf[short], expected[short])


def test_the_regulariser_of_the_expansion_leaves_the_own_tokens_alone(collection):
    settings = settings_of().model_copy(deep=True)
    settings.sparsity.regularised = "expansion"
    encoder = build_encoder(settings, collection)
    with torch.no_grad():
        encoder.module.gamma.fill_(0.7)
    texts = texts_of(collection.passages.values())[:4]
    features = encoder.tokenize(texts, "document")
    documents = encoder.embed(features, "document", in_parts=True)
    weights, expansion, _ = documents.split([len(encoder.tokenizer), len(encoder.tokenizer), 1], dim=1)
    torch.testing.assert_close(weights, encoder.embed(features, "document"))
    own = torch.tensor((encoder.module.frequencies(features) > 0).numpy())
    torch.testing.assert_close(weights[~own], expansion[~own])
    assert (weights[own] > expansion[own]).all()
    queries = encoder.embed(encoder.tokenize(texts, "query"), "query")
    diagonal = torch.arange(4)
    loss = WeightedSum(settings)
    loss.lambda_document = 1.0
    parts = loss(Embedded(queries, documents, diagonal, diagonal.unsqueeze(1), torch.eye(4, dtype=torch.bool)))
    assert parts.parts["document_sparsity"].value == pytest.approx(float(expansion.detach().mean(dim=0).square().sum()), rel=1e-5)
    assert parts.figures["document_dims"] == pytest.approx(float((weights.detach() > 0).sum()) / 4)
    encoder.module.zero_grad()
    loss.document_sparsity(expansion).backward()
    assert not encoder.module.body.adjust.grad.any()  # nothing of it reached the own tokens' weights
    assert encoder.module.body.expand.weight.grad.any()


def test_a_run_with_both_settings_is_trained_and_loaded(collection, tmp_path):
    settings = settings_of(content_only=True).model_copy(deep=True)
    settings.sparsity.regularised, settings.sparsity.sampled_dimensions = "expansion", 64
    trained = train(settings, collection, tmp_path / "run", data_hash="0")
    assert trained.dev_ndcg > 0.2


def test_held_tokens_come_back_to_bm25(collection):
    settings = settings_of().model_copy(deep=True)
    settings.sparsity.regularised = "expansion"
    encoder = build_encoder(settings, collection)
    texts = texts_of(collection.passages.values())[:4]
    features = encoder.tokenize(texts, "document")
    bm25 = encoder.embed(features, "document").detach()
    body = encoder.module.body
    with torch.no_grad():
        body.adjust_bias.add_(torch.randn(body.adjust_bias.shape, generator=torch.Generator().manual_seed(3)) * 0.5)
    queries = encoder.embed(encoder.tokenize(texts, "query"), "query").detach()
    diagonal = torch.arange(4)

    def parts_of(hold):
        settings.sparsity.hold = hold
        documents = encoder.embed(features, "document", in_parts=True)
        return WeightedSum(settings)(Embedded(queries, documents, diagonal, diagonal.unsqueeze(1), torch.eye(4, dtype=torch.bool)))

    free, held = parts_of(0.0), parts_of(100.0)
    assert "hold" not in free.parts
    assert held.parts["hold"].value > 0.01
    assert held.total.item() == pytest.approx(free.total.item() + 100 * held.parts["hold"].value, rel=1e-4)
    before = (encoder.embed(features, "document").detach() - bm25).abs().mean().item()
    optimiser = torch.optim.SGD([body.adjust_bias], lr=0.05)
    for _ in range(60):
        optimiser.zero_grad()
        parts_of(100.0).total.backward()
        optimiser.step()
    assert (encoder.embed(features, "document").detach() - bm25).abs().mean().item() < 0.5 * before


@pytest.mark.parametrize("change", ["model.content_only=true", "sparsity.regularised=expansion", "sparsity.hold=0.1"])
def test_forms_without_a_floor_refuse_them(tmp_path, change):
    config = tmp_path / "config.yaml"
    config.write_text("name: x\nmodel: {form: siamese}\n", encoding="utf-8")
    with pytest.raises(UsageError, match=change.partition("=")[0]):
        read_settings(config, [change])
