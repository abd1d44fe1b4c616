import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from retrieval_ko.pairs.near_duplicates import NEAR_DUPLICATE_CONTAINMENT, SHINGLE_SIZE, containment, near_duplicates, shingles

ISSUE = "임대차 종료 후 임차인이 목적물을 계속 점유한 경우 부당이득이 성립하는지 여부"


def test_a_text_contains_itself_and_its_part_and_nothing_foreign():
    part = ISSUE[:24]
    assert containment(shingles(ISSUE), shingles(ISSUE)) == 1
    assert containment(shingles(ISSUE), shingles(part)) == containment(shingles(part), shingles(ISSUE)) == 1
    assert containment(shingles(ISSUE), shingles("상표권 침해로 인한 손해액의 산정 방법")) == 0


def test_white_space_and_decomposed_hangul_make_no_difference():
    import unicodedata

    assert shingles(ISSUE) == shingles(ISSUE.replace(" ", "")) == shingles(unicodedata.normalize("NFD", ISSUE))


def test_short_and_empty_texts():
    assert shingles("여부") == {"여부"}
    assert containment(shingles("여부"), shingles("여부")) == 1
    assert containment(shingles(""), shingles("")) == 0
    assert not list(near_duplicates(["", " "], ["", ISSUE]))
    assert [(found.left, found.right) for found in near_duplicates(["여부"], ["여 부", ISSUE])] == [(0, 0)]
    assert not list(near_duplicates([], [ISSUE]))


words = st.lists(st.sampled_from("가나다라마바사 "), min_size=0, max_size=30).map("".join)


@settings(max_examples=200, deadline=None)
@given(st.lists(words, max_size=12), st.lists(words, max_size=12))
def test_the_search_finds_what_comparing_all_with_all_finds(lefts, rights):
    expected = {
        (i, j): share
        for i, left in enumerate(lefts)
        for j, right in enumerate(rights)
        if (share := containment(shingles(left), shingles(right))) > NEAR_DUPLICATE_CONTAINMENT
    }
    found = list(near_duplicates(lefts, rights))
    assert {(pair.left, pair.right): pair.containment for pair in found} == expected
    assert [(pair.left, pair.right) for pair in found] == sorted(expected)


def test_the_search_is_exact_among_texts_that_share_phrases():
    rng = np.random.default_rng(0)
    phrases = [
        f"{noun}의 {verb} 여부에 관한 판단 기준"
        for noun in ("계약", "소유권", "채권", "임차권")
        for verb in ("성립", "소멸", "양도", "해제")
    ]
    texts = [" ".join(rng.choice(phrases, size=3)) for _ in range(120)]
    expected = {
        (i, j) for i, left in enumerate(texts) for j, right in enumerate(texts) if containment(shingles(left), shingles(right)) > 0.5
    }
    assert {(pair.left, pair.right) for pair in near_duplicates(texts, texts)} == expected
    assert len(expected) > len(texts)


def test_a_text_shorter_than_a_shingle_is_one_shingle():
    assert len(shingles("가" * (SHINGLE_SIZE - 1))) == len(shingles("가" * SHINGLE_SIZE)) == 1
