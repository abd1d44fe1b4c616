"""Before its first training step an encoder is a lexical matcher that knows its synonyms."""

import math

import pytest
import torch

from sparse_ko.building import build_encoder
from sparse_ko.kinship import morpheme_kinship, synonym_kinship
from sparse_ko.retrieval import SparseIndex
from sparse_ko.scratch import SILENT_BIAS, inverse_document_frequency


def stems_of(tokens):
    return {token.removeprefix("##") for token in tokens}


@pytest.mark.parametrize("form", ["static", "transformer"])
def test_without_any_kinship_the_heaviest_tokens_of_a_text_are_its_own(collection, lexical_settings, form):
    settings = lexical_settings(form)
    settings = settings.model_copy(update={"model": settings.model.model_copy(update={"synonym_pull": 0.0, "neighbour_pull": 0.0})})
    encoder = build_encoder(settings, collection)
    for passage in collection.passages.values():
        own = stems_of(encoder.tokenizer.tokenize(passage.passage_text))
        [heaviest] = encoder.to_tokens(encoder.encode_document([passage.passage_text]), top=len(own))
        assert stems_of(heaviest) <= own, passage.id


def test_the_heaviest_tokens_of_a_text_are_its_own_and_their_kin(encoder, collection):
    pieces = encoder.tokenizer.convert_ids_to_tokens(list(range(len(encoder.tokenizer))))
    stems = list(dict.fromkeys(piece.removeprefix("##") for piece in pieces))
    of_synonyms = synonym_kinship(stems, collection.synonyms, lambda term: list(stems_of(encoder.tokenizer.tokenize(term))))
    ties = (of_synonyms + morpheme_kinship(stems)).tocsr()
    kin = {stem: {stems[other] for other in ties.getrow(place).indices} for place, stem in enumerate(stems)}
    for passage in collection.passages.values():
        own = stems_of(encoder.tokenizer.tokenize(passage.passage_text))
        near = own.union(*(kin[stem] for stem in own))
        # two words drawn to the same third one come near each other: 박물관 - 도서관 - library
        near = near.union(*(kin[stem] for stem in near))
        [heaviest] = encoder.to_tokens(encoder.encode_document([passage.passage_text]), top=len(own))
        assert stems_of(heaviest) <= near, passage.id
        assert len(stems_of(heaviest) & own) > len(heaviest) / 2, passage.id


def test_every_word_of_a_text_activates_itself(encoder, collection):
    for passage in collection.passages.values():
        words = [token for token in encoder.tokenizer.tokenize(passage.passage_text) if token.isalnum()]
        [weights] = encoder.to_tokens(encoder.encode_document([passage.passage_text]))
        assert weights.keys() >= set(words), passage.id


def test_a_query_finds_the_passage_that_holds_its_words(encoder, collection):
    index = SparseIndex(encoder, collection.passages.values())
    for question, passage in (("도서관 대출", "p04"), ("김치찌개 돼지고기", "p05"), ("종합소득세 신고", "p12")):
        assert index.rank(question)[0][0] == passage


def test_the_two_sides_of_a_synonym_pair_activate_each_other(encoder, collection):
    for pair in collection.synonyms:
        korean, english = encoder.to_tokens(encoder.encode_query([pair.ko, pair.en]))
        assert english.get(pair.ko, 0) > 0, pair
        assert korean.get(pair.en, 0) > 0, pair


def test_without_synonyms_an_english_term_does_not_find_the_korean_word(collection, lexical_settings):
    settings = lexical_settings("static")
    settings = settings.model_copy(update={"synonyms": settings.synonyms.model_copy(update={"as_pairs": False})})
    encoder = build_encoder(settings, collection)
    answers = encoder.to_tokens(encoder.encode_query([pair.en for pair in collection.synonyms]))
    assert [pair.ko for pair, weights in zip(collection.synonyms, answers, strict=True) if pair.ko in weights] == []


def test_two_builds_with_one_seed_are_equal_and_another_seed_is_not(untrained, collection, lexical_settings):
    weights = untrained["transformer"].masked_language_model.state_dict()
    again = build_encoder(lexical_settings("transformer"), collection).masked_language_model.state_dict()
    assert weights.keys() == again.keys()
    assert all(torch.equal(tensor, again[name]) for name, tensor in weights.items())
    settings = lexical_settings("transformer")
    other = settings.model_copy(update={"training": settings.training.model_copy(update={"seed": settings.training.seed + 1})})
    embeddings = "bert.embeddings.word_embeddings.weight"
    assert not torch.equal(build_encoder(other, collection).masked_language_model.state_dict()[embeddings], weights[embeddings])


def test_special_tokens_have_a_bias_that_no_logit_overcomes(encoder):
    bias = encoder.masked_language_model.cls.predictions.bias
    assert bias[encoder.tokenizer.all_special_ids].tolist() == [SILENT_BIAS] * 5


def test_the_static_form_has_no_attention_layer(untrained):
    layers = {form: len(encoder.masked_language_model.bert.encoder.layer) for form, encoder in untrained.items()}
    assert layers == {"static": 0, "transformer": 1}


def test_idf_is_lucenes_and_counts_a_word_and_its_piece_as_one(untrained):
    tokenizer = untrained["static"].tokenizer
    idf = inverse_document_frequency(tokenizer, ["도서관", "도서관의 주차", "주차.", "공영주차장"])
    of = dict(zip(tokenizer.convert_ids_to_tokens(list(range(len(tokenizer)))), idf.tolist(), strict=True))
    assert of["도서관"] == pytest.approx(math.log(1 + (4 - 2 + 0.5) / (2 + 0.5)))
    assert of["백업"] == pytest.approx(math.log(1 + (4 - 0 + 0.5) / (0 + 0.5)))  # in no text
    assert of["주"] == of["##주"] == pytest.approx(math.log(1 + (4 - 3 + 0.5) / (3 + 0.5)))  # inside 주차, 주차 and ##주차장
    assert of["."] == of["%"] == 0
