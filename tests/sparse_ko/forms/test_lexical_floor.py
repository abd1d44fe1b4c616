"""Before training the lexical floor is BM25; whatever training does to it, weights stay weights and the folder holds them."""

import json

import numpy as np
import pytest
import torch

from retrieval_ko.collection import texts_of
from retrieval_ko.errors import ModelError
from sparse_ko.building import build_encoder
from sparse_ko.model import SparseEncoder
from sparse_ko.settings import TrainSettings

BODIES = ("static", "transformer")


def floor_settings(body):
    model = {"form": "lexical-floor", "body": body, "layers": 1, "dimensions": 32, "heads": 2, "max_tokens": 64, "neighbour_pull": 0}
    return TrainSettings.model_validate({"name": "floor", "vocabulary": {"size": 6000}, "model": model})


@pytest.fixture(scope="module")
def floors(collection):
    return {body: build_encoder(floor_settings(body), collection) for body in BODIES}


@pytest.fixture(params=BODIES)
def floor(request, floors):
    return floors[request.param]


@pytest.fixture
def moved(floor):
    """The floor after a random walk of all its parameters."""
    before = {name: value.clone() for name, value in floor.module.state_dict().items()}
    generator = torch.Generator().manual_seed(5)
    with torch.no_grad():
        for parameter in floor.module.parameters():
            parameter.add_(torch.randn(parameter.shape, generator=generator) * 0.3)
        floor.module.gamma.fill_(0.7)
    yield floor
    floor.module.load_state_dict(before)


def token_ids(encoder, text):
    found = encoder.tokenizer(text, truncation=True, max_length=encoder.max_tokens)["input_ids"]
    return [token for token in found if token not in encoder.tokenizer.all_special_ids]


def test_before_training_it_is_bm25(floor, collection):
    passages = texts_of(collection.passages.values())
    counts = [np.bincount(token_ids(floor, text), minlength=len(floor.tokenizer)) for text in passages]
    frequencies = np.array(counts, dtype=float)
    lengths = frequencies.sum(axis=1, keepdims=True)
    inside = (frequencies > 0).sum(axis=0)
    idf = np.log(1 + (len(passages) - inside + 0.5) / (inside + 0.5))
    weights = frequencies * 2.2 / (frequencies + 1.2 * (1 - 0.75 + 0.75 * lengths / lengths.mean()))
    np.testing.assert_allclose(floor.encode_document(passages).toarray(), weights, rtol=1e-5)
    for query in collection.queries.values():
        asked = np.zeros(len(floor.tokenizer))
        own = sorted(set(token_ids(floor, query.text)))
        asked[own] = idf[own]
        np.testing.assert_allclose(floor.encode_query([query.text]).toarray()[0], asked, rtol=1e-5)


def test_how_far_own_tokens_were_moved_is_read_off_their_weights(moved, collection):
    words = [text.split()[start:][:4] for text in texts_of(collection.passages.values()) for start in range(8)]
    asked = moved.module.query_table > 0  # what weighs nothing in a query is left out of passages, too
    texts = []  # with tokens that stand once: u has one value for each
    for text in map(" ".join, words):
        ids = token_ids(moved, text)
        texts += [text] if len(set(ids)) == len(ids) > 3 and asked[ids].all() else []
    assert len(texts) > 10
    features = moved.tokenize(texts, "document")
    size = len(moved.tokenizer)
    with torch.no_grad():
        for name, parameter in moved.module.named_parameters():
            if "adjust" in name:
                parameter.mul_(0.1)  # where tanh is flat, u can't be read off
        weights, expansion, told = moved.embed(features, "document", in_parts=True).split([size, size, 1], dim=1)
        lengths = torch.tensor([[float(len(token_ids(moved, text)))] for text in texts])
        bm25 = moved.module.floor(torch.ones(len(texts), 1), lengths)
    for row, text in enumerate(texts):
        own = token_ids(moved, text)
        u = ((weights - expansion)[row, own] / bm25[row] - 1).double().atanh()
        assert float(told[row]) == pytest.approx(float(u.square().mean()), rel=1e-2)
    assert float(told.min()) > 0


