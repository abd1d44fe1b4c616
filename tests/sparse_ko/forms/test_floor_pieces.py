"""A static body reads a passage as its pieces and their counts; it must weigh what it weighs place by place."""

import math

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from retrieval_ko.collection import texts_of
from sparse_ko.building import build_encoder
from sparse_ko.model import SparseEncoder
from sparse_ko.settings import TrainSettings
from training_ko.known_texts import KnownTexts
from training_ko.tokenizing import tokenize

LIMIT = 24


@pytest.fixture(scope="module")
def floor(collection):
    model = {"form": "lexical-floor", "dimensions": 32, "max_tokens": LIMIT, "neighbour_pull": 0, "content_only": True}
    model["lexical_floor"] = {"lead": [0.4, 0.2, -0.3]}
    encoder = build_encoder(TrainSettings.model_validate({"name": "floor", "vocabulary": {"size": 6000}, "model": model}), collection)
    generator = torch.Generator().manual_seed(5)
    with torch.no_grad():
        for parameter in encoder.module.parameters():
            parameter.add_(torch.randn(parameter.shape, generator=generator) * 0.1)
        encoder.module.gamma.fill_(0.7)
    assert encoder.module.searchable.eq(0).sum() > len(encoder.tokenizer.all_special_ids)
    return encoder


@pytest.fixture(scope="module")
def words(collection):
    return sorted({word for text in texts_of(collection.passages.values()) for word in text.split()})[:60]


def weights_and_gradient(floor, features, dimensions):
    floor.module.zero_grad()
    weights = floor.embed(features, "document", dimensions, in_parts=True)
    (weights * torch.linspace(-1, 1, weights.shape[1])).sum().backward()
    return weights.detach(), {name: one.grad for name, one in floor.module.named_parameters() if one.grad is not None}


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_pieces_weigh_what_the_tokens_weigh_at_their_places_and_have_their_gradient(floor, words, data):
    text = st.lists(st.sampled_from(words[:20]) | st.sampled_from(words), max_size=40).map(" ".join)
    texts = data.draw(st.lists(text, min_size=1, max_size=5))
    dimensions = data.draw(st.none() | st.just(torch.arange(3, len(floor.tokenizer), 4)))
    pieces, places = floor.tokenize(texts, "document"), tokenize(floor.tokenizer, texts, LIMIT)
    found, gradient = weights_and_gradient(floor, pieces, dimensions)
    expected, expected_gradient = weights_and_gradient(floor, places, dimensions)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(gradient, expected_gradient, rtol=1e-3, atol=1e-3)


def test_pieces_are_those_of_the_cut_text_each_once_with_its_count(floor, collection):
    texts = [*texts_of(collection.passages.values())[:6], "", "보증금 " * 50]
    features = floor.tokenize(texts, "document")
    for row, text in enumerate(texts):
        ids = floor.tokenizer(text, truncation=True, max_length=LIMIT)["input_ids"]
        length = int(features["attention_mask"][row].sum())
        assert features["input_ids"][row, :length].tolist() == sorted(set(ids))
        assert features["counts"][row].tolist()[:length] == [ids.count(piece) for piece in sorted(set(ids))]
        assert features["first_places"][row].tolist()[:length] == [ids.index(piece) for piece in sorted(set(ids))]
        assert not features["counts"][row, length:].any()
    shorter = floor.tokenize(texts, "document", 7)
    assert shorter["counts"].sum(dim=1).max() == 7


def test_known_pieces_come_out_as_they_would(floor, collection):
    known = KnownTexts(floor)
    texts = texts_of(collection.passages.values())[:8]
    for some in (texts[:3], texts[2:6], texts[::-1], [texts[0], texts[0]]):
        torch.testing.assert_close(known.tokenize(some, "document"), floor.tokenize(some, "document"))
        torch.testing.assert_close(known.tokenize(some, "query", 9), floor.tokenize(some, "query", 9))


def test_before_training_a_token_weighs_so_much_more_by_where_it_stands_first(collection):
    lead = [0.5, 0.25, -0.5, 0.1, 0.2, 0.3, 0.4]
    spans = [(0, 1), (1, 2), (2, 3), (3, 4), (4, 6), (6, 8), (8, 16)]  # first to eighth token apart, as the setting says
    model = {"form": "lexical-floor", "dimensions": 32, "max_tokens": 64, "neighbour_pull": 0, "lexical_floor": {"lead": lead, "b": 0}}
    encoder = build_encoder(TrainSettings.model_validate({"name": "floor", "vocabulary": {"size": 6000}, "model": model}), collection)
    for text in texts_of(collection.passages.values())[:20]:
        ids = encoder.tokenizer(text, truncation=True, max_length=64)["input_ids"][1:-1]
        expected = np.zeros(len(encoder.tokenizer))
        for piece in set(ids):
            times, place = ids.count(piece), ids.index(piece)
            share = next((share for share, (start, end) in zip(lead, spans, strict=True) if start <= place < end), 0.0)
            expected[piece] = times * 2.2 / (times + 1.2) * (1 + share)
        np.testing.assert_allclose(encoder.encode_document([text]).toarray()[0], expected, rtol=1e-5)


def test_what_a_place_weighs_is_trained_and_kept(floor, collection, tmp_path):
    texts = texts_of(collection.passages.values())[:3]
    floor.module.zero_grad()
    floor.embed(floor.tokenize(texts, "document"), "document").sum().backward()
    assert floor.module.body.lead.grad.any()
    assert floor.module.body.lead_bias.grad.any()
    floor.save(tmp_path / "model")
    loaded = SparseEncoder.load(tmp_path / "model")
    assert (loaded.encode_document(texts) != floor.encode_document(texts)).nnz == 0
    reversed_text = " ".join(reversed(texts[0].split()))
    assert not math.isclose(loaded.encode_document([texts[0]]).sum(), loaded.encode_document([reversed_text]).sum(), rel_tol=1e-4)
