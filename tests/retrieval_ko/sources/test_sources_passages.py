import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from retrieval_ko.sources.passages import clean_text, cut_into_passages, sentences

SENTENCE = "임차인은 보증금을 돌려받을 때까지 집을 비우지 않아도 된다."
WORDS = st.sampled_from(
    ["보증금", "임대차", "계약을", "맺는다.", "끝났다.", "A.", "3.", "「민법」", "제3조", "그는", '"네."', "\n", "\n\n", "가" * 90]
)


def letters(text):
    return re.sub(r"\s", "", text)


@given(st.lists(WORDS, max_size=120).map(" ".join), st.integers(20, 200))
def test_no_letter_is_lost_and_no_passage_is_too_long(text, limit):
    clean = clean_text(text)
    passages = cut_into_passages(clean, limit)
    assert letters("".join(passages)) == letters(clean)
    assert all(0 < len(passage) <= limit for passage in passages)
    assert passages == [clean_text(passage) for passage in passages]


@given(st.lists(st.integers(1, 12), min_size=1, max_size=20), st.integers(50, 400))
def test_a_sentence_is_cut_only_where_it_is_longer_than_a_passage(counts, limit):
    paragraphs = [" ".join(f"{SENTENCE[:-1]} {number}{place}조다." for place in range(count)) for number, count in enumerate(counts)]
    for passage in cut_into_passages("\n\n".join(paragraphs), limit):
        assert passage.startswith("임차인은")
        assert passage.endswith("조다.")


@pytest.mark.parametrize(
    ("paragraph", "count"),
    [
        ("첫째다. 둘째다! 셋째인가? 넷째다.", 4),
        ("빈칸이 없다.다음 문장이다.", 2),
        ("신청합니다.※ 다만 예외가 있다.", 2),
        ("그렇게 한다(제3조).2. 접수 절차를 밟는다.", 2),
        ("2018. 9. 1. 판결을 선고하였다.", 1),
        ("J. R. R. 톨킨은 작가이다.", 1),
        ('그는 "간다."라고 말했다.', 1),
        ("약 3.5 퍼센트이다.", 1),
    ],
)
def test_where_sentences_end(paragraph, count):
    assert len(sentences(paragraph)) == count


def test_short_lines_join_their_neighbours():
    text = "\n\n".join(["짧다."] * 3 + [SENTENCE * 3] + ["짧다."] * 3)
    assert len(cut_into_passages(text, 300)) == 1


def test_a_paragraph_that_fits_is_not_torn():
    paragraphs = [f"{number}. " + SENTENCE * 4 for number in range(6)]
    for passage in cut_into_passages("\n\n".join(paragraphs), 200):
        assert passage in paragraphs


@pytest.mark.parametrize("heading", ["신청 방법", "요건은 다음과 같다.", "제출할 서류:"])
def test_a_heading_stays_with_what_follows(heading):
    before, after = SENTENCE * 5, SENTENCE * 5
    passages = cut_into_passages(f"{before}\n\n{heading}\n\n{after}", len(before) + len(heading) + 5)
    assert passages == [before, f"{heading}\n{after}"]


def test_a_long_sentence_is_cut_between_words():
    sentence = " ".join(f"낱말{number}" for number in range(100))
    passages = cut_into_passages(sentence, 120)
    assert " ".join(passages) == sentence


def test_text_is_made_one_normal_form():
    assert clean_text("각\u00a0집\r\n\r\n\x07나\u200b라 ") == "각 집\n\n나 라"


def test_nothing_gives_nothing():
    assert cut_into_passages("") == []
