"""One normal form for Hangul, content terms without particles, and chunks that never lose a character."""

import unicodedata

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from retrieval_ko.text import content_terms, content_terms_of_many, normalize, surface_chunks

HANGUL = st.characters(min_codepoint=0xAC00, max_codepoint=0xD7A3)
JAMO = st.characters(min_codepoint=0x1100, max_codepoint=0x11FF)
LATIN = st.sampled_from("abcXYZéÑ0189.,!?()-/ \t\n\u00a0\u200b\u200d第10條")
EMOJI = st.sampled_from("🍲👍🏽👨‍👩‍👧①㈜½")
TEXTS = st.text(HANGUL | JAMO | LATIN | EMOJI, max_size=40)


@settings(deadline=None)
@given(TEXTS)
def test_normalizing_twice_changes_nothing_more(text):
    assert normalize(normalize(text)) == normalize(text)


@settings(deadline=None)
@given(TEXTS)
def test_separate_jamo_and_syllables_are_the_same_text(text):
    assert normalize(unicodedata.normalize("NFD", text)) == normalize(unicodedata.normalize("NFC", text))


def test_controls_and_runs_of_white_space_become_one_space():
    assert normalize("\ufeff줄이\r\n바뀌고\t\u00a0탭\x07이\u200b 있다 ") == "줄이 바뀌고 탭 이 있다"


def test_an_emoji_family_stays_joined():
    assert normalize("👨\u200d👩\u200d👧") == "👨\u200d👩\u200d👧"


@pytest.mark.parametrize(
    ("text", "terms"),
    [
        ("도서관에서 책을 빌렸다", ["도서관", "책", "빌리"]),
        ("서버를 백업했다.", ["서버", "백업"]),
        ("OpenSearch에서는 10개의 문서를", ["opensearch", "10", "개", "문서"]),
        ("", []),
    ],
)
def test_content_terms_are_stems_without_particles_and_endings(text, terms):
    assert content_terms(text) == terms


@settings(max_examples=60, deadline=None)
@given(st.lists(TEXTS, min_size=1, max_size=4))
def test_content_terms_hold_no_white_space_and_do_not_depend_on_the_other_texts(texts):
    alone = [content_terms(text) for text in texts]
    assert list(content_terms_of_many(texts)) == alone
    assert all(len(term.split()) == 1 and term.split()[0] == term for terms in alone for term in terms)


@settings(max_examples=200, deadline=None)
@given(TEXTS)
def test_the_chunks_of_a_word_joined_are_the_word(text):
    assert ["".join(chunks) for chunks in surface_chunks(text)] == text.split()


@settings(max_examples=100, deadline=None)
@given(TEXTS)
def test_no_chunk_is_empty(text):
    assert all(chunk for chunks in surface_chunks(text) for chunk in chunks)


def test_a_stem_and_its_particle_are_two_chunks():
    assert surface_chunks("보증금을 도서관에서") == [["보증금", "을"], ["도서관", "에서"]]


def test_a_contraction_is_not_cut_inside_its_character():
    # 못하 + 었 + 다: the stem's last character and the tense are one syllable
    assert [chunks[0] for chunks in surface_chunks("했다 됐다 갔다")] == ["했", "됐", "갔"]
