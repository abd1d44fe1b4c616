"""What a run begins with: from scratch, over a pre-trained body, from a base."""

import json

import numpy as np
import pytest
import torch
from safetensors.numpy import save_file
from transformers import AutoModel

from dense_ko import BiEncoder, TemplateMode
from dense_ko.scratch import inverse_document_frequency, scratch_tokenizer
from retrieval_ko.errors import ModelError, UsageError


@pytest.mark.parametrize("layers", [0, 1])
def test_before_training_it_matches_words(build, collection, layers):
    encoder = build(layers=layers, dimensions=128)
    passages = encoder.encode_passages([passage.passage_text for passage in collection.passages.values()])
    queries = encoder.encode_queries([query.text for query in collection.queries.values()])
    assert (queries @ passages.T).argmax(axis=1).tolist() == list(range(len(passages)))


def test_the_same_seed_gives_the_same_weights(build):
    one, other = build().module.state_dict(), build().module.state_dict()
    assert all(torch.equal(one[name], other[name]) for name in one)


def test_a_bag_does_not_mind_the_order_of_words_and_layers_do(build):
    orders = ["보증금 신청 허가", "허가 보증금 신청"]
    bag = build(layers=0).encode_passages(orders)
    np.testing.assert_allclose(bag[0], bag[1], atol=1e-6)


def test_a_bag_is_computed_once_a_piece_and_is_the_stock_model(build, texts, tmp_path):
    from sentence_transformers import SentenceTransformer

    encoder = build(layers=0)
    encoder.save(tmp_path / "model")
    stock = SentenceTransformer(str(tmp_path / "model"), device="cpu")
    stock.max_seq_length = encoder.get_max_seq_length("document")
    np.testing.assert_allclose(encoder.encode_passages(texts), stock.encode(texts), atol=1e-5)


def test_a_bag_is_trained_as_the_stock_model_is(build):
    encoder = build(layers=0)
    features = encoder.tokenize(["보증금을 신청한다", "보증금 허가"], "document")
    table = encoder.model[0].auto_model.embeddings.word_embeddings.weight
    encoder.embed(features, "document")[:, 0].sum().backward()
    found, table.grad = table.grad, None
    encoder.model(dict(features))["sentence_embedding"][:, 0].sum().backward()
    torch.testing.assert_close(found, table.grad, atol=1e-6, rtol=1e-4)


def test_a_bag_stays_one_when_it_is_trained(build):
    trained = {name for name, parameter in build(layers=0).module.named_parameters() if parameter.requires_grad}
    assert any("word_embeddings" in name for name in trained)
    assert not any("position" in name or "token_type" in name for name in trained)


def test_where_places_have_vectors_of_their_own_a_text_is_read_in_order(build, tmp_path):
    encoder = build(layers=0)
    with torch.no_grad():
        encoder.model[0].auto_model.embeddings.position_embeddings.weight[2, :16] = 0.5
    encoder.save(tmp_path / "model")
    one, other = BiEncoder.load(tmp_path / "model").encode_passages(["보증금 신청 허가", "허가 보증금 신청"])
    assert abs(one - other).max() > 1e-3


def test_pieces_that_keep_the_same_company_start_near_each_other(build, bases, tmp_path):
    pieces = list(scratch_tokenizer(bases / "vocabulary", 48).get_vocab())
    vectors = np.random.default_rng(0).standard_normal((len(pieces), 128)).astype(np.float32)
    vectors[pieces.index("허가")] = vectors[pieces.index("점용")]
    vectors[pieces.index("상속")] = 0  # kept no company
    card = {"vocabulary": json.dumps({"window": 5, "pieces": pieces})}
    save_file({"vectors": vectors}, tmp_path / "v.safetensors", metadata=card)
    encoder = build(layers=0, dimensions=128, embeddings=tmp_path / "v.safetensors")
    rows = encoder.model[0].auto_model.embeddings.word_embeddings.weight.detach()
    one, kin, other, alone = (rows[encoder.tokenizer.convert_tokens_to_ids(piece)] for piece in ("허가", "점용", "도로", "상속"))
    cosine = torch.nn.functional.cosine_similarity
    assert cosine(one, kin, dim=0) == pytest.approx(0.5, abs=0.2)  # half of each direction is its own
    assert abs(cosine(one, other, dim=0)) < 0.35
    assert alone.norm() > 0


def test_vectors_of_another_length_are_refused(build, bases, tmp_path):
    pieces = list(scratch_tokenizer(bases / "vocabulary", 48).get_vocab())
    save_file(
        {"vectors": np.ones((len(pieces), 8), dtype=np.float32)}, tmp_path / "v", metadata={"vocabulary": json.dumps({"pieces": pieces})}
    )
    with pytest.raises(ModelError, match=r"8 dimensions, the model 32(.|\n)*model\.dimensions=8"):
        build(layers=0, embeddings=tmp_path / "v")


