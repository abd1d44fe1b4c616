"""An explanation adds up to the score, and its marks stand where the words stand."""

import re
import unicodedata

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sparse_ko.explanation import explain, read
from sparse_ko.explanation_page import ExplainedPassage, explanation_page

QUERY = "deposit 반환"
PASSAGE = "보증금 반환\n임차인은 보증금의 반환을 <b>청구</b>할 수 있다."


@pytest.fixture(scope="module")
def encoder(untrained):
    return untrained["static"]


def test_contributions_sum_to_the_dot_product(encoder):
    why = explain(encoder, QUERY, PASSAGE)
    [asked], [offered] = encoder.encode_query([QUERY]).toarray(), encoder.encode_document([PASSAGE]).toarray()
    assert why.score == pytest.approx(asked @ offered, rel=1e-5)
    assert why.score > 0


def test_marks_are_the_words_of_the_matches(encoder):
    why = explain(encoder, QUERY, PASSAGE)
    marked = [PASSAGE[start:end] for start, end, match in why.passage_spans() if match]
    assert {"보증금", "반환"} <= set(marked)
    for start, end, match in why.passage_spans():
        if match:
            assert match.token.removeprefix("##") == PASSAGE[start:end].lower()


def test_expansions_are_the_tokens_that_a_text_lacks(encoder):
    why = explain(encoder, QUERY, PASSAGE)
    expanded = {match.token for match in why.expansions}
    assert "deposit" in expanded  # the passage does not say it
    assert "보증금" in expanded  # the query does not say it
    assert "반환" not in expanded


@pytest.mark.parametrize("form", ["NFC", "NFD"])
@pytest.mark.parametrize("text", ["보증금의 반환", "DEPOSIT과 Backup", "  앞 공백", "한ㆍ미 협정", "🍲 떡볶이!", ""])
def test_places_are_those_of_the_text_as_it_was_given(encoder, text, form):
    text = unicodedata.normalize(form, text)
    found = read(encoder, text)
    for token, start, end in found.tokens:
        if token != encoder.tokenizer.unk_token:
            assert unicodedata.normalize("NFC", text[start:end]).lower() == token.removeprefix("##")
    assert "".join(text[start:end] for start, end, _ in found.spans({})) == text


@settings(max_examples=60, deadline=None)
@given(st.text(max_size=60))
def test_stretches_joined_are_the_text(untrained, text):
    found = read(untrained["static"], text)
    spans = found.spans({})
    assert "".join(text[start:end] for start, end, _ in spans) == text
    assert all(start < end for start, end, _ in spans)


def test_what_is_over_the_limit_is_said(encoder):
    long = "보증금 " * (2 * encoder.max_tokens)
    found = read(encoder, long)
    assert found.is_cut
    assert len(found.tokens) <= encoder.max_tokens
    assert found.read_characters < len(long)
    assert not read(encoder, "보증금 반환  ").is_cut
    page = explanation_page([ExplainedPassage("긴 글", explain(encoder, "보증금", long))])
    assert "was not read" in page


def test_the_page_needs_no_network_and_shows_texts_as_texts(encoder):
    page = explanation_page([ExplainedPassage("제목 & 글", explain(encoder, QUERY, PASSAGE))])
    assert "<b>청구</b>" not in page
    assert "제목 &amp; 글" in page
    assert not re.search(r"https?://|<script|<link|@import|url\(", page)
    assert "prefers-color-scheme: dark" in page


def test_the_pages_text_and_shades_are_the_explanations(encoder):
    why = explain(encoder, QUERY, PASSAGE)
    page = explanation_page([ExplainedPassage("제목", why)])
    shades = {
        token: int(shade) for shade, token in re.findall(r'<mark [^>]*--shade:(\d+)%" data-why="([^:]+):', page.split("<article>")[1])
    }
    strongest = max((match for match in why.matches if why.passage.contains(match.token)), key=lambda match: match.contribution)
    assert shades[strongest.token] == max(shades.values())
    assert f"{strongest.query_weight:.3f} × {strongest.passage_weight:.3f} = {strongest.contribution:.3f}" in page


def test_several_passages_share_one_scale(encoder):
    whys = [explain(encoder, QUERY, text) for text in (PASSAGE, "도서관의 책")]
    page = explanation_page([ExplainedPassage(str(number), why) for number, why in enumerate(whys)])
    assert page.count("<article>") == 2
    assert f"Score {whys[0].score:.3f} from {len(whys[0].matches)} shared tokens" in page
    assert f"Score {whys[1].score:.3f} from {len(whys[1].matches)} shared tokens" in page
