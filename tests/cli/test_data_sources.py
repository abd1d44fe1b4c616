"""`sparse-ko data wiki`, `easylaw`, `boolq`, `import`, and archives for `legal`, as a person calls them."""

import io
import json
import tarfile

import pytest
import zstandard

from retrieval_ko.collection import Collection

PAGES = [{"id": str(number), "url": "", "title": f"섬 {number}", "text": f"{number}번 섬은 남해에 있다."} for number in range(3)]
RECORDS = [{"id": f"e{number}", "title": f"안내 {number}", "topic": f"{number}번째 물음", "text": "돌려받습니다."} for number in range(3)]
ROWS = [{"id": "b1", "split": "train", "question": "섬인가?", "paragraph": "독도는 섬이다.", "answer": "TRUE"}]
SOURCES = {"wiki": PAGES, "easylaw": [{**row, "text": f"{row['id']} {row['text']}"} for row in RECORDS], "boolq": ROWS}


@pytest.fixture
def packed(tmp_path):
    """Write rows as a .jsonl.zst file."""

    def write(rows, more=""):
        text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows) + more
        path = tmp_path / "rows.jsonl.zst"
        path.write_bytes(zstandard.compress(text.encode()))
        return path

    return write


@pytest.mark.parametrize("command", SOURCES)
def test_a_source_becomes_a_collection_that_passes_the_check(run, packed, tmp_path, command):
    result = run("data", command, "--source", packed(SOURCES[command]), "--out", tmp_path / "out", "--json")
    assert result.exit_code == 0, result.output
    facts = json.loads(result.stdout)
    assert facts["written"]["passages"] == len(SOURCES[command])
    assert facts["problems"] == []
    assert run("data", "check", tmp_path / "out").exit_code == 0


@pytest.mark.parametrize("command", SOURCES)
def test_a_bad_line_is_shown_and_the_exit_code_says_so(run, packed, tmp_path, command):
    source = packed(SOURCES[command], more="{not json\n")
    result = run("data", command, "--source", source, "--out", tmp_path / "out")
    assert result.exit_code == 1
    assert f"rows.jsonl.zst, line {len(SOURCES[command]) + 1}: not JSON" in result.stderr
    assert len(Collection.read(tmp_path / "out").passages) == len(SOURCES[command])


@pytest.mark.parametrize("command", SOURCES)
def test_strict_stops_and_writes_nothing(run, packed, tmp_path, command):
    result = run("data", command, "--source", packed(SOURCES[command], more="{not json\n"), "--out", tmp_path / "out", "--strict")
    assert result.exit_code == 1
    assert not (tmp_path / "out").exists()


def test_import_of_a_table(run, tmp_path):
    (tmp_path / "news.csv").write_text("제목,본문,날짜\n첫눈이 왔다,서울에 눈이 내렸다.,2020-01-02\n", encoding="utf-8")
    options = ["--title-column", "제목", "--text-column", "본문", "--date-column", "날짜"]
    result = run("data", "import", tmp_path / "news.csv", *options, "--out", tmp_path / "out", "--json")
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout)["written"] == {"passages": 1, "queries": 1, "judgements train": 1, "pairs train": 1}
    assert run("data", "check", tmp_path / "out").exit_code == 0


def test_a_wrong_column_is_wrong_use(run, tmp_path):
    (tmp_path / "news.csv").write_text("본문\n글\n", encoding="utf-8")
    result = run("data", "import", tmp_path / "news.csv", "--text-column", "본믄", "--out", tmp_path / "out")
    assert result.exit_code == 2
    assert "Did you mean '본문'?" in result.stderr


LAW = """---
제목: {name}
법령MST: 1
법령ID: '{number:06}'
법령구분: 법률
공포일자: 2024-01-02
시행일자: 2024-07-03
---

# {name}

##### 제1조 (목적)

이 법은 {noise}을 목적으로 한다.

## 부칙

이 법은 공포한 날부터 시행한다.
"""


def archive_of(count):
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for number in range(1, count + 1):
            noise = " ".join(str((number * 7919 + place) ** 3 % 1_000_003) for place in range(400))
            content = LAW.format(name=f"섬{number}법", number=number, noise=noise).encode()
            entry = tarfile.TarInfo(f"kr/섬{number}법/법률.md")
            entry.size = len(content)
            tar.addfile(entry, io.BytesIO(content))
    return zstandard.compress(buffer.getvalue())


def test_statutes_are_read_from_an_archive(run, tmp_path):
    (tmp_path / "laws.tar.zst").write_bytes(archive_of(3))
    result = run("data", "legal", "--source", tmp_path / "laws.tar.zst", "--out", tmp_path / "out")
    assert result.exit_code == 0, result.output
    assert sorted(Collection.read(tmp_path / "out").passages) == [f"LAW_{number:06}_제1조" for number in (1, 2, 3)]


def test_what_stands_before_an_archives_damage_is_read_and_the_damage_reported(run, tmp_path):
    content = archive_of(400)
    archive = tmp_path / "laws.tar.zst"
    archive.write_bytes(content[: len(content) // 2])
    result = run("data", "legal", "--source", archive, "--out", tmp_path / "out", "--json")
    assert result.exit_code == 1
    problems = json.loads(result.stdout)["problems"]
    assert any(problem["file"] == str(archive) and "cut off" in problem["reason"] for problem in problems)
    assert not any("retrieval-ko-" in str(problem) for problem in problems)
    assert 0 < len(Collection.read(tmp_path / "out").passages) < 400
    assert run("data", "legal", "--source", archive, "--out", tmp_path / "strict", "--strict").exit_code == 1
    assert not (tmp_path / "strict").exists()


def test_a_problem_in_an_archive_is_named_by_its_place_in_the_archive(run, tmp_path):
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for name, content in {"a.md": LAW.format(name="섬법", number=1, noise="섬").encode(), "b.json": b"{"}.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            tar.addfile(entry, io.BytesIO(content))
    (tmp_path / "laws.tar").write_bytes(buffer.getvalue())
    result = run("data", "legal", "--source", tmp_path / "laws.tar", "--out", tmp_path / "out")
    assert result.exit_code == 1
    assert f"{tmp_path / 'laws.tar'}:b.json" in result.stderr
