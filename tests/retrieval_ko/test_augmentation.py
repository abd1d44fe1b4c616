import re
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from retrieval_ko.errors import UsageError
from retrieval_ko.pairs.augmentation import augmented_pairs, passage_variants, simple_variants
from retrieval_ko.pairs.crosslingual import crosslingual_variants
from retrieval_ko.records import Passage, SynonymPair, TrainingPair
from retrieval_ko.synonyms.dictionary import SynonymDictionary

TERMS = {
    "검색": "search", "모델": "model", "임대인": "landlord", "임차인": "tenant", "보증금": "deposit", "계약": "contract",
    "해지": "termination", "검색 엔진": "search engine", "연차 유급휴가": "annual leave", "민법": "Civil Act",
    "손해배상": "damages", "조": "article", "차임": "rent",
}  # fmt: skip
NUMBER = re.compile(r"(?:제\s?)?\d[\d.,]*(?:조의\s?\d+|[가-힣]?)")
"""The test's own idea of an article number, an amount or a date: digits with what stands before and after them."""


@pytest.fixture(scope="module")
def dictionary():
    return SynonymDictionary(SynonymPair(ko=ko, en=en) for ko, en in TERMS.items())


def all_variants(text, dictionary):
    return set(crosslingual_variants(text, dictionary, 1000, "seed"))


# cross-lingual


def test_all_non_empty_subsets_are_drawn_from(dictionary):
    assert all_variants("검색 모델", dictionary) == {"search 모델", "검색 model", "search model"}
    assert all_variants("landlord deposit", dictionary) == {"임대인 deposit", "landlord 보증금", "임대인 보증금"}


@pytest.mark.parametrize(
    ("text", "variants"),
    [
        ("모델을 고르기", {"model을 고르기"}),
        ("임대인이 허락", {"landlord가 허락"}),
        ("landlord가 허락", {"임대인이 허락"}),
        ("계약은 언제", {"contract는 언제"}),
        ("annual leave를 거절", {"연차 유급휴가를 거절"}),
        ("계약하려면", {"contract하려면"}),
        ("검색엔진을 고르기", {"search engine을 고르기"}),
        ("통합검색을 고르기", set()),
        ("신모델개발부", set()),
    ],
)
def test_whole_words_are_replaced_and_particles_fit(dictionary, text, variants):
    assert all_variants(text, dictionary) == variants


@pytest.mark.parametrize(
    "text", ["민법 제750조", "민법 제390조의2 제1항에 따라", "「임대인 보증금 법률」", "두 계약", "상가건물 임대차보호법 제3조"]
)
def test_law_names_and_numbers_are_not_translated(dictionary, text):
    assert all_variants(text, dictionary) == set()


def test_what_stands_after_a_citation_may_be_translated(dictionary):
    assert all_variants("민법 제750조 손해배상", dictionary) == {"민법 제750조 damages"}


def test_the_cap_gives_a_beginning_of_the_same_list(dictionary):
    text = "임대인 임차인 보증금 계약 해지 차임"
    six = crosslingual_variants(text, dictionary, 6, "seed")
    assert len(set(six)) == 6
    assert crosslingual_variants(text, dictionary, 2, "seed") == six[:2]
    assert crosslingual_variants(text, dictionary, 6, "other seed") != six


# simple


def simple(text):
    return set(simple_variants(text, 100, "seed"))


@pytest.mark.parametrize(
    ("text", "variant"),
    [
        ("집주인이 전세금을 안 돌려줘요", "집주인 전세금을 안 돌려줘요"),
        ("집주인이 전세금을 안 돌려줘요", "전세금을 집주인이 안 돌려줘요"),
        ("계약을 해지하려면 위약금을 내나요", "계약 해지 위약금 내나요"),
        ("전세금을 너무 늦게 주면 이자를 받나요", "전세금을 늦게 주면 이자를 받나요"),
    ],
)
def test_simple_variants_work_on_whole_morphemes(text, variant):
    assert variant in simple(text)


@pytest.mark.parametrize("text", ["보증금", "민법 제750조", "안 돌려줘요", "deposit refund"])
def test_what_has_nothing_to_spare_stays_as_it_is(text):
    assert simple(text) == set()


@pytest.mark.parametrize(
    "text",
    [
        "의사 앞에서만 혈압이 높아요",
        "설치되지 않은 프로그램을 지우나요",
        "보증금을 못 받으면 계약을 해지하나요",
        "돈을 더 내나요 덜 내나요",
    ],
)
def test_words_that_change_the_question_are_never_dropped(text):
    for kept in ("만", "않", "못", "더", "덜"):
        assert all(kept in variant for variant in simple(text)) or kept not in text


