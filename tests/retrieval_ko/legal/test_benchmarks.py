"""`sparse-ko data precedents`: small statutes and cases, as a person has them, to the three collections."""

import json
import tarfile

import pytest
import typer
from typer.testing import CliRunner

from retrieval_ko.collection import Collection
from retrieval_ko.files import folder_sha256
from retrieval_ko.pairs.leakage import leaks
from retrieval_ko.pairs.training_pairs import read_pairs
from sparse_ko_cli.data.precedents import precedents

app = typer.Typer()
app.command()(precedents)

FEES = "책을 늦게 돌려준 사람에게 연체료를 청구하는 경우 그 손해를 증명하여야 하는지 여부(소극)"
PURPOSE = "도서관이 대여를 거절할 때 법의 목적을 고려하여야 하는지 여부(적극)"
E_BOOKS = "전자책의 시험판을 빌려주는 행위가 대여에 포함되는지 여부(소극)"
OLD_LAW = "종전의 규정에 따라 빌린 책의 반환 기한을 정하는 방법"

REPEATED = "책을 늦게 돌려준 사람에게 연체료를 청구하는 경우 손해를 증명하여야 하는지"
FIRST = "대법원 2010. 3. 2. 선고 2010다101 판결"

CASES = {
    "101": {
        "선고일자": "20100302",
        "판시사항": f"[1] {FEES} [2] {PURPOSE}",
        "판결요지": "[1] 손해를 증명할 필요는 없다. [2] 고려하여야 한다.",
        "참조조문": "[1] 도서 대여법 제3조의2 / [2] 도서 대여법 제1조, 제2조",
    },
    "102": {
        "선고일자": "20120506",
        "판시사항": f"[1] {FEES} [2] {OLD_LAW}",
        "판결요지": "[1] 없다. [2] 종전의 예에 따른다.",
        "참조조문": "[1] 도서 대여법 제3조의2 / [2] 구 도서 대여법(2011. 1. 1. 개정되기 전의 것) 제2조",
        "참조판례": f"[1] {FIRST}",
    },
    "103": {
        "선고일자": "20180708",
        "판시사항": E_BOOKS,
        "판결요지": "시험판은 대여의 대상이 아니다.",
        "참조조문": "도서 대여법 제2조, 도서 대여법 시행규칙 제1조, 도서 대여법 제99조",
        "참조판례": f"{FIRST}, 대법원 1999. 9. 9. 선고 99다999 판결",
    },
    "104": {"선고일자": "20190102", "판시사항": REPEATED, "판결요지": "증명할 필요가 없다.", "참조조문": "도서 대여법 제3조의2"},
}


def case(serial, **fields):
    number = f"{fields['선고일자'][:4]}다{serial}"
    always = {"판례일련번호": serial, "사건명": "연체료", "사건번호": number, "법원명": "대법원", "판결유형": "판결"}
    return json.dumps(always | fields, ensure_ascii=False)


@pytest.fixture
def source(write, markdown_law, tmp_path):
    text = markdown_law().replace("부칙 <제1호,2020.1.2>", "부칙 <제1호,2001.1.2>")
    write("laws/법률.md", text)
    ministry = {"제목: 도서 대여법": "제목: 도서 대여법 시행규칙", "'000012'": "'000014'", "법령구분: 법률": "법령구분: 문화체육관광부령"}
    for found, instead in ministry.items():
        text = text.replace(found, instead)
    write("laws/규칙.md", text)
    for serial, fields in CASES.items():
        write(f"cases/{serial}.json", case(serial, **fields))
    return tmp_path / "raw"


def run(source, out, *arguments):
    given = ["--source", source / "cases", "--statutes", source / "laws", "--out", out, *arguments]
    return CliRunner().invoke(app, [str(argument) for argument in given])


def test_issues_find_their_articles_cases_and_holdings(source, tmp_path):
    result = run(source, tmp_path / "out", "--json")
    assert result.exit_code == 0, result.output

    cite = Collection.read(tmp_path / "out" / "legal-cite")
    assert cite.passages["LAW_000012_제3조의2"].passage_text.startswith("도서 대여법 제3조의2(연체료)")
    assert not any(passage.startswith("LAW_000014") for passage in cite.passages)
    assert cite.judgements["train"] == {
        "ISSUE_101_1": {"LAW_000012_제3조의2": 1},
        "ISSUE_101_2": {"LAW_000012_제1조": 1, "LAW_000012_제2조": 1},
    }
    assert cite.judgements["dev"] == {"ISSUE_103_0": {"LAW_000012_제2조": 1}}
    assert cite.queries["ISSUE_103_0"].metadata["date"] == "2018-07-08"

    prec = Collection.read(tmp_path / "out" / "legal-prec")
    assert set(prec.passages) == {"PREC_101", "PREC_102"}
    assert prec.judgements == {"dev": {"ISSUE_103_0": {"PREC_101": 1}}}

    holding = Collection.read(tmp_path / "out" / "legal-holding")
    assert holding.judgements["dev"] == {"ISSUE_103_0": {"PREC_103_0": 1}}
    assert holding.judgements["train"]["ISSUE_102_2"] == {"PREC_102_2": 1}
    assert holding.passages["PREC_102_2"].text == "종전의 예에 따른다."
    pairs = read_pairs(tmp_path / "out" / "legal-holding" / "pairs" / "train.jsonl")
    assert [pair.query_id for pair in pairs] == list(holding.judgements["train"])


