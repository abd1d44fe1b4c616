"""All faults of a collection at once, each with its file and line; and what has none can be read."""

import copy
import json
import unicodedata

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from retrieval_ko.collection import Collection
from retrieval_ko.errors import DataError, RetrievalError, UsageError
from retrieval_ko.validation.checks import check_collection
from retrieval_ko.validation.contents import Contents
from retrieval_ko.validation.findings import KEPT_OF_A_KIND, Findings, Severity, error
from retrieval_ko.validation.single_files import check_file

NFD = unicodedata.normalize("NFD", "보증금")
P1 = {"_id": "p1", "title": "보증금 반환", "text": "임차인은 보증금의 반환을 청구할 수 있다."}
P2 = {"_id": "p2", "title": "차임 연체", "text": "차임을 두 번 연체하면 계약을 해지할 수 있다."}
Q1 = {"_id": "q1", "text": "전세금 안 돌려줘요"}
Q2 = {"_id": "q2", "text": "월세가 밀리면 쫓겨나나요"}
PAIR = {"query_id": "q1", "query_text": "전세금 안 돌려줘요", "positive_passages": ["p1"], "hard_negatives": ["p2"]}
HEAD = "query-id\tcorpus-id\tscore"


def jsonl(*rows):
    return "".join((row if isinstance(row, str) else json.dumps(row)) + "\n" for row in rows).encode()


GOOD = {
    "corpus.jsonl": jsonl(P1, P2),
    "queries.jsonl": jsonl(Q1, Q2),
    "qrels/train.tsv": f"{HEAD}\nq1\tp1\t1\n".encode(),
    "qrels/dev.tsv": f"{HEAD}\nq2\tp2\t2\nq2\tp1\t0\n".encode(),
    "pairs/train.jsonl": jsonl(PAIR),
    "synonyms.jsonl": jsonl({"ko": "보증금", "en": "deposit"}),
    "collection.json": b'{"name": "rent", "licence": "CC0-1.0"}',
}


def write(folder, files):
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    return folder


def found_in(folder):
    return list(check_collection(Contents(folder)))


def test_a_good_collection_has_no_finding(tmp_path):
    assert found_in(write(tmp_path, GOOD)) == []


