"""Nothing is ever half-written, a full disk is one clear sentence, and a defect has a file and a line."""

import errno
import json
import os

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from retrieval_ko.errors import DataError, RetrievalError
from retrieval_ko.files import folder_sha256, new_file, new_folder, read_json, read_jsonl, sha256, write_json, write_jsonl, write_text


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def fill(place, write, error=None):
    """Let `write` work inside the context `place`, and end it with `error`."""
    with place as temporary:
        write(temporary)
        if error:
            raise error


def no_space(*_):
    raise OSError(errno.ENOSPC, "No space left on device")


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_a_file_whose_writer_fails_is_as_before(tmp_path, error):
    (tmp_path / "corpus.jsonl").write_text("old")
    with pytest.raises(error):
        fill(new_file(tmp_path / "corpus.jsonl"), lambda temporary: temporary.write_text("half"), error)
    assert names(tmp_path) == ["corpus.jsonl"]
    assert (tmp_path / "corpus.jsonl").read_text() == "old"


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_a_folder_whose_writer_fails_is_as_before(tmp_path, error):
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "weights").write_text("old")
    with pytest.raises(error):
        fill(new_folder(tmp_path / "model"), lambda temporary: (temporary / "weights").write_text("half"), error)
    assert names(tmp_path) == ["model"]
    assert (tmp_path / "model" / "weights").read_text() == "old"


def test_a_new_folder_replaces_the_old_one_whole(tmp_path):
    for files in (["a", "b"], ["b", "c"]):
        with new_folder(tmp_path / "model") as temporary:
            for name in files:
                (temporary / name).write_text(name)
    assert names(tmp_path) == ["model"]
    assert names(tmp_path / "model") == ["b", "c"]


def test_a_full_disk_is_one_sentence_and_the_old_file_is_intact(tmp_path, monkeypatch):
    target = tmp_path / "corpus.jsonl"
    write_text(target, "old")
    monkeypatch.setattr(os, "fsync", no_space)
    with pytest.raises(RetrievalError) as caught:
        write_jsonl(target, [{"_id": "1"}])
    assert caught.value.problem == f"Cannot write {target}: the disk is full. Nothing was left half-written."
    assert "df -h" in caught.value.remedy
    assert target.read_text() == "old"
    assert names(tmp_path) == ["corpus.jsonl"]


def test_the_kernels_own_full_device_is_reported_the_same_way(tmp_path):
    def write_to_the_full_device(temporary):
        temporary.symlink_to("/dev/full")
        temporary.write_text("text")

    with pytest.raises(RetrievalError, match="the disk is full"):
        fill(new_file(tmp_path / "out"), write_to_the_full_device)
    assert names(tmp_path) == []


def test_a_full_disk_reported_by_a_rust_library_is_reported_the_same_way(tmp_path):
    error = RuntimeError("Error while serializing: I/O error: No space left on device (os error 28)")  # as safetensors words it
    with pytest.raises(RetrievalError, match="the disk is full"):
        fill(new_folder(tmp_path / "model"), lambda temporary: (temporary / "model.safetensors").write_bytes(b"half"), error)
    assert names(tmp_path) == []


def test_an_old_folder_survives_a_disk_that_fails_while_the_new_one_takes_its_place(tmp_path, monkeypatch):
    target = tmp_path / "model"
    with new_folder(target) as temporary:
        (temporary / "weights").write_text("old")
    rename = type(target).replace

    def fail_on_the_new_one(source, destination):
        if source.exists() and (source / "weights").read_text() == "new":
            no_space()
        return rename(source, destination)

    monkeypatch.setattr(type(target), "replace", fail_on_the_new_one)
    with pytest.raises(RetrievalError, match="the disk is full"):
        fill(new_folder(target), lambda temporary: (temporary / "weights").write_text("new"))
    assert names(tmp_path) == ["model"]
    assert (target / "weights").read_text() == "old"


@pytest.mark.parametrize(
    ("second_line", "complaint"),
    [
        (b'{"text": "a\0b"}', "line 2: holds a NUL byte"),
        ('{"text": "한글"}'.encode("cp949"), "line 2, byte 11: not valid UTF-8"),  # 10 bytes stand before the first Hangul
        (b'{"text": }', "line 2, column 10: not JSON"),
        (b'["text"]', "line 2: expected a JSON object, found list"),
        (b'"text"', "line 2: expected a JSON object, found str"),
    ],
)
def test_a_damaged_line_is_named_with_its_file(tmp_path, second_line, complaint):
    source = tmp_path / "corpus.jsonl"
    source.write_bytes(b'{"text": "fine"}\n' + second_line + b"\n")
    with pytest.raises(DataError) as caught:
        list(read_jsonl(source))
    assert caught.value.problem.startswith(f"{source}, {complaint}")


def test_a_cp949_file_comes_with_the_command_that_converts_it(tmp_path):
    source = tmp_path / "corpus.jsonl"
    source.write_bytes("{한글}".encode("cp949"))
    with pytest.raises(DataError) as caught:
        list(read_jsonl(source))
    assert f"iconv -f cp949 -t utf-8 {source}" in caught.value.remedy


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(DataError, match=r"Cannot read .*nothing\.jsonl: No such file or directory"):
        list(read_jsonl(tmp_path / "nothing.jsonl"))


def test_json_of_several_lines_names_the_line(tmp_path):
    (tmp_path / "card.json").write_text('{\n "name": "a",\n}')
    with pytest.raises(DataError, match=r"card\.json, line 3|card\.json, line 2"):
        read_json(tmp_path / "card.json")


def test_blank_lines_windows_line_ends_and_a_byte_order_mark_are_read_over(tmp_path):
    (tmp_path / "a.jsonl").write_bytes(b'\xef\xbb\xbf{"a": 1}\r\n\r\n{"a": 2}')
    assert list(read_jsonl(tmp_path / "a.jsonl")) == [(1, {"a": 1}), (3, {"a": 2})]


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(st.characters(codec="utf-8")),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("가나a\u2028\x85\n", max_size=3), inner, max_size=3),
    max_leaves=6,
)


@settings(deadline=None)
@given(st.lists(st.dictionaries(st.text("가나a_", max_size=3), VALUES, max_size=3), max_size=4))
def test_what_is_written_as_lines_is_read_as_lines(tmp_path_factory, rows):
    target = tmp_path_factory.getbasetemp() / "rows.jsonl"
    assert write_jsonl(target, rows) == len(rows)
    assert list(read_jsonl(target)) == list(enumerate(rows, start=1))


def test_hangul_stays_readable_in_the_file(tmp_path):
    write_json(tmp_path / "a.json", {"이름": "한글"})
    assert "한글" in (tmp_path / "a.json").read_text(encoding="utf-8")
    assert json.loads((tmp_path / "a.json").read_bytes()) == {"이름": "한글"}


def test_a_hash_is_the_published_one(tmp_path):
    (tmp_path / "abc").write_bytes(b"abc")
    # FIPS 180-2, appendix B.1
    assert sha256(tmp_path / "abc") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"


def test_a_folders_hash_knows_names_and_bytes_but_not_hidden_files(tmp_path):
    (tmp_path / "a").write_text("1")
    first = folder_sha256(tmp_path)
    (tmp_path / ".hidden").write_text("x")
    assert folder_sha256(tmp_path) == first
    (tmp_path / "a").rename(tmp_path / "b")
    renamed = folder_sha256(tmp_path)
    (tmp_path / "b").write_text("2")
    assert len({first, renamed, folder_sha256(tmp_path)}) == 3