def test_what_is_left_out_is_counted(source, tmp_path):
    facts = json.loads(run(source, tmp_path / "out", "--json").stdout)
    assert facts["issues"] == {"found": 6, "kept": 5, "dropped": {"an older case asks it word for word": 1}}
    assert facts["splits_dropped"]["by date"] == {"dev: a near-duplicate of an earlier part's query": 1}
    assert facts["citations"]["old law (구 …, or the wording before an amendment)"] == 1
    assert facts["citations"]["no such article (deleted or never was)"] == 1
    assert facts["left_out"]["citations of statutes that are no passages of legal-cite"] == 1
    assert sum(facts["case_citations"].values()) == 2
    assert facts["collections"]["legal-cite"]["queries"] == 4


def test_no_split_leaks(source, tmp_path):
    run(source, tmp_path / "out")
    for name in ("legal-cite", "legal-prec", "legal-holding"):
        read = Collection.read(tmp_path / "out" / name)
        assert read.splits[""].by == "date"
        assert list(leaks(read.queries, read.judgements, read.splits)) == []


def test_a_case_is_no_answer_to_its_own_question(source, tmp_path):
    second = case("102", **(CASES["102"] | {"참조판례": f"[2] {FIRST}"}))
    (source / "cases" / "102.json").write_text(second, encoding="utf-8")
    run(source, tmp_path / "out")
    prec = Collection.read(tmp_path / "out" / "legal-prec")
    assert prec.judgements["train"] == {"ISSUE_102_2": {"PREC_101": 1}}
    assert prec.queries["ISSUE_102_2"].metadata["excluded"] == ["PREC_102"]
    assert "excluded" not in prec.queries["ISSUE_103_0"].metadata


def test_an_archive_gives_the_same_collections_as_its_folder_and_so_does_a_second_run(source, tmp_path):
    for name in ("cases", "laws"):
        with tarfile.open(tmp_path / f"{name}.tar.gz", "w:gz") as tar:
            tar.add(source / name, arcname=name)
    for out in ("one", "two"):
        run(source, tmp_path / out)
    packed = ["--source", tmp_path / "cases.tar.gz", "--statutes", tmp_path / "laws.tar.gz", "--out", tmp_path / "three"]
    assert CliRunner().invoke(app, [str(argument) for argument in packed]).exit_code == 0
    assert folder_sha256(tmp_path / "one") == folder_sha256(tmp_path / "two") == folder_sha256(tmp_path / "three")


def test_a_broken_case_is_reported_and_the_rest_goes_on_unless_strict(source, tmp_path):
    (source / "cases" / "000.json").write_text("{", encoding="utf-8")
    result = run(source, tmp_path / "out", "--json")
    assert result.exit_code == 1
    assert "000.json" in json.loads(result.stdout)["problems"][0]["file"]
    assert (tmp_path / "out" / "legal-cite" / "corpus.jsonl").exists()
    strict = run(source, tmp_path / "strict", "--strict")
    assert strict.exit_code == 1
    assert "000.json" in strict.output
    assert not (tmp_path / "strict" / "legal-cite").exists()


def test_cases_without_an_answer_leave_nothing_half_made(source, tmp_path):
    for path in (source / "cases").iterdir():
        path.unlink()
    (source / "cases" / "1.json").write_text(case("1", 선고일자="20100302", 판시사항=FEES, 참조조문="없는 법 제1조"), encoding="utf-8")
    result = run(source, tmp_path / "out")
    assert result.exit_code == 1
    assert "legal-cite" in result.output
    assert not list((tmp_path / "out").rglob("*.jsonl"))


def test_a_cited_case_that_is_the_issue_word_for_word_answers_nothing(source, write, tmp_path):
    same = "책을 베껴 쓰는 행위가 대여에 포함되는지 여부"
    cited = "대법원 2011. 5. 5. 선고 2011다202 판결"
    write("cases/201.json", case("201", 선고일자="20110505", 판시사항=same, 참조판례=f"{cited}, {FIRST}"))
    write("cases/202.json", case("202", 선고일자="20110505", 판시사항=same))
    result = run(source, tmp_path / "out", "--json")
    assert result.exit_code == 0, result.output
    prec = Collection.read(tmp_path / "out" / "legal-prec")
    [query] = [query for query, record in prec.queries.items() if record.text == same]
    assert set(prec.judgements["train"][query]) == {"PREC_101"}
    assert json.loads(result.stdout)["left_out"]["cited cases that say nothing but the issue itself, word for word"] == 1
