"""What is in the journal stays, whatever happened to the process that wrote it."""

import errno
import json
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from retrieval_ko.errors import DataError, RetrievalError, UsageError
from retrieval_ko.records import Passage
from retrieval_ko.synthesis.journal import Journal

SETTINGS = {"model": "exaone", "seed": 0}
ANSWERS = {"p1": "보증금 반환\n전세금", "p2": "", "p3": "줄바꿈\u2028과 \x85 기호 🍲"}


def passage(key, text="글"):
    return Passage(id=key, text=text)


@pytest.fixture
def path(tmp_path):
    with Journal(tmp_path / "pairs" / "a.journal", SETTINGS) as journal:
        for key, answer in ANSWERS.items():
            journal.keep(passage(key), answer)
    return tmp_path / "pairs" / "a.journal"


def test_answers_come_back(path):
    with Journal(path, SETTINGS) as journal:
        assert {key: journal.answer(passage(key)) for key in ANSWERS} == ANSWERS
        assert journal.answer(passage("p4")) is None


def test_an_answer_belongs_to_the_text_that_was_asked_about(path):
    with Journal(path, SETTINGS) as journal:
        assert journal.answer(passage("p1", "다른 글")) is None


def test_wherever_the_last_write_was_torn_the_lines_before_it_stay(path, tmp_path):
    content = path.read_bytes()
    lines = content.splitlines(keepends=True)
    for length in range(len(content) + 1):
        torn = tmp_path / "torn.journal"
        torn.write_bytes(content[:length])
        whole = content[:length].count(b"\n") - 1  # the first line holds the settings
        with Journal(torn, SETTINGS) as journal:
            assert [key for key in ANSWERS if journal.answer(passage(key)) is not None] == list(ANSWERS)[: max(whole, 0)]
            journal.keep(passage("new"), "이어서")
        assert torn.read_bytes().splitlines(keepends=True)[:-1] == lines[: max(whole, 0) + 1]


def test_zeros_that_a_power_cut_left_are_cut_off(path):
    whole = path.read_bytes()
    path.write_bytes(whole + b"\0" * 4096)
    with Journal(path, SETTINGS) as journal:
        assert journal.answer(passage("p3")) is not None
    assert path.read_bytes() == whole


@pytest.mark.parametrize("line", [b"{oops\n", b"[1]\n", b'{"_id": "p9"}\n', b"\xff\n"])
def test_damage_before_the_last_line_is_an_error_with_its_line(path, line):
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join([*lines[:2], line, *lines[2:]]))
    with pytest.raises(DataError, match="line 3"), Journal(path, SETTINGS):
        pass


def test_a_journal_of_other_settings_is_not_continued(path):
    before = path.read_bytes()
    with pytest.raises(UsageError, match="seed was 0, now 1"), Journal(path, {**SETTINGS, "seed": 1}):
        pass
    assert path.read_bytes() == before


def test_another_file_is_not_taken_for_a_journal(tmp_path):
    (tmp_path / "pairs.jsonl").write_text('{"query_text": "전세", "positive_passages": ["p1"]}\n', encoding="utf-8")
    with pytest.raises(DataError, match="no journal"), Journal(tmp_path / "pairs.jsonl", SETTINGS):
        pass


def test_two_processes_do_not_write_one_journal(path):
    with Journal(path, SETTINGS), pytest.raises(UsageError, match="Another process"), Journal(path, SETTINGS):
        pass


def test_many_threads_write_whole_lines(tmp_path):
    with Journal(tmp_path / "a.journal", SETTINGS) as journal:
        keep = [threading.Thread(target=journal.keep, args=(passage(f"p{n}"), "가" * 5000)) for n in range(20)]
        for thread in keep:
            thread.start()
        for thread in keep:
            thread.join()
    rows = [json.loads(line) for line in (tmp_path / "a.journal").read_text(encoding="utf-8").splitlines()]
    assert {row["_id"] for row in rows[1:]} == {f"p{n}" for n in range(20)}


def test_a_full_disk_leaves_no_half_line(path, monkeypatch):
    before = path.read_bytes()

    def full(_):
        raise OSError(errno.ENOSPC, "No space left on device")

    with Journal(path, SETTINGS) as journal:
        monkeypatch.setattr("retrieval_ko.synthesis.journal.os.fsync", full)
        with pytest.raises(RetrievalError, match="disk is full"):
            journal.keep(passage("p4"), "답")
        assert journal.answer(passage("p4")) is None
    assert path.read_bytes() == before


@given(st.text())
def test_any_answer_comes_back(tmp_path_factory, answer):
    path = tmp_path_factory.mktemp("journals") / "a.journal"
    with Journal(path, SETTINGS) as journal:
        kept = journal.keep(passage("p1"), answer)
    with Journal(path, SETTINGS) as journal:
        assert journal.answer(passage("p1")) == kept == answer


def test_half_a_character_becomes_a_question_mark(tmp_path):
    with Journal(tmp_path / "a.journal", SETTINGS) as journal:
        assert journal.keep(passage("p1"), "전세\ud800") == "전세?"
