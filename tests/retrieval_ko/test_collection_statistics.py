"""What a collection holds, counted; held against NumPy and against counting by hand."""

import json
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from retrieval_ko.collection_statistics.counting import collect_statistics
from retrieval_ko.collection_statistics.distribution import Distribution
from retrieval_ko.collection_statistics.reading import count_lines
from retrieval_ko.collection_statistics.report import write_statistics_report
from retrieval_ko.collection_statistics.scripts import script_of
from retrieval_ko.errors import DataError, UsageError
from retrieval_ko.terms import Tokenization


@pytest.fixture
def folder(tmp_path):
    rows = {
        "corpus.jsonl": [
            {"_id": "p1", "title": "가나", "text": "다라마"},  # bigrams: 가나, 다라, 라마
            {"_id": "p2", "text": "바사 법律 ABC 12"},
            {"_id": "p3", "text": "바사  법律 abc 12"},
        ],
        "queries.jsonl": [{"_id": "q1", "text": "가나 다라 하하"}, {"_id": "q2", "text": "차카타"}],
        "pairs/train.jsonl": [
            {"query_text": "라마 바사", "positive_passages": ["p1", "p2"], "hard_negatives": ["p3"], "random_negatives": []},
        ],
        "synonyms.jsonl": [{"ko": "법", "en": "law"}],
    }
    for name, records in rows.items():
        (tmp_path / "c" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "c" / name).write_text("".join(json.dumps(row) + "\n" for row in records), encoding="utf-8")
    (tmp_path / "c/qrels").mkdir()
    (tmp_path / "c/qrels/dev.tsv").write_text("query-id\tcorpus-id\tscore\nq1\tp1\t2\nq1\tp2\t0\nq2\tp3\t1\n", encoding="utf-8")
    return tmp_path / "c"


def test_everything_is_counted(folder):
    facts = collect_statistics(folder).as_json()
    assert (facts["passages"], facts["queries"], facts["synonyms"]) == (3, 2, 1)
    assert facts["duplicates"] == {"passages": 1, "queries": 0}, "p2 and p3 differ in case and white space only"
    assert facts["characters"]["passages"]["max"] == len("바사  법律 abc 12")
    assert facts["characters"]["queries"]["min"] == 3
    dev = facts["splits"]["dev"]
    assert (dev["queries"], dev["judgements"], dev["grades"]) == (2, 3, {"0": 1, "1": 1, "2": 1})
    assert dev["positives_per_query"]["mean"] == 1
    pairs = facts["pairs"]["train"]
    assert (pairs["pairs"], pairs["positives_per_query"]["max"], pairs["hard_negatives"]["max"], pairs["random_negatives"]["max"]) == (
        1,
        2,
        1,
        0,
    )


def test_the_overlap_is_the_share_of_the_querys_terms_in_its_positives_together(folder):
    statistics = collect_statistics(folder)
    assert [(query.text, share) for query, share in statistics.hardest] == [
        ("차카타", 0),
        ("가나 다라 하하", pytest.approx(2 / 3)),
        ("라마 바사", 1),
    ]
    assert statistics.splits["dev"].overlap.mean == pytest.approx((0 + 2 / 3) / 2)


def test_scripts_are_shares_of_letters_and_digits(folder):
    shares = collect_statistics(folder).script_shares("passages")
    letters = {"hangul": 5 + 3 + 3, "latin": 6, "hanja": 2, "digits": 4, "other": 0}
    assert shares == pytest.approx({name: count / sum(letters.values()) for name, count in letters.items()}, abs=1e-4)


@pytest.mark.parametrize(
    ("char", "script"),
    [
        ("가", "hangul"),
        ("ㅋ", "hangul"),
        ("é", "latin"),
        ("Ａ", "latin"),
        ("法", "hanja"),
        ("٣", "digits"),
        ("か", "other"),
        ("й", "other"),
        (" ", None),
        ("!", None),
        ("🍲", None),
    ],
)
def test_the_script_of_a_character(char, script):
    assert script_of(char) == script


