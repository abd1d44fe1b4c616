"""A checkpoint remembers what was in, whatever ended the run, and is never taken for another run's."""

import json
import subprocess
import sys
from itertools import accumulate

import pytest
from hypothesis import given
from hypothesis import strategies as st

from opensearch_ko.ingest import Checkpoint
from retrieval_ko.errors import DataError, RetrievalError, UsageError

RUN = {"index": "법령", "uuid": "u1", "collection": "c1"}


@given(st.lists(st.sets(st.integers(0, 60), max_size=20), max_size=8))
def test_what_was_added_is_in_when_the_file_is_opened_again(tmp_path_factory, batches):
    path = tmp_path_factory.mktemp("checkpoint") / "run.jsonl"
    with Checkpoint(path, RUN) as checkpoint:
        for places in batches:
            checkpoint.add(places)
    known = set().union(*batches)
    with Checkpoint(path, RUN) as again:
        assert {place for place in range(70) if place in again} == known
        assert len(again) == len(known)


def test_a_run_that_got_nowhere_leaves_no_file(tmp_path):
    with Checkpoint(tmp_path / "run.jsonl", RUN) as checkpoint:
        checkpoint.add([])
    assert list(tmp_path.iterdir()) == []


def test_a_file_cut_off_anywhere_keeps_every_line_that_was_whole(tmp_path):
    path = tmp_path / "run.jsonl"
    with Checkpoint(path, RUN) as checkpoint:
        checkpoint.add(range(10))
        checkpoint.add([20, 21, 30])
    whole = path.read_bytes()
    ends = list(accumulate(map(len, whole.splitlines(keepends=True))))
    for size in range(len(whole)):
        path.write_bytes(whole[:size])
        with Checkpoint(path, RUN) as again:
            assert len(again) == (0 if size < ends[1] else 10)
            again.add([40])
        with Checkpoint(path, RUN) as third:
            assert 40 in third


@pytest.mark.parametrize("changed", ["index", "uuid", "collection"])
def test_the_checkpoint_of_another_run_is_refused_and_kept(tmp_path, changed):
    path = tmp_path / "run.jsonl"
    with Checkpoint(path, RUN) as checkpoint:
        checkpoint.add([1])
    before = path.read_bytes()
    with pytest.raises(UsageError, match=f"another run \\({changed}: {RUN[changed]}, here other\\)") as refusal:
        Checkpoint(path, RUN | {changed: "other"})
    assert "--checkpoint" in refusal.value.remedy
    assert path.read_bytes() == before


@pytest.mark.parametrize("content", ["my notes", "my notes\n", '{"some": "json"}\n', "\n"])
def test_a_file_that_is_no_checkpoint_is_never_written_to(tmp_path, content):
    path = tmp_path / "notes.txt"
    path.write_text(content)
    with pytest.raises(DataError, match="no checkpoint"):
        Checkpoint(path, RUN)
    assert path.read_text() == content


def test_a_damaged_line_is_an_error(tmp_path):
    path = tmp_path / "run.jsonl"
    with Checkpoint(path, RUN) as checkpoint:
        checkpoint.add([1])
    path.write_bytes(path.read_bytes() + b'[["a", 2]]\n')
    with pytest.raises(DataError, match="damaged"):
        Checkpoint(path, RUN)


def test_two_commands_never_share_one(tmp_path):
    path = tmp_path / "run.jsonl"
    script = "import sys, json; from opensearch_ko.ingest import Checkpoint; Checkpoint(sys.argv[1], json.loads(sys.argv[2]))"
    with Checkpoint(path, RUN):
        done = subprocess.run([sys.executable, "-c", script, str(path), json.dumps(RUN)], capture_output=True, text=True, check=False)
    assert "Another command is indexing" in done.stderr


def test_a_file_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(RetrievalError, match=r"Cannot write .*run\.jsonl"):
        Checkpoint(tmp_path / "file" / "run.jsonl", RUN)
