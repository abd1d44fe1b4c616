"""Terms as keys, the particles behind them, and where a text holds them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from retrieval_ko.records import SynonymPair
from retrieval_ko.synonyms.dictionary import SynonymDictionary
from retrieval_ko.synonyms.keys import english_key, squeezed
from retrieval_ko.synonyms.particles import particle_after
from retrieval_ko.text import morphemes


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Contracts", "contract"),
        ("the landlord", "landlord"),
        ("e-mail", "E mail"),
        ("bodies", "body"),
        ("driver’s licence", "driver's licence"),
    ],
)
def test_english_terms_that_are_one(one, other):
    assert english_key(one) == english_key(other)


def test_english_terms_that_are_two():
    assert english_key("class") != english_key("clas")
    assert english_key("C++") != english_key("C#")


@given(st.text(alphabet="가나다라마바사 -·AbC", min_size=1))
def test_squeezing_twice_is_squeezing_once(term):
    assert squeezed(squeezed(term)) == squeezed(term)


@pytest.mark.parametrize(
    ("word", "particle", "fitting"),
    [
        ("임대인", "가", "이"), ("임대차", "을", "를"), ("서울", "으로", "로"), ("부산", "로", "으로"), ("landlord", "이", "가"),
        ("model", "를", "을"), ("model", "으로", "로"), ("search", "을", "를"), ("deposit", "를", "을"), ("rent", "은", "는"),
        ("rental fee", "을", "를"), ("VPN", "를", "을"), ("DB", "을", "를"), ("URL", "으로", "로"), ("보증금", "에서", "에서"),
    ],
)  # fmt: skip
def test_a_particle_fits_the_sound_before_it(word, particle, fitting):
    assert particle_after(word, particle) == fitting


@pytest.fixture(scope="module")
def dictionary():
    pairs = {"검색": "search", "모델": "Model", "검색 엔진": "search engine", "연차 유급휴가": "annual leave", "대한민국": "South Korea"}
    return SynonymDictionary(SynonymPair(ko=ko, en=en, source="cldr-territories" if en[0] == "S" else "") for ko, en in pairs.items())


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("검색 모델", {"검색": "search", "모델": "model"}),
        ("모델을 검색하는 법", {"모델": "model", "검색": "search"}),
        ("검색엔진을", {"검색엔진": "search engine"}),
        ("검색 엔진", {"검색 엔진": "search engine"}),
        ("통합검색", {}),
        ("검색창", {}),
        ("Models를 비교", {"Models": "모델"}),
        ("annual leave가", {"annual leave": "연차 유급휴가"}),
        ("remodel", {}),
        ("model2", {}),
        ("대한민국에서", {"대한민국": "South Korea"}),
    ],
)
def test_terms_are_found_as_whole_words_longest_first(dictionary, text, found):
    matches = dictionary.matches(text, morphemes(text))
    assert {text[match.start : match.end]: match.replacements[0] for match in matches} == found


@pytest.mark.parametrize("term", ["검색엔진", "검색 엔진", "Search Engines", "search-engine"])
def test_lookup_goes_both_ways(dictionary, term):
    assert [pair.en for pair in dictionary.lookup(term)] == ["search engine"]


def test_lookup_of_an_unknown_term_is_empty(dictionary):
    assert dictionary.lookup("보증금") == []
