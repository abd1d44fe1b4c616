import gzip
import json

import pytest

from retrieval_ko.errors import DataError
from retrieval_ko.sources.report import SourceReport, field_of, read_rows


def test_what_is_wrong_is_reported_and_the_rest_goes_on(tmp_path):
    source = tmp_path / "rows.jsonl"
    source.write_text('{"id": 1}\nnot json\n[1]\n\n{"id": 2}\n', encoding="utf-8")
    report = SourceReport()
    assert list(read_rows(source, report)) == [(1, {"id": 1}), (5, {"id": 2})]
    assert [problem.file for problem in report.problems] == [f"{source}, line 2", f"{source}, line 3"]


def test_strict_stops_at_the_first(tmp_path):
    source = tmp_path / "rows.jsonl"
    source.write_text('{"id": 1}\nnot json\n', encoding="utf-8")
    with pytest.raises(DataError, match="line 2"):
        list(read_rows(source, SourceReport(strict=True)))


def test_what_stands_before_a_cut_is_read(tmp_path):
    rows = [{"id": number, "text": f"{number * 7919 % 1000003}"} for number in range(20000)]
    source = tmp_path / "rows.jsonl.gz"
    packed = gzip.compress("".join(json.dumps(row) + "\n" for row in rows).encode())
    source.write_bytes(packed[: len(packed) // 2])
    report = SourceReport()
    read = [row for _, row in read_rows(source, report)]
    assert 0 < len(read) < len(rows)
    assert read == rows[: len(read)]
    assert "cut off" in report.problems[0].reason


@pytest.mark.parametrize(("content", "words"), [(b"", "empty"), (b"{oops\n", "line 1"), ("보증금".encode("cp949"), "cp949")])
def test_a_file_of_which_nothing_can_be_read_is_an_error(tmp_path, content, words):
    (tmp_path / "rows.jsonl").write_bytes(content)
    with pytest.raises(DataError, match=words):
        list(read_rows(tmp_path / "rows.jsonl", SourceReport()))


def test_a_field_that_is_missing_is_named_with_those_that_are_there():
    with pytest.raises(DataError, match="'text' is missing; there are: body, id"):
        field_of({"id": "1", "body": "글"}, "text")


@pytest.mark.parametrize("value", ["", " \n", None, True, ["글"], {"a": 1}, 1.5])
def test_a_field_must_hold_text(value):
    with pytest.raises(DataError, match="text"):
        field_of({"text": value}, "text")
