"""Terms are the same whatever the number of processes, and no process outlives the command that started it."""

import json
import os
import signal
import subprocess
import sys
import time
from itertools import pairwise

import psutil
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from retrieval_ko import terms
from retrieval_ko.errors import RetrievalError
from retrieval_ko.terms import Tokenization, pieces, terms_of, terms_of_many
from retrieval_ko.text import content_terms, morphemes, normalize

HANGUL = st.text(st.characters(min_codepoint=0xAC00, max_codepoint=0xD7A3), min_size=1, max_size=12)
TEXTS = [f"임차인은 {number}일 안에 보증금을 돌려받는다. 도서관에서 책을 {number}권 빌렸다." for number in range(400)]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("보증금을 돌려받다", ["보증", "증금", "금을", "돌려", "려받", "받다"]),
        ("민법 제750조의2", ["민법", "제", "750", "조의", "2"]),
        ("BERT는 3.5% 낫다", ["bert", "는", "3", "5", "낫다"]),
        ("사업ㆍ자본·(漢字)café", ["사업", "자본", "漢字", "café"]),
        ("한\u1112\u1161\u11ab글", ["한한", "한글"]),
        ("!? \n", []),
        ("", []),
    ],
)
def test_bigrams_of_hangul_and_hanja_and_whole_words_of_the_rest(text, found):
    assert terms_of(text, Tokenization.BIGRAM) == found


@given(HANGUL)
def test_every_neighbouring_pair_of_a_word_is_a_bigram(word):
    found = terms_of(word, Tokenization.BIGRAM)
    assert found == ([word] if len(word) == 1 else [left + right for left, right in pairwise(word)])


def test_words_between_white_space():
    assert terms_of("The  보증금을\n돌려받다.", Tokenization.WHITESPACE) == ["the", "보증금을", "돌려받다."]


def test_all_morphemes_are_the_content_terms_and_what_they_leave_out():
    text = "도서관에서 BOOK을 빌렸다."
    assert terms_of(text, Tokenization.KIWI_ALL) == [morpheme.form.lower() for morpheme in morphemes(text)]
    assert "에서" in terms_of(text, Tokenization.KIWI_ALL)
    assert "." in terms_of(text, Tokenization.KIWI_ALL)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.text(max_size=40), max_size=5), st.sampled_from(Tokenization))
def test_terms_hold_no_white_space_and_do_not_depend_on_the_other_texts(texts, tokenization):
    found = list(terms_of_many(texts, tokenization))
    assert found == [terms_of(text, tokenization) for text in texts]
    assert not any(set(term) & set(" \t\n") or not term for of_text in found for term in of_text)


@settings(max_examples=40, deadline=None)
@given(st.text(max_size=60))
def test_kiwi_content_is_content_terms(text):
    assert terms_of(text, Tokenization.KIWI_CONTENT) == content_terms(text)


@given(st.lists(st.sampled_from(["가나다", "라마.", "바" * 15]), max_size=30).map(" ".join), st.integers(10, 30))
def test_pieces_joined_are_the_text_and_none_is_too_long(text, limit):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(terms, "PIECE_CHARACTERS", limit)
        cut = list(pieces(text))
    assert "".join(cut) == text
    assert max(map(len, cut)) <= limit


def test_a_long_text_is_cut_after_sentences_so_that_its_terms_stay():
    sentence = "임차인은 보증금을 돌려받는다. "
    text = normalize(sentence * 1500)
    assert all(piece.rstrip().endswith("다.") for piece in pieces(text))
    assert terms_of(text, Tokenization.KIWI_CONTENT) == content_terms(sentence) * 1500


def at_work(child):
    """Whether it is a process of a pool; multiprocessing's resource tracker may stay."""
    return child.status() != psutil.STATUS_ZOMBIE and any("spawn_main" in word for word in child.cmdline())


def test_progress_counts_texts():
    told = []
    list(terms_of_many(["가", "나", "다"], Tokenization.BIGRAM, on_progress=told.append))
    assert told == [1, 2, 3]


def test_processes_find_what_one_process_finds_in_its_order(monkeypatch):
    monkeypatch.setattr(terms, "SPAWN_CHARACTERS", 1)
    monkeypatch.setattr(terms, "BATCH_CHARACTERS", 300)
    before = {child.pid for child in psutil.Process().children(recursive=True)}
    alone = list(terms_of_many(TEXTS, Tokenization.KIWI_CONTENT))
    assert list(terms_of_many(iter(TEXTS), Tokenization.KIWI_CONTENT, workers=2)) == alone
    assert not [child for child in psutil.Process().children(recursive=True) if child.pid not in before and at_work(child)]


def test_a_process_that_was_killed_is_said_to_be_so(monkeypatch):
    monkeypatch.setattr(terms, "SPAWN_CHARACTERS", 1)
    monkeypatch.setattr(terms, "BATCH_CHARACTERS", 300)
    found = terms_of_many(TEXTS, Tokenization.KIWI_CONTENT, workers=2)
    next(found)
    for child in psutil.Process().children():
        if "spawn_main" in " ".join(child.cmdline()):
            child.kill()
    with pytest.raises(RetrievalError, match=r"(?s)was killed.*--workers"):
        list(found)


ENDLESS = """
import json, sys
from itertools import count
import psutil
from retrieval_ko import terms
terms.SPAWN_CHARACTERS = 1
if __name__ == "__main__":
    texts = (f"임차인은 {number}일 안에 보증금을 돌려받는다." for number in count())
    for number, _ in enumerate(terms.terms_of_many(texts, terms.Tokenization.KIWI_ALL, workers=2)):
        if not number:
            print(json.dumps([child.pid for child in psutil.Process().children(recursive=True)]), flush=True)
"""


@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGKILL])
def test_no_process_stays_when_the_command_is_stopped(tmp_path, sent):
    script = tmp_path / "endless.py"
    script.write_text(ENDLESS, encoding="utf-8")
    with subprocess.Popen([sys.executable, script], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as running:
        children = [psutil.Process(pid) for pid in json.loads(running.stdout.readline())]
        assert len(children) >= 2
        os.kill(running.pid, sent)
        assert running.wait(timeout=30) != 0
    deadline = time.monotonic() + 30
    while alive := [child for child in children if child.is_running() and child.status() != psutil.STATUS_ZOMBIE]:
        assert time.monotonic() < deadline, alive
        psutil.wait_procs(alive, timeout=0.1)