FAULTS = {
    # file: (content, kind, line)
    "empty corpus": ("corpus.jsonl", b"", "empty_file", 0),
    "no id": ("corpus.jsonl", jsonl(P1, P2, {"text": "이름 없는 글"}), "missing_field", 3),
    "no text": ("corpus.jsonl", jsonl(P1, P2, {"_id": "p3"}), "missing_field", 3),
    "an id with a space": ("corpus.jsonl", jsonl(P1, P2, {"_id": "p 3", "text": "글"}), "bad_field", 3),
    "an id twice": ("corpus.jsonl", jsonl(P1, P2, {**P1, "text": "다른 글"}), "duplicate_id", 3),
    "empty text": ("corpus.jsonl", jsonl(P1, P2, {"_id": "p3", "text": " \n"}), "empty_text", 3),
    "half a character": ("corpus.jsonl", jsonl(P1, P2, {"_id": "p3", "text": "글\ud800"}), "lone_surrogate", 3),
    "half a character in a title": ("corpus.jsonl", jsonl(P1, P2, {"_id": "p3", "title": "\udfff", "text": "글"}), "lone_surrogate", 3),
    "a text that is not split": ("corpus.jsonl", jsonl(P1, P2, {"_id": "p3", "text": "가" * 1_000_001}), "too_long", 3),
    "not JSON": ("corpus.jsonl", jsonl(P1, P2, "{oops"), "not_json", 3),
    "a list": ("corpus.jsonl", jsonl(P1, P2, "[1]"), "not_json", 3),
    "CP949": ("corpus.jsonl", jsonl(P1, P2) + "글\n".encode("cp949"), "not_utf8", 3),
    "a NUL byte": ("corpus.jsonl", jsonl(P1, P2) + b'{"_id": "p3", "text": "a\0"}\n', "nul_byte", 3),
    "an empty query": ("queries.jsonl", jsonl(Q1, Q2, {"_id": "q3", "text": ""}), "empty_text", 3),
    "a query twice": ("queries.jsonl", jsonl(Q1, Q2, {**Q1, "text": "다른 질문"}), "duplicate_id", 3),
    "an unknown query": ("qrels/dev.tsv", f"{HEAD}\nq2\tp2\t1\nq9\tp1\t1\n".encode(), "unknown_query", 3),
    "an unknown passage": ("qrels/dev.tsv", f"{HEAD}\nq2\tp2\t1\nq2\tp9\t1\n".encode(), "unknown_passage", 3),
    "spaces for tabs": ("qrels/dev.tsv", f"{HEAD}\nq2\tp2\t1\nq2 p1 1\n".encode(), "bad_judgement", 3),
    "a grade that is no number": ("qrels/dev.tsv", f"{HEAD}\nq2\tp2\t1\nq2\tp1\tja\n".encode(), "bad_judgement", 3),
    "two grades": ("qrels/dev.tsv", f"{HEAD}\nq2\tp2\t1\nq2\tp2\t0\n".encode(), "conflicting_judgement", 3),
    "no judgement": ("qrels/dev.tsv", f"{HEAD}\n".encode(), "empty_file", 0),
    "half a synonym": ("synonyms.jsonl", jsonl({"ko": "보증금"}), "missing_field", 1),
    "a card that is no JSON": ("collection.json", b"{", "not_json", 0),
    "a card that is a list": ("collection.json", b"[]", "bad_field", 0),
    "an unknown way of judging": ("collection.json", b'{"judged": "page"}', "bad_field", 0),
    "a source that is a number": ("collection.json", b'{"sources": [3]}', "bad_field", 0),
    "an unknown rule of splits": ("collection.json", b'{"splits": {"": {"by": "moon"}}}', "bad_field", 0),
}
PAIR_FAULTS = {
    "positive and negative": (jsonl({**PAIR, "random_negatives": ["p1"]}), "positive_is_negative", 1),
    "an unknown positive": (jsonl(PAIR, {**PAIR, "positive_passages": ["p9"]}), "unknown_passage", 2),
    "an unknown negative": (jsonl(PAIR, {**PAIR, "random_negatives": ["p9"]}), "unknown_passage", 2),
    "an unknown query": (jsonl({**PAIR, "query_id": "q9"}), "unknown_query", 1),
    "no positive": (jsonl(PAIR, {**PAIR, "positive_passages": []}), "bad_field", 2),
    "no query": (jsonl(PAIR, {"positive_passages": ["p1"]}), "missing_field", 2),
    "a query of spaces": (jsonl({**PAIR, "query_text": "  "}), "empty_text", 1),
    "its own positive": (jsonl({**PAIR, "query_text": P1["text"].replace(" ", "  ")}), "query_is_its_positive", 1),
    "nothing": (b"", "empty_file", 0),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_is_found_at_its_place_and_the_collection_cannot_be_read(tmp_path, fault):
    file, content, kind, line = FAULTS[fault]
    errors = [finding for finding in found_in(write(tmp_path, {**GOOD, file: content})) if finding.severity is Severity.ERROR]
    assert (kind, tmp_path / file, line) in [finding[:1] + finding[2:4] for finding in errors]
    with pytest.raises(DataError):
        Collection.read(tmp_path)


@pytest.mark.parametrize("fault", PAIR_FAULTS)
def test_a_fault_of_a_pair_is_found_at_its_place(tmp_path, fault):
    content, kind, line = PAIR_FAULTS[fault]
    errors = [
        finding for finding in found_in(write(tmp_path, {**GOOD, "pairs/train.jsonl": content})) if finding.severity is Severity.ERROR
    ]
    assert [(finding.kind, finding.line) for finding in errors] == [(kind, line)]


REMARKS = {
    "jamo that are not composed": ("corpus.jsonl", jsonl(P1, P2, {"_id": "p3", "text": NFD}), "not_nfc", 3),
    "an id in jamo": ("corpus.jsonl", jsonl(P1, P2, {"_id": NFD, "text": "글"}), "not_nfc", 3),
    "a passage that says the same": ("corpus.jsonl", jsonl(P1, P2, {**P1, "_id": "p3"}), "duplicate_text", 3),
    "a query that says the same": ("queries.jsonl", jsonl(Q1, {**Q1, "_id": "q2", "text": Q1["text"] + " "}), "duplicate_text", 2),
    "a query that nobody judged": ("queries.jsonl", jsonl(Q1, Q2, {"_id": "q3", "text": "남는 질문"}), "query_without_judgement", 3),
    "a query that is a title": ("queries.jsonl", jsonl(Q1, {**Q2, "text": "보증금  반환"}), "query_is_a_title", 2),
    "a query that is another passage": ("queries.jsonl", jsonl(Q1, {**Q2, "text": P1["text"]}), "query_is_a_passage", 2),
    "a pair twice": ("pairs/train.jsonl", jsonl(PAIR, PAIR), "duplicate_pair", 2),
    "a negative twice": ("pairs/train.jsonl", jsonl({**PAIR, "random_negatives": ["p2"]}), "repeated_passage", 1),
}


@pytest.mark.parametrize("case", REMARKS)
def test_what_may_be_meant_so_is_a_remark(tmp_path, case):
    file, content, kind, line = REMARKS[case]
    files = {**GOOD, file: content, "qrels/dev.tsv": GOOD["qrels/dev.tsv"].replace(b"q2\tp1\t0\n", b"")}
    if case == "a query that says the same":
        files["qrels/dev.tsv"] = files["qrels/dev.tsv"].replace(b"dev", b"")
        files["qrels/other.tsv"] = files.pop("qrels/dev.tsv")
    findings = found_in(write(tmp_path, files))
    assert (kind, Severity.REMARK, tmp_path / file, line) in [finding[:4] for finding in findings]
    assert not [finding for finding in findings if finding.severity is Severity.ERROR]
    Collection.read(tmp_path)


def test_a_judgement_of_a_query_for_itself_is_an_error(tmp_path):
    write(
        tmp_path,
        {**GOOD, "queries.jsonl": jsonl({**Q1, "text": P1["text"]}, Q2), "pairs/train.jsonl": jsonl({**PAIR, "query_text": "다른 말"})},
    )
    assert "query_is_its_positive" in {finding.kind for finding in found_in(tmp_path) if finding.severity is Severity.ERROR}


def test_splits_that_leak_are_errors_within_a_scheme_and_not_between_schemes(tmp_path):
    write(tmp_path, {**GOOD, "qrels/article-test.tsv": GOOD["qrels/train.tsv"]})
    assert found_in(tmp_path) == []
    write(tmp_path, {"qrels/test.tsv": GOOD["qrels/train.tsv"]})
    assert [finding.kind for finding in found_in(tmp_path)] == ["leak_query"]


def test_judgements_of_parents_are_looked_up_among_parents(tmp_path):
    rows = [{**passage, "metadata": {"parent_id": "page"}} for passage in (P1, P2)]
    files = {**GOOD, "corpus.jsonl": jsonl(*rows), "collection.json": b'{"judged": "parent"}'}
    files |= {"qrels/train.tsv": f"{HEAD}\nq1\tpage\t1\n".encode(), "qrels/dev.tsv": f"{HEAD}\nq2\tp1\t1\n".encode()}
    errors = found_in(write(tmp_path, files))
    assert [(finding.kind, finding.file.name, finding.line) for finding in errors] == [
        ("unknown_passage", "dev.tsv", 2),
        ("empty_file", "dev.tsv", 0),
    ]
    write(tmp_path, {"corpus.jsonl": jsonl(rows[0], P2)})
    assert ("missing_field", 2) in [(finding.kind, finding.line) for finding in found_in(tmp_path)]


def test_all_faults_are_found_at_once(tmp_path):
    corpus = jsonl(P1, "{oops", P2, P1) + b"\xff\n" + jsonl({"_id": "p5", "text": ""})
    kinds = [(finding.kind, finding.line) for finding in found_in(write(tmp_path, {**GOOD, "corpus.jsonl": corpus}))]
    assert {("not_json", 2), ("duplicate_id", 4), ("not_utf8", 5), ("empty_text", 6)} <= set(kinds)


def test_a_folder_or_corpus_that_is_missing_is_one_error(tmp_path):
    assert [finding.kind for finding in found_in(tmp_path / "nowhere")] == ["missing_file"]
    assert [finding.kind for finding in found_in(tmp_path)] == ["missing_file"]


def test_of_many_findings_all_are_counted_and_the_first_kept(tmp_path):
    findings = Findings(error("not_json", tmp_path, line, "not JSON.") for line in range(1, KEPT_OF_A_KIND + 51))
    assert findings.errors == KEPT_OF_A_KIND + 50
    assert [finding.line for finding in findings.kept] == list(range(1, KEPT_OF_A_KIND + 1))


def can_be_read(folder):
    try:
        Collection.read(folder)
    except RetrievalError:
        return False
    return True


VALUES = st.one_of(
    st.none(), st.booleans(), st.integers(-2, 3), st.sampled_from(["", " ", "p1", "p2", "q1", "page", "글", NFD, "\ud800"]), st.just([])
)
ROWS = st.fixed_dictionaries({}, optional={"_id": VALUES, "id": VALUES, "title": VALUES, "text": VALUES, "metadata": VALUES})
LINES = st.lists(st.tuples(*[st.sampled_from(["q1", "q2", "q9", "p1", "p2", "1", "0", "-1", "x", ""])] * 3).map("\t".join), max_size=3)


@settings(max_examples=150, deadline=None)
@given(
    corpus=st.lists(ROWS, max_size=3),
    queries=st.lists(ROWS, max_size=2),
    judged=LINES,
    card=st.dictionaries(st.sampled_from(["name", "licence", "sources", "judged"]), VALUES),
)
def test_a_collection_without_error_can_be_read_and_one_with_an_error_cannot(tmp_path_factory, corpus, queries, judged, card):
    """The law that binds the check to the reader; pairs and leaks apart, which the reader does not look at."""
    files = {
        "corpus.jsonl": jsonl(P1, *copy.deepcopy(corpus)),
        "queries.jsonl": jsonl(Q1, *queries),
        "qrels/train.tsv": "\n".join([HEAD, "q1\tp1\t1", *judged]).encode(),
        "collection.json": json.dumps(card).encode(),
    }
    folder = write(tmp_path_factory.mktemp("law"), files)
    errors = [finding for finding in found_in(folder) if finding.severity is Severity.ERROR and finding.kind != "query_is_its_positive"]
    assert can_be_read(folder) == (not errors)


LEGAL = {
    "id": "LAW_1_제1조",
    "parent_id": "LAW_1",
    "type": "법령",
    "text": "민법 제1조 민사에 관하여",
    "law_name": "민법",
    "article": "제1조",
}


@pytest.fixture
def legal_file(tmp_path):
    (tmp_path / "law.jsonl").write_bytes(jsonl(LEGAL, {**LEGAL, "id": "LAW_1_제2조", "text": "민법 제2조 신의성실"}))
    return tmp_path / "law.jsonl"


def kinds_of(source, corpus=None):
    return [(finding.kind, finding.line) for finding in check_file(Contents(source.parent), source, corpus)]


def test_files_by_themselves_are_known_by_their_first_line(tmp_path, legal_file):
    assert kinds_of(legal_file) == []
    write(tmp_path, {"corpus.jsonl": jsonl(P1, P1), "bad.jsonl": jsonl(LEGAL, {**LEGAL, "id": "x y"}, {"id": "z", "text": ""})})
    assert kinds_of(tmp_path / "corpus.jsonl") == [("duplicate_id", 2), ("duplicate_text", 2)]
    assert kinds_of(tmp_path / "bad.jsonl") == [("bad_field", 2), ("missing_field", 3), ("missing_field", 3)]


def test_pairs_are_held_against_a_corpus(tmp_path, legal_file):
    pairs = (
        write(
            tmp_path,
            {"pairs.jsonl": jsonl({"query_text": "신의칙", "positive_passages": ["LAW_1_제2조"], "hard_negatives": ["LAW_1_제9조"]})},
        )
        / "pairs.jsonl"
    )
    assert kinds_of(pairs) == []
    assert kinds_of(pairs, legal_file) == [("unknown_passage", 1)]
    collection = write(tmp_path / "rent", GOOD)
    assert kinds_of(collection / "pairs/train.jsonl", collection) == []
    with pytest.raises(UsageError, match="--corpus"):
        kinds_of(legal_file, legal_file)
    with pytest.raises(UsageError, match="not passages"):
        kinds_of(pairs, pairs)


@pytest.mark.parametrize("content", [b"", b"{oops\n", jsonl({"name": "?"})])
def test_a_file_of_which_nobody_knows_what_it_is(tmp_path, content):
    (tmp_path / "what.jsonl").write_bytes(content)
    with pytest.raises(DataError, match=r"what\.jsonl"):
        kinds_of(tmp_path / "what.jsonl")
