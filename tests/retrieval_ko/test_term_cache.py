"""A text is analysed once; a cache that is shared, killed or damaged never gives a wrong term."""

import os
import signal
import sqlite3
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from retrieval_ko import term_cache
from retrieval_ko.errors import DataError, RetrievalError
from retrieval_ko.term_cache import TermCache, default_folder
from retrieval_ko.terms import Tokenization, terms_of, terms_of_many

TEXTS = ["도서관에서 책을 빌렸다.", "보증금을 돌려받았다.", "도서관에서 책을 빌렸다.", ""]


@given(st.dictionaries(st.text(st.characters(codec="utf-8")), st.text(st.characters(codec="utf-8")), max_size=20))
def test_what_is_stored_is_found_again_by_another(analyses):
    import tempfile
    from pathlib import Path

    with tempfile.TemporaryDirectory() as folder:
        with TermCache(Path(folder)) as cache:
            cache.add(analyses)
        with TermCache(Path(folder)) as cache:
            assert cache.get([*analyses, "unknown\n"]) == analyses
            assert len(cache) == len(analyses)


@pytest.mark.parametrize("tokenization", [Tokenization.KIWI_CONTENT, Tokenization.KIWI_ALL])
def test_terms_are_the_same_with_a_cache_empty_or_filled(tmp_path, tokenization):
    expected = [terms_of(text, tokenization) for text in TEXTS]
    with TermCache(tmp_path) as cache:
        assert list(terms_of_many(TEXTS, tokenization, cache=cache)) == expected
        assert len(cache) == len(set(TEXTS))
        assert list(terms_of_many(TEXTS, tokenization, cache=cache)) == expected


def test_a_known_text_is_not_analysed_again(tmp_path):
    with TermCache(tmp_path) as cache:
        cache.add({TEXTS[0]: "표시\nNNG"})
        assert next(terms_of_many(TEXTS, Tokenization.KIWI_CONTENT, cache=cache)) == ["표시"]


def test_another_version_of_kiwi_never_gets_the_old_ones_terms(tmp_path, monkeypatch):
    with TermCache(tmp_path) as cache:
        cache.add({"글": "글\nNNG"})
    monkeypatch.setattr(term_cache, "version", lambda name: "99.0")
    with TermCache(tmp_path) as cache:
        assert cache.get(["글"]) == {}


def test_nothing_is_written_where_no_cache_was_asked_for(tmp_path, monkeypatch):
    monkeypatch.setenv("SPARSE_KO_CACHE", str(tmp_path / "cache"))
    list(terms_of_many(TEXTS, Tokenization.KIWI_CONTENT))
    assert not (tmp_path / "cache").exists()
    with TermCache() as cache:
        assert cache.path.parent == tmp_path / "cache" / "terms" == default_folder()


def test_without_a_setting_it_lies_in_the_users_cache_folder(tmp_path, monkeypatch):
    monkeypatch.delenv("SPARSE_KO_CACHE", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert default_folder() == tmp_path / "sparse-ko" / "terms"


def test_clear_forgets_and_gives_the_space_back(tmp_path):
    with TermCache(tmp_path) as cache:
        cache.add({f"text {number}": os.urandom(500).hex() for number in range(500)})
        cache.clear()
        assert len(cache) == 0
    assert cache.path.stat().st_size < 50_000


def filled(folder):
    with TermCache(folder) as cache:
        cache.add({f"text {number}": os.urandom(200).hex() for number in range(500)})
    return cache.path


def damage_head(path):
    path.write_bytes(b"not a database" + path.read_bytes()[14:])


def damage_pages(path):
    content = path.read_bytes()
    path.write_bytes(content[:4096] + b"\xff" * (len(content) - 4096))


def damage_value(path):
    with sqlite3.connect(path) as database:
        database.execute("UPDATE analyses SET analysis = x'00ff'")
    database.close()


@pytest.mark.parametrize("damage", [damage_head, damage_pages, damage_value])
def test_a_damaged_cache_names_itself_and_the_way_out(tmp_path, damage):
    path = filled(tmp_path)
    damage(path)
    with pytest.raises(DataError, match=r"is damaged") as failure, TermCache(tmp_path) as cache:
        cache.get([f"text {number}" for number in range(500)])
    assert str(path) in failure.value.problem
    assert failure.value.remedy == f"Delete it, it is filled anew: rm {path}*"


def test_a_place_that_cannot_be_a_folder_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(RetrievalError, match="file"):
        TermCache(tmp_path / "file" / "terms")


WRITER = """
import sys
from itertools import count
from pathlib import Path
from retrieval_ko.term_cache import TermCache
folder, name, batches = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
with TermCache(folder) as cache:
    for batch in range(batches) if batches else count():
        cache.add({f"{name} {batch} {number}": f"{name} {batch} {number}" for number in range(50)})
        if not batch:
            print("begun", flush=True)
"""


def writer(folder, name, batches=0):
    return subprocess.Popen([sys.executable, "-c", WRITER, folder, name, str(batches)], stdout=subprocess.PIPE)


def test_two_processes_fill_one_cache(tmp_path):
    running = [writer(tmp_path, name, 20) for name in ("one", "two")]
    for process in running:
        process.communicate(timeout=60)
        assert process.returncode == 0
    with TermCache(tmp_path) as cache:
        assert len(cache) == 2 * 20 * 50


def test_a_process_that_is_killed_leaves_whole_batches(tmp_path):
    process = writer(tmp_path, "killed")
    process.stdout.readline()
    process.send_signal(signal.SIGKILL)
    process.communicate(timeout=30)
    with TermCache(tmp_path) as cache:
        assert len(cache) >= 50
        assert len(cache) % 50 == 0
        first = [f"killed 0 {number}" for number in range(50)]
        assert cache.get(first) == {text: text for text in first}
        cache.add({"new": "new"})