def test_the_first_step_moves_the_scale_and_the_own_weights_and_the_second_the_expansion(collection):
    floor = build_encoder(floor_settings("static"), collection)
    optimiser = torch.optim.SGD(floor.module.parameters(), lr=0.1)
    texts = texts_of(collection.passages.values())[:3]
    moved = []
    for _ in range(2):
        optimiser.zero_grad()
        (-floor.embed(floor.tokenize(texts, "document"), "document").sum()).backward()
        optimiser.step()
        body = floor.module.body
        moved.append((float(floor.module.gamma.detach()), bool(body.adjust.grad.any()), bool(body.expand.weight.grad.any())))
    assert moved[0][0] > 0
    assert moved[0][1:] == (True, False)
    assert moved[1][1:] == (True, True)


def test_weights_do_not_depend_on_the_batch_and_special_tokens_weigh_nothing(moved, texts):
    alone, together = moved.encode_document(texts, batch_size=1), moved.encode_document(texts, batch_size=len(texts))
    np.testing.assert_allclose(together.toarray(), alone.toarray(), atol=1e-4)
    assert together.data.min() > 0
    assert together[:, moved.tokenizer.all_special_ids].nnz == 0
    assert moved.encode_query(texts)[:, moved.tokenizer.all_special_ids].nnz == 0


def test_a_query_weighs_its_own_tokens_only(moved, collection):
    for query in collection.queries.values():
        assert set(moved.encode_query([query.text]).indices) <= set(token_ids(moved, query.text))


def test_what_is_saved_loads_with_equal_outputs(moved, texts, tmp_path):
    moved.save(tmp_path / "model")
    loaded = SparseEncoder.load(tmp_path / "model", device="cpu")
    assert loaded.form == "lexical-floor"
    assert (loaded.encode_document(texts) != moved.encode_document(texts)).nnz == 0
    assert (loaded.encode_query(texts) != moved.encode_query(texts)).nnz == 0
    assert not list((tmp_path / "model").rglob("*.bin"))


def test_weights_that_do_not_fit_are_refused(floors, tmp_path):
    floors["static"].save(tmp_path / "model")
    card = tmp_path / "model" / "sparse_ko.json"
    values = json.loads(card.read_text(encoding="utf-8"))
    card.write_text(json.dumps(values | {"dimensions": 16}), encoding="utf-8")
    with pytest.raises(ModelError, match="cannot be loaded"):
        SparseEncoder.load(tmp_path / "model")
    card.write_text(json.dumps(values | {"k3": 7}), encoding="utf-8")
    with pytest.raises(ModelError, match=r"sparse_ko\.json: k3"):
        SparseEncoder.load(tmp_path / "model")


def test_it_has_no_stock_model_inside(floor):
    with pytest.raises(ModelError, match="lexical-floor"):
        _ = floor.stock


@pytest.mark.parametrize("form", ["doc-only", "lexical-floor"])
def test_what_most_passages_have_weighs_nothing_in_a_query_and_never_will(form, collection):
    settings = TrainSettings.model_validate(
        {
            "name": "floor",
            "vocabulary": {"size": 6000},
            "model": {"form": form, "dimensions": 32, "neighbour_pull": 0, "query_max_df": 0.2},
        }
    )
    encoder = build_encoder(settings, collection)
    passages = texts_of(collection.passages.values())
    having = np.zeros(len(encoder.tokenizer))
    for text in passages:
        having[sorted(set(token_ids(encoder, text)))] += 1
    frequent = having > 0.2 * len(passages)
    assert frequent.sum() > 5

    optimiser = torch.optim.SGD(encoder.module.parameters(), lr=0.1)
    asked = encoder.embed(encoder.tokenize([passages[0], passages[1]], "query"), "query")
    found = encoder.embed(encoder.tokenize([passages[2], passages[3]], "document"), "document")
    (-(asked @ found.T).sum()).backward()
    optimiser.step()
    table = encoder.query_table.detach().numpy()
    assert not table[frequent].any()
    own = sorted(set(token_ids(encoder, passages[0])))
    np.testing.assert_array_equal(encoder.encode_query([passages[0]]).toarray()[0, own] > 0, ~frequent[own])
    if form == "lexical-floor":  # nobody asks for them, so they would only make the index larger
        assert not encoder.encode_document(passages).toarray()[:, frequent].any()
