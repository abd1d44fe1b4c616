"""Models in half precision and in shards: the same answers but for rounding, here and in sentence-transformers alone; float32 in memory."""

import copy
import json

import numpy as np
import pytest
import torch
from sentence_transformers import SparseEncoder as StockEncoder

from retrieval_ko.errors import ModelError
from sparse_ko.forms.lexical_floor import FloorCard, new_floor
from sparse_ko.forms.stock import stock_network
from sparse_ko.model import SparseEncoder
from training_ko.weights import weight_files

DIMENSIONS = 256
"""Of the encoders in conftest.py."""


@pytest.fixture(scope="module")
def models(untrained):
    """Encoders of all forms with the same transformer: siamese, doc-only, lexical floor."""
    siamese = untrained["transformer"]
    body, pieces = siamese.masked_language_model, siamese.tokenizer
    idf = 0.5 + torch.rand(len(pieces), generator=torch.Generator().manual_seed(4))
    card = FloorCard(body="transformer", dimensions=DIMENSIONS, k1=1.2, b=0.75, mean_tokens=30, max_tokens=64)
    floor = SparseEncoder(new_floor(card, pieces, idf, model=copy.deepcopy(body)))
    floor.module.gamma.data.fill_(0.5)
    table = floor.query_table.detach().clone()
    doc_only = SparseEncoder(stock_network(body, pieces, 64, query_table=table))
    return {"siamese": siamese, "doc-only": doc_only, "lexical-floor": floor}


def smallest_file(encoder, bytes_a_number):
    """What a file must be able to hold: the embedding, and room for names."""
    return bytes_a_number * DIMENSIONS * len(encoder.tokenizer) + 101_000


@pytest.mark.parametrize("form", ["siamese", "doc-only", "lexical-floor"])
def test_half_precision_in_shards_answers_alike(models, texts, tmp_path, form):
    encoder = models[form]
    encoder.save(tmp_path / "whole")
    largest = smallest_file(encoder, 2)
    encoder.save(tmp_path / "half", precision="fp16", max_shard_size=largest)
    assert max(path.stat().st_size for path in (tmp_path / "half").rglob("*.safetensors")) <= largest
    size = {name: sum(path.stat().st_size for path in (tmp_path / name).rglob("*.safetensors")) for name in ("whole", "half")}
    assert size["half"] < 0.56 * size["whole"]
    loaded = SparseEncoder.load(tmp_path / "half", device="cpu")
    assert {parameter.dtype.itemsize for parameter in loaded.module.parameters()} == {4}
    np.testing.assert_allclose(loaded.encode_document(texts).toarray(), encoder.encode_document(texts).toarray(), atol=5e-3)
    if form != "siamese":
        assert (loaded.encode_query(texts) != encoder.encode_query(texts)).nnz == 0
    if form == "lexical-floor":
        assert json.loads((tmp_path / "half" / "sparse_ko.json").read_text(encoding="utf-8"))["precision"] == "fp16"
        return
    alone = StockEncoder(str(tmp_path / "half"), device="cpu", local_files_only=True)
    kept = [text for text in texts if text]
    np.testing.assert_allclose(
        alone.encode_document(kept).to_dense().numpy(), loaded.encode_document(kept).toarray()[:, : len(loaded.tokenizer)], atol=1e-4
    )


def test_shards_of_full_precision_are_exact(models, texts, tmp_path):
    models["lexical-floor"].save(tmp_path / "shards", max_shard_size=smallest_file(models["lexical-floor"], 4))
    assert len(weight_files(tmp_path / "shards" / "body")) > 1
    loaded = SparseEncoder.load(tmp_path / "shards", device="cpu")
    assert (loaded.encode_document(texts) != models["lexical-floor"].encode_document(texts)).nnz == 0


def test_a_missing_shard_is_an_error_that_names_it(models, tmp_path):
    models["siamese"].save(tmp_path / "shards", max_shard_size=smallest_file(models["siamese"], 4))
    lost = min((tmp_path / "shards").glob("model-*.safetensors"))
    lost.unlink()
    with pytest.raises(ModelError, match=lost.name):
        SparseEncoder.load(tmp_path / "shards")


def test_no_model_at_all_says_how_to_make_one(monkeypatch, tmp_path):
    monkeypatch.setattr("sparse_ko.packaged.PACKAGED", tmp_path / "none")
    with pytest.raises(ModelError, match="sparse-ko train"):
        SparseEncoder()