def test_what_stands_at_the_edges_of_a_text_weighs_next_to_nothing(build):
    encoder = build(layers=0)
    lengths = encoder.model[0].auto_model.embeddings.word_embeddings.weight.norm(dim=1)
    edges = lengths[encoder.tokenizer.all_special_ids]
    assert (edges > 0).all()
    assert edges.max() < 0.05 * lengths[encoder.tokenizer.convert_tokens_to_ids("보증금")]


def test_a_continuation_is_kin_to_its_word_and_other_words_are_not(build):
    encoder = build(layers=0, dimensions=256)
    rows = encoder.model[0].auto_model.embeddings.word_embeddings.weight.detach()
    word, continued, other = (rows[encoder.tokenizer.convert_tokens_to_ids(piece)] for piece in ("보증금", "##보증금", "허가"))
    cosine = torch.nn.functional.cosine_similarity
    assert cosine(word, continued, dim=0) > 0.8
    assert abs(cosine(word, other, dim=0)) < 0.3


def test_idf_is_bm25s(bases):
    tokenizer = scratch_tokenizer(bases / "vocabulary", 48)
    pieces = tokenizer.convert_ids_to_tokens(list(range(len(tokenizer))))
    idf = inverse_document_frequency(tokenizer, pieces, ["보증금 신청", "보증금.", "도로"])
    by_piece = dict(zip(pieces, idf.tolist(), strict=True))
    assert by_piece["보증금"] == pytest.approx(np.log(1 + (3 - 2 + 0.5) / (2 + 0.5)))
    assert by_piece["허가"] == pytest.approx(np.log(1 + 3.5 / 0.5))
    assert by_piece["."] == 0


def test_a_pretrained_body_is_taken_without_its_head(build, bases):
    encoder = build(pretrained=str(bases / "pretrained"), template="e5")
    body = AutoModel.from_pretrained(str(bases / "pretrained"), add_pooling_layer=False).eval()
    features = encoder.tokenize(["보증금을 신청한다"], "document")
    with torch.no_grad():
        tokens = body(**features).last_hidden_state
        expected = torch.nn.functional.normalize(tokens.mean(dim=1), dim=1)
        found = encoder.embed(features, "document")
    torch.testing.assert_close(found, expected)
    assert encoder.record.base_model == str(bases / "pretrained")
    assert encoder.template is TemplateMode.E5


def test_the_first_token_may_be_the_pooling(build, bases):
    encoder = build(base=str(bases / "body"), pooling="cls")
    features = encoder.tokenize(["보증금을 신청한다"], "document")
    with torch.no_grad():
        first = encoder.model[0].auto_model(**features).last_hidden_state[:, 0]
        torch.testing.assert_close(encoder.embed(features, "document"), torch.nn.functional.normalize(first, dim=1))


def test_a_trained_model_is_trained_on_with_other_lengths(build, saved, tmp_path):
    encoder = build(base=str(saved / "mini"), max_query_tokens=16, max_passage_tokens=32)
    assert (encoder.template, encoder.get_max_seq_length("query"), encoder.get_max_seq_length()) == (TemplateMode.E5, 16, 32)
    assert encoder.record.base_model == str(saved / "mini")
    encoder.save(tmp_path / "model")
    assert BiEncoder.load(tmp_path / "model").get_max_seq_length() == 32


def test_every_weight_that_is_trained_gets_a_gradient(build):
    encoder = build()
    features = encoder.tokenize(["보증금을 신청한다", "도로 점용"], "query")
    encoder.embed(features, "query")[:, 0].sum().backward()
    lacking = [name for name, parameter in encoder.module.named_parameters() if parameter.requires_grad and parameter.grad is None]
    assert lacking == []
    assert set(features) == {"input_ids", "attention_mask"}  # and may be read a second time


def test_a_missing_vocabulary_says_which_command_makes_it(build, tmp_path):
    with pytest.raises(ModelError, match="sparse-ko vocab train"):
        build(vocabulary=tmp_path)


@pytest.mark.parametrize("key", ["base", "pretrained"])
def test_more_tokens_than_positions_are_refused(build, bases, key):
    with pytest.raises((UsageError, ModelError), match=r"64 tokens(.|\n)*max_passage_tokens=64"):
        build(**{key: str(bases / ("body" if key == "base" else "pretrained"))}, max_passage_tokens=100)


def test_a_sparse_folder_is_no_base(build, tmp_path, bases):
    (tmp_path / "modules.json").write_text('[{"idx": 0, "type": "sentence_transformers.sparse_encoder.models.SpladePooling"}]')
    with pytest.raises(ModelError, match="sparse encoder"):
        build(base=str(tmp_path))
