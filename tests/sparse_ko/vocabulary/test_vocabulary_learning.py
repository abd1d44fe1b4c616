"""Plain WordPiece that knows Korean: no syllable is unknown, no two tokens are spelt alike, particles stand apart."""

import random
import unicodedata

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from retrieval_ko.errors import DataError
from sparse_ko.vocabulary import SPECIAL_TOKENS, build_tokenizer, common_syllables, learn_vocabulary

CORPUS = [
    "보증금을 돌려받는다. 보증금은 크다. 보증금이 적다.",
    "도서관에서 책을 읽는다. 도서관에는 책이 많다. 학교에서 도서관까지 걷는다.",
    "집에서 학교까지 간다. 병원에서 집까지 온다.",
    "Café OpenSearch에서 café 검색. OPENSEARCH 검색은 빠르다.",
]


@pytest.fixture(scope="module")
def pieces():
    return learn_vocabulary(CORPUS, 6000)


@pytest.fixture(scope="module")
def tokenizer(pieces):
    return build_tokenizer(pieces, 32)


def test_korean_has_2350_common_syllables():
    assert len(common_syllables()) == 2350  # KS X 1001
    assert {"가", "힝", "뷁"} & set(common_syllables()) == {"가", "힝"}


def test_every_common_syllable_is_known_at_the_start_and_inside_of_a_word(tokenizer):
    for syllable in common_syllables():
        assert tokenizer.unk_token not in tokenizer.tokenize(f"{syllable} {syllable}{syllable}")


def test_every_token_is_spelt_like_no_other(tokenizer):
    special = set(tokenizer.all_special_ids)
    spelt = [tokenizer.decode([token]) for token in range(len(tokenizer)) if token not in special]
    assert len(set(spelt)) == len(spelt)
    assert spelt == tokenizer.convert_ids_to_tokens([token for token in range(len(tokenizer)) if token not in special])


def test_stems_are_whole_words_and_particles_are_pieces_after_them(tokenizer):
    assert tokenizer.tokenize("보증금을 도서관에서 학교까지") == ["보증금", "##을", "도서관", "##에서", "학교", "##까지"]


def test_a_stem_with_its_particle_is_no_piece(pieces):
    assert not {"보증금을", "보증금은", "도서관에서", "학교까지"} & set(pieces)
    assert {"보증금", "도서관", "학교", "##에서", "##까지"} <= set(pieces)


def test_case_is_folded_and_accents_are_kept(tokenizer):
    assert tokenizer.tokenize("OpenSearch") == tokenizer.tokenize("OPENSEARCH") == ["opensearch"]
    assert tokenizer.tokenize("CAFÉ") == ["café"]
    assert "".join(tokenizer.tokenize("cafe")).replace("##", "") == "cafe"


@settings(max_examples=200, deadline=None)
@given(st.text(st.characters(min_codepoint=0xAC00, max_codepoint=0xD7A3) | st.sampled_from("aÉöñ 1.!各"), max_size=20))
def test_separate_jamo_give_the_same_tokens_as_syllables(tokenizer, text):
    decomposed, composed = (unicodedata.normalize(form, text) for form in ("NFD", "NFC"))
    assert tokenizer(decomposed)["input_ids"] == tokenizer(composed)["input_ids"]


def test_a_text_is_cut_at_the_models_length_with_both_ends(tokenizer):
    tokens = tokenizer.convert_ids_to_tokens(tokenizer("보증금을 " * 100, truncation=True)["input_ids"])
    assert len(tokens) == 32
    assert (tokens[0], tokens[-1]) == ("[CLS]", "[SEP]")


def test_the_special_tokens_come_first_and_no_piece_twice(pieces):
    assert tuple(pieces[:5]) == SPECIAL_TOKENS
    assert len(set(pieces)) == len(pieces)


def test_the_size_is_an_upper_limit_and_the_rarest_words_give_way(pieces):
    smaller = learn_vocabulary(CORPUS, len(pieces) - 3)
    assert smaller == pieces[:-3]
    assert len(pieces) <= 6000


def test_the_vocabulary_does_not_depend_on_the_order_of_the_texts(pieces):
    shuffled = random.Random(1).sample(CORPUS, len(CORPUS))
    assert learn_vocabulary(shuffled, 6000) == pieces


def test_a_vocabulary_without_room_for_words_is_refused():
    with pytest.raises(DataError, match="A vocabulary of 4,000 has no room for words") as caught:
        learn_vocabulary(CORPUS, 4000)
    assert "vocabulary.size" in caught.value.remedy


@pytest.mark.parametrize("texts", [[], ["", " \n"]])
def test_no_text_gives_no_vocabulary(texts):
    with pytest.raises(DataError, match="no text"):
        learn_vocabulary(texts, 6000)
