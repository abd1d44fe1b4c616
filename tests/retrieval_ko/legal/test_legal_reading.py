"""A folder with bad files: each is named with its reason, the rest is read."""

import json

import pytest

from retrieval_ko.errors import DataError
from retrieval_ko.legal import registry
from retrieval_ko.legal.reading import ReadingReport, find_documents, read_laws
from retrieval_ko.legal.registry import DocumentType, register
from retrieval_ko.legal.structure import Article, Law, Paragraph


def reading(folder, **options):
    report = ReadingReport()
    laws = list(read_laws(find_documents(folder), report, **options))
    return laws, report


def one_article(text):
    return f"\n##### 제1조 (목적)\n\n{text}\n\n## 부칙\n"


BAD = {
    "truncated JSON": ("bad.json", lambda markdown, json_law: json_law()[:300], "not JSON"),
    "malformed JSON": ("bad.json", lambda markdown, json_law: '{"법령": }', "line 1, column 8: not JSON"),
    "JSON of another shape": ("bad.json", lambda markdown, json_law: '{"법령": ["가"]}', "expected an object in 법령"),
    "JSON that is no document": ("bad.json", lambda markdown, json_law: '{"a": 1}', "no known type of document"),
    "JSON with half a character": ("bad.json", lambda markdown, json_law: '{"법령": "\\ud800"}', "half a character"),
    "deeply nested JSON": ("bad.json", lambda markdown, json_law: "[" * 200_000, "nested too deeply"),
    "paragraphs that are no objects": (
        "bad.json",
        lambda markdown, json_law: json_law([{"조문여부": "조문", "조문번호": "1", "항": "글"}]),
        "expected objects in 항",
    ),
    "an article that is not counted": (
        "bad.json",
        lambda markdown, json_law: json_law([{"조문여부": "조문", "조문번호": "하나"}]),
        "which are no numbers",
    ),
    "an id with a slash": ("bad.md", lambda markdown, json_law: markdown(law_id="../12"), "is no id"),
    "a law without a name": ("bad.md", lambda markdown, json_law: markdown(name="''"), "has no 제목"),
    "front matter that is not YAML": ("bad.md", lambda markdown, json_law: "---\n제목: [가\n---\n\n# 가\n", "the front matter is not YAML"),
    "front matter without end": ("bad.md", lambda markdown, json_law: markdown()[:60], "the front matter has no end"),
    "Markdown without front matter": ("bad.md", lambda markdown, json_law: "# 읽어 주세요\n", "without front matter"),
    "Markdown that is cut off": ("bad.md", lambda markdown, json_law: markdown().split("**③**")[0], "the file is cut off"),
    "a law without articles": ("bad.md", lambda markdown, json_law: markdown(body="\n폐지한다.\n\n## 부칙\n"), "has no articles"),
    "a law of deleted articles": (
        "bad.md",
        lambda markdown, json_law: markdown(body=one_article("삭제 <2020.1.2>")),
        "no article that can be read",
    ),
    "an empty file": ("bad.json", lambda markdown, json_law: "", "not JSON"),
}


@pytest.mark.parametrize("case", BAD)
def test_a_bad_file_is_named_with_its_reason_and_the_rest_is_read(case, write, markdown_law, json_law):
    name, make, reason = BAD[case]
    good = write("z.md", markdown_law(name="남은 법", law_id="000099"))
    bad = write(name, make(markdown_law, json_law))
    laws, report = reading(good.parent)
    assert [law.name for law in laws] == ["남은 법"]
    assert [problem.file for problem in report.problems] == [str(bad)]
    assert reason in report.problems[0].reason


@pytest.mark.parametrize("case", BAD)
def test_strict_stops_at_the_first_bad_file(case, write, markdown_law, json_law):
    name, make, reason = BAD[case]
    write(name, make(markdown_law, json_law))
    write("z.md", markdown_law(law_id="000099"))
    with pytest.raises(DataError, match="bad") as caught:
        reading(write("a.md", markdown_law(law_id="000001", name="첫 법")).parent, strict=True)
    assert reason in caught.value.problem


def test_bytes_that_are_not_utf8_are_a_problem(write, markdown_law):
    path = write("cp949.md", "")
    path.write_bytes(markdown_law().encode("cp949"))
    _, report = reading(path.parent)
    assert "not valid UTF-8" in report.problems[0].reason