def test_kiwi_counts_stems_where_bigrams_count_letters(folder):
    (folder / "corpus.jsonl").write_text(json.dumps({"_id": "p1", "text": "임차인이 보증금을 돌려받았다."}) + "\n", encoding="utf-8")
    (folder / "queries.jsonl").write_text(json.dumps({"_id": "q1", "text": "보증금은 돌려받나요"}) + "\n", encoding="utf-8")
    (folder / "qrels/dev.tsv").write_text("query-id\tcorpus-id\tscore\nq1\tp1\t1\n", encoding="utf-8")
    (folder / "pairs/train.jsonl").unlink()
    by_letters, by_stems = (collect_statistics(folder, way).hardest[0][1] for way in (Tokenization.BIGRAM, Tokenization.KIWI_CONTENT))
    assert by_stems == 1
    assert by_letters < 1


def test_judgements_of_parents_meet_all_parts_of_the_parent(folder):
    rows = [
        {"_id": "a", "text": "가나", "metadata": {"parent_id": "page"}},
        {"_id": "b", "text": "다라", "metadata": {"parent_id": "page"}},
    ]
    (folder / "corpus.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    (folder / "collection.json").write_text('{"name": "pages", "judged": "parent"}', encoding="utf-8")
    (folder / "qrels/dev.tsv").write_text("query-id\tcorpus-id\tscore\nq1\tpage\t1\n", encoding="utf-8")
    assert collect_statistics(folder).splits["dev"].overlap.mean == pytest.approx(2 / 3)


def test_a_corpus_alone_and_no_corpus(tmp_path):
    with pytest.raises(DataError, match=r"no corpus\.jsonl"):
        collect_statistics(tmp_path)
    (tmp_path / "corpus.jsonl").write_text('{"_id": 1, "text": "글"}\n', encoding="utf-8")
    assert collect_statistics(tmp_path).as_json()["splits"] == {}
    (tmp_path / "corpus.jsonl").write_text('{"_id": 1, "text": 3}\n', encoding="utf-8")
    with pytest.raises(DataError, match="line 1: text") as raised:
        collect_statistics(tmp_path)
    assert "data check" in raised.value.remedy


def test_the_report_is_whole_and_the_same_again(folder, tmp_path):
    statistics = collect_statistics(folder)
    for name in ("one", "two"):
        write_statistics_report(statistics, tmp_path / name)
    files = sorted(path.name for path in (tmp_path / "one").iterdir())
    assert files == ["lengths.png", "overlap.png", "positives.png", "report.json", "report.md"]
    for name in files:
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes(), name
    assert (tmp_path / "one/lengths.png").read_bytes().startswith(b"\x89PNG")
    assert json.loads((tmp_path / "one/report.json").read_text(encoding="utf-8")) == json.loads(json.dumps(statistics.as_json()))
    text = (tmp_path / "one/report.md").read_text(encoding="utf-8")
    assert "차카타" in text
    assert all(f"]({name})" in text for name in files if name.endswith("png"))
    write_statistics_report(statistics, tmp_path / "one")


def test_a_report_replaces_nothing_but_a_report(folder, tmp_path):
    (tmp_path / "letters.txt").write_text("mine", encoding="utf-8")
    with pytest.raises(UsageError, match="other files"):
        write_statistics_report(collect_statistics(folder), tmp_path)
    assert (tmp_path / "letters.txt").read_text(encoding="utf-8") == "mine"


NUMBERS = st.lists(st.integers(0, 3000), min_size=1, max_size=200)


@given(NUMBERS)
def test_quantiles_are_numpys(values):
    distribution = Distribution(values)
    for share in (0, 0.5, 0.9, 0.99, 1):
        assert distribution.quantile(share) == np.quantile(values, share, method="inverted_cdf")
    assert distribution.mean == pytest.approx(np.mean(values))


@given(st.one_of(NUMBERS, st.lists(st.sampled_from([0, 0.25, 1 / 3, 0.5, 1]), min_size=1)))
def test_the_bars_of_a_histogram_join_and_hold_every_value(values):
    bars = Distribution(values).histogram()
    assert sum(count for _, _, count in bars) == len(values)
    assert all(left[1] == pytest.approx(right[0]) for left, right in pairwise(bars))
    assert bars[0][0] == min(values)
    assert bars[-1][1] >= max(values)


@pytest.mark.parametrize(("content", "lines"), [(b"", 0), (b"a", 1), (b"a\n", 1), (b"a\nb", 2), (b"\n\n", 2)])
def test_lines_are_counted_with_or_without_the_last_end(tmp_path, content, lines):
    (tmp_path / "f").write_bytes(content)
    assert count_lines(tmp_path / "f") == lines