ARTICLES = st.builds(
    lambda article, sub, paragraph, item: f"제{article}조{sub}{paragraph}{item}",
    st.integers(1, 1200),
    st.sampled_from(["", "의2", "의 3", "의12"]),
    st.sampled_from(["", " 제1항", "제3항"]),
    st.sampled_from(["", " 제2호"]),
)
MARKED = st.one_of(
    st.builds(
        lambda law, article: f"{law} {article}", st.sampled_from(["민법", "상가건물 임대차보호법", "같은 법 시행령", "주택법"]), ARTICLES
    ),
    st.builds(lambda amount: f"{amount:,}원", st.integers(1, 10**9)),
    st.builds(lambda year, month, day: f"{year}년 {month}월 {day}일", st.integers(1950, 2024), st.integers(1, 12), st.integers(1, 28)),
    st.sampled_from(["3.5%", "2020. 3. 1.", "10만 원", "2개월", "제 5 조"]),
)
PLAIN = st.sampled_from(
    [
        "임대인이",
        "보증금을",
        "너무",
        "해지하려면",
        "계약의",
        "임차인은",
        "deposit",
        "손해배상",
        "안",
        "돌려주지",
        "않으면",
        "어떻게",
        "정말",
        "모델로",
    ]
)
PARTICLES = st.sampled_from(["", "에", "의", "을", "에 따라", "에서", "까지"])
TEXTS = st.lists(st.one_of(PLAIN, st.builds(str.__add__, MARKED, PARTICLES)), min_size=1, max_size=9).map(" ".join)


@settings(max_examples=60, deadline=None)
@given(TEXTS)
def test_augmentation_never_touches_article_numbers_amounts_and_dates(dictionary, text):
    numbers = Counter(NUMBER.findall(text))
    for variant in [*simple_variants(text, 20, "s"), *crosslingual_variants(text, dictionary, 20, "s")]:
        assert variant != text
        assert Counter(NUMBER.findall(variant)) == numbers


@settings(max_examples=60, deadline=None)
@given(st.text(max_size=40))
def test_any_text_can_be_augmented(dictionary, text):
    for variant in [*simple_variants(text, 5, "s"), *crosslingual_variants(text, dictionary, 5, "s")]:
        assert variant.strip()


# passages


def passage(title, *sentences):
    return Passage(id="p", title=title, text=" ".join(sentences))


def test_a_passage_loses_its_heading_or_a_few_sentences():
    whole = passage("차임 연체", "임대인은 해지할 수 있다.", "통지가 필요하다.", "기간이 있다.", "다툼이 잦다.", "조심하여야 한다.")
    variants = passage_variants(whole, 9, "seed")
    assert {variant.title for variant in variants} == {"", "차임 연체"}
    assert [variant.id for variant in variants] == [f"p~p{number}" for number in range(1, len(variants) + 1)]
    sentences = whole.text.split(". ")
    for variant in variants:
        kept = [sentence for sentence in sentences if sentence.rstrip(".") in variant.text]
        assert len(kept) >= 0.6 * len(sentences)
        assert variant.metadata["variant_of"] == "p"


@settings(max_examples=30)
@given(
    st.one_of(st.just("제목"), MARKED),
    st.lists(st.one_of(st.just("임대인은 해지할 수 있다."), MARKED.map("{}에 따른다.".format)), min_size=1, max_size=8),
)
def test_a_passage_keeps_every_number(title, sentences):
    whole = passage(title, *sentences)
    for variant in passage_variants(whole, 9, "seed"):
        assert Counter(NUMBER.findall(variant.passage_text)) == Counter(NUMBER.findall(whole.passage_text))


# pairs


def pairs():
    texts = ["임대인이 보증금을 안 돌려줘요", "계약을 해지하려면 위약금을 내나요", "검색 모델", "민법 제750조"]
    return [
        TrainingPair(query_id=f"q{number}", query_text=text, positive_passages=[f"p{number}"], hard_negatives=["n"], meta={"type": "law"})
        for number, text in enumerate(texts)
    ]


@pytest.mark.parametrize("split", ["dev", "test", "valid", "train-and-test", ""])
def test_dev_and_test_are_refused_before_anything_is_read(dictionary, split):
    def unread():
        raise AssertionError("read")
        yield

    with pytest.raises(UsageError, match="only"):
        augmented_pairs(unread(), split, dictionary=dictionary, crosslingual=1)


def test_a_variant_keeps_its_passages_and_says_what_it_is(dictionary):
    variants = list(augmented_pairs(pairs(), "train", dictionary=dictionary, crosslingual=2, simple=2))
    assert {variant.meta["augmented"] for variant in variants} == {"crosslingual", "simple"}
    assert len({variant.query_id for variant in variants}) == len(variants)
    originals = {pair.query_id: pair for pair in pairs()}
    for variant in variants:
        original = originals[variant.query_id.split("~x")[0]]
        assert variant.query_text != original.query_text
        assert variant.meta["type"] == "law"
        assert (variant.positive_passages, variant.hard_negatives) == (original.positive_passages, original.hard_negatives)


@pytest.mark.parametrize("multiplicity", [0, 1, 2])
def test_multiplicity_is_a_cap(dictionary, multiplicity):
    counts = Counter(variant.query_id.split("~x")[0] for variant in augmented_pairs(pairs(), "train", simple=multiplicity))
    assert all(count <= multiplicity for count in counts.values())
    assert bool(counts) == bool(multiplicity)
    assert counts["q3"] == 0


def test_a_querys_variants_do_not_depend_on_its_neighbours(dictionary):
    options = {"dictionary": dictionary, "crosslingual": 2, "simple": 2, "seed": 5}
    whole = list(augmented_pairs(pairs(), "train", **options))
    backwards = list(augmented_pairs(pairs()[::-1], "train", **options))
    alone = [variant for pair in pairs() for variant in augmented_pairs([pair], "train", **options)]
    assert whole == alone
    assert sorted(whole, key=lambda pair: pair.query_id) == sorted(backwards, key=lambda pair: pair.query_id)