def test_an_article_of_two_megabytes_is_left_out_and_its_law_is_read(write, markdown_law):
    body = "\n##### 제1조 (큰 조)\n\n" + "가나다라 " * 200_000 + one_article("정한다.").replace("제1조", "제2조")
    path = write("big.md", markdown_law(body=body))
    assert path.stat().st_size > 2_000_000
    (law,), report = reading(path.parent)
    assert [article.number for article in law.articles] == ["제2조"]
    assert "제1조 has " in report.problems[0].reason


def test_an_article_that_stands_there_twice_is_read_once(write, markdown_law):
    body = one_article("처음이다.").replace("## 부칙\n", "") + one_article("다시이다.")
    (law,), report = reading(write("twice.md", markdown_law(body=body)).parent)
    assert [article.text for article in law.articles] == ["처음이다."]
    assert "twice" in report.problems[0].reason


def test_of_two_files_with_one_law_id_the_first_is_kept(write, markdown_law, json_law):
    write("a.md", markdown_law())
    laws, report = reading(write("b.json", json_law()).parent)
    assert len(laws) == 1
    assert "law id 000012 was read before" in report.problems[0].reason


def test_two_laws_of_one_name_are_both_read_and_reported(write, markdown_law):
    write("old.md", markdown_law(law_id="000001"))
    laws, report = reading(write("young.md", markdown_law(law_id="000002")).parent)
    assert [law.law_id for law in laws] == ["000001", "000002"]
    assert "another law is called 도서 대여법" in report.problems[0].reason


def test_a_precedent_is_passed_over_and_is_no_problem(write, markdown_law):
    write("case.json", json.dumps({"판례일련번호": "1", "판시사항": "가"}, ensure_ascii=False))
    laws, report = reading(write("law.md", markdown_law()).parent)
    assert len(laws) == 1
    assert dict(report.passed_over) == {"precedent": 1}
    assert report.problems == []


def test_what_was_read_is_counted(write, markdown_law, admin_rule):
    write("law.md", markdown_law())
    _, report = reading(write("rule.json", admin_rule(["제1조(목적) 정한다."])).parent)
    assert (report.files, dict(report.laws)) == (2, {"law": 1, "admin": 1})
    assert dict(report.articles) == {"법률": 3, "고시": 1}
    assert (report.deleted, report.empty) == (1, 1)


def test_the_order_is_that_of_the_names_and_not_of_the_disk(write, markdown_law):
    for name in ["나.md", "가/다.md", "가/나.md", "a.md"]:
        folder = write(name, markdown_law())
    root = folder.parent
    assert [path.relative_to(root).as_posix() for path in find_documents(root)] == ["a.md", "가/나.md", "가/다.md", "나.md"]


def test_names_in_decomposed_hangul_keep_their_place(write, markdown_law):
    import unicodedata

    for name in ["가.md", unicodedata.normalize("NFD", "나.md"), "다.md"]:
        root = write(name, markdown_law()).parent
    assert [unicodedata.normalize("NFC", path.name) for path in find_documents(root)] == ["가.md", "나.md", "다.md"]


@pytest.mark.parametrize("pattern", ["**/*.xml", "/absolute/*.md", ""])
def test_a_pattern_that_finds_nothing_or_cannot_be_used_is_said(pattern, write, markdown_law):
    with pytest.raises(DataError, match=r"pattern|matches"):
        find_documents(write("law.md", markdown_law()).parent, pattern)


def test_a_folder_that_is_not_there_is_said(tmp_path):
    with pytest.raises(DataError, match="no folder"):
        find_documents(tmp_path / "none")


def test_a_further_family_of_documents_plugs_in(write, monkeypatch):
    def read_letter(document):
        answer = Article("회신", "", (Paragraph(None, document.fields["회신"]),))
        return Law("letter", "7", "비조치의견서", "의견서", "", (answer,))

    monkeypatch.setattr(registry, "_TYPES", list(registry._TYPES))
    register(DocumentType("no-action letter", lambda document: "회신" in document.fields, read_letter))
    (law,), report = reading(write("letter.json", '{"회신": "조치하지 않습니다."}').parent)
    assert law.kind == "letter"
    assert report.problems == []
