"""`lex-dpr make-pairs` and `merge-corpus`, as LexDPR's users call them."""

import json

import pytest
from typer.testing import CliRunner

from sparse_ko_cli.lexdpr import app

STATUTES = {
    "제1조": ("목적", "이 법은 도서의 대여를 정함을 목적으로 한다."),
    "제2조": ("정의", "도서란 종이책과 전자책을 말한다."),
    "제3조": ("연체료", "책을 늦게 돌려준 사람은 연체료를 낸다."),
    "제4조": ("면제", "도서관은 연체료를 면제할 수 있다."),
    "제5조": ("손해배상", "책을 훼손한 사람은 손해를 배상한다."),
    "제6조": ("휴관", "도서관은 쉬는 날을 알린다."),
}
QUESTIONS = (
    "늦게 돌려준 책의 연체료를 면제하는 기준",
    "전자책이 도서에 포함되는지 여부",
    "훼손된 책의 손해를 산정하는 방법",
    "휴관일에 반납한 책의 반환 시점",
)


def passage(article, title, text, law="도서 대여법", law_id="000012", kind="law"):
    prefix = {"law": "LAW", "admin": "ADM"}[kind]
    text = f"{law} {article}({title})\n{text}"
    return {"id": f"{prefix}_{law_id}_{article}", "parent_id": law_id, "type": kind, "text": text, "law_name": law, "article": article}


def write_rows(path, rows):
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
    return path


def rows(path):
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def run(*arguments):
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


@pytest.fixture
def data(tmp_path):
    write_rows(tmp_path / "law.jsonl", (passage(article, *words) for article, words in STATUTES.items()))
    write_rows(tmp_path / "admin.jsonl", [passage("제1조", "요율", "하루 백 원으로 한다.", "연체료 고시", "2100000000001", "admin")])
    folder = tmp_path / "precedents"
    folder.mkdir()
    cited = ("도서 대여법 제3조, 제4조", "없는 법 제1조", "연체료 고시 제1조", "도서 대여법 제6조")
    for number, (question, statutes) in enumerate(zip(QUESTIONS, cited, strict=True), start=1):
        case = {
            "판례일련번호": str(number),
            "사건번호": f"20{number}0다{number}",
            "사건명": "연체료",
            "법원명": "대법원",
            "선고일자": f"{2009 + 3 * number}0102",
            "판시사항": question,
            "판결요지": f"{question}은 사정에 따라 판단하여야 한다.",
            "참조조문": statutes,
        }
        (folder / f"{number}.json").write_text(json.dumps(case, ensure_ascii=False), encoding="utf-8")
    return tmp_path


def make(data, *arguments):
    return run(
        "make-pairs", "--law", data / "law.jsonl", "--prec-json-dir", data / "precedents", "--out", data / "pairs_train.jsonl", *arguments
    )


def test_pairs_have_the_four_fields_and_the_holding_stands_in(data):
    result = make(data, "--hn_per_q", "2", "--json")
    assert result.exit_code == 0, result.output
    train, valid = rows(data / "pairs_train.jsonl"), rows(data / "pairs_train_valid.jsonl")
    assert [pair["query_text"] for pair in train + valid] == [QUESTIONS[0], QUESTIONS[1], QUESTIONS[2]]
    assert {frozenset(pair) for pair in train + valid} == {frozenset({"query_text", "positive_passages", "hard_negatives", "meta"})}
    assert train[0]["positive_passages"] == ["LAW_000012_제3조", "LAW_000012_제4조"]
    assert train[0]["meta"] == {"type": "law", "law_name": "도서 대여법", "article": "제3조"}
    assert train[1]["positive_passages"] == ["PREC_2_0"]
    assert train[1]["meta"]["type"] == "prec"
    fallback = rows(data / "prec_fallback_passages.jsonl")
    assert [row["id"] for row in fallback] == ["PREC_2_0", "PREC_3_0"]
    assert fallback[0]["text"].endswith("사정에 따라 판단하여야 한다.")
    known = {row["id"] for row in fallback} | {row["id"] for row in rows(data / "law.jsonl")}
    for pair in train + valid:
        assert 1 <= len(pair["hard_negatives"]) <= 2
        assert set(pair["hard_negatives"]) <= known - set(pair["positive_passages"])


def test_later_decisions_are_the_test_file(data):
    make(data)
    assert [pair["query_text"] for pair in rows(data / "pairs_train_test.jsonl")] == [QUESTIONS[3]]


def test_cases_may_cite_administrative_rules(data):
    make(data, "--admin", data / "admin.jsonl", "--use-admin-for-prec")
    assert rows(data / "pairs_train_valid.jsonl")[0]["positive_passages"] == ["ADM_2100000000001_제1조"]
    make(data, "--admin", data / "admin.jsonl")
    assert rows(data / "pairs_train_valid.jsonl")[0]["positive_passages"] == ["PREC_3_0"]


def test_positives_are_capped(data):
    make(data, "--max-positives-per-prec", "1")
    assert rows(data / "pairs_train.jsonl")[0]["positive_passages"] == ["LAW_000012_제3조"]


def test_the_number_of_workers_makes_no_difference(data):
    make(data, "--max-workers", "1")
    one = (data / "pairs_train.jsonl").read_bytes()
    make(data, "--max-workers", "4")
    assert (data / "pairs_train.jsonl").read_bytes() == one


def test_a_part_that_would_be_empty_is_an_error(data):
    result = make(data, "--train-before", "1990-01-01", "--valid-before", "1995-01-01")
    assert result.exit_code == 1
    assert "--split case" in result.output
    assert not (data / "pairs_train.jsonl").exists()


def test_the_corpus_is_merged_with_and_without_the_fallback(data):
    make(data)
    law, admin, out = data / "law.jsonl", data / "admin.jsonl", data / "merged.jsonl"
    assert run("merge-corpus", "--law", law, "--admin", admin, "--out", out).exit_code == 0
    assert len(rows(out)) == len(STATUTES) + 1
    merged = run("merge-corpus", "--law", law, "--admin", admin, "--prec", data / "prec_fallback_passages.jsonl", "--out", out, "--json")
    assert json.loads(merged.stdout)["passages"] == {"law": len(STATUTES), "admin": 1, "prec": 2}
    ids = {row["id"] for row in rows(out)}
    assert all(set(pair["positive_passages"]) <= ids for pair in rows(data / "pairs_train.jsonl"))


def test_an_id_that_stands_in_two_files_is_an_error(data):
    result = run("merge-corpus", "--law", data / "law.jsonl", "--admin", data / "law.jsonl", "--out", data / "merged.jsonl")
    assert result.exit_code == 1
    assert "LAW_000012_제1조" in result.output
    assert not (data / "merged.jsonl").exists()


@pytest.mark.parametrize("line", ['{"id": "a b", "text": "글"}', '{"id": "a"}', '{"id": "a", "text": " "}', "{"])
def test_a_damaged_passage_file_is_named_with_its_line(data, line):
    (data / "law.jsonl").write_text(line + "\n", encoding="utf-8")
    result = run("merge-corpus", "--law", data / "law.jsonl", "--out", data / "merged.jsonl")
    assert result.exit_code == 1
    assert "line 1" in result.output
