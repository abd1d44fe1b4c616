"""Public sets and own files: made on the spot, read by the code that reads the real ones."""

import csv
import gzip
import json
import unicodedata
import zipfile

import pyarrow
import pyarrow.parquet
import pytest

from retrieval_ko.collection import Collection
from retrieval_ko.errors import DataError, UsageError
from retrieval_ko.files import folder_sha256
from retrieval_ko.pairs.training_pairs import read_pairs
from retrieval_ko.sources.hub import HubName, check_hub_reachable
from retrieval_ko.sources.public import Format, ImportSettings, detect, import_source
from retrieval_ko.sources.report import SourceReport
from retrieval_ko.sources.tabular import Columns, iso_date

NEWS = [
    {"번호": "n1", "제목": "한강에 얼음이 얼었다", "본문": "올겨울 들어 가장 추운 날이었다.", "날짜": "2020. 1. 2."},
    {"번호": "n2", "제목": "지하철 요금이 오른다", "본문": "내달 초부터 150원씩 더 내야 한다.", "날짜": "20200203"},
]
NEWS_COLUMNS = Columns(id="번호", title="제목", text="본문", date="날짜")


def jsonl(rows):
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)


@pytest.fixture
def read(tmp_path):
    """Import a source and return the collection with the report."""

    def call(source, *, cache=None, strict=False, out="out", **settings):
        report = SourceReport(strict=strict)
        import_source(str(source), tmp_path / out, report, ImportSettings(**settings), cache)
        return Collection.read(tmp_path / out), report

    return call


def write_table(path, rows):
    """Write rows in the format of the path's suffix."""
    if path.suffix == ".parquet":
        pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows), path)
    elif path.suffix in {".csv", ".tsv"}:
        with path.open("w", encoding="utf-8", newline="") as file:
            writer = csv.DictWriter(file, list(rows[0]), delimiter="\t" if path.suffix == ".tsv" else ",")
            writer.writeheader()
            writer.writerows(rows)
    else:
        path.write_text(jsonl(rows), encoding="utf-8")
    return path


@pytest.mark.parametrize("suffix", ["jsonl", "csv", "tsv", "parquet"])
def test_news_keep_their_date_and_ask_with_their_title(tmp_path, read, suffix):
    collection, _ = read(write_table(tmp_path / f"news.{suffix}", NEWS), columns=NEWS_COLUMNS)
    first = collection.passages["n1"]
    assert (first.title, first.text) == ("", NEWS[0]["본문"])
    assert first.metadata == {"date": "2020-01-02", "title": NEWS[0]["제목"]}
    assert [pair.query_text for pair in read_pairs(tmp_path / "out/pairs/train.jsonl")] == [row["제목"] for row in NEWS]
    assert collection.judgements == {"train": {"q-news-1": {"n1": 1}, "q-news-2": {"n2": 1}}}


def test_titles_stay_titles_where_that_is_said(tmp_path, read):
    collection, _ = read(write_table(tmp_path / "news.csv", NEWS), columns=NEWS_COLUMNS, title_queries=False)
    assert collection.passages["n1"].title == NEWS[0]["제목"]
    assert not collection.queries


def test_questions_about_one_text_share_a_passage(tmp_path, read):
    rows = [{"context": "독도는 섬이다.", "question": f"{number}번 물음?", "id": str(number)} for number in range(3)]
    collection, _ = read(write_table(tmp_path / "mrc.parquet", rows), split="dev")
    assert list(collection.passages) == ["mrc-1-0"]
    assert [list(judged.values()) for judged in collection.judgements["dev"].values()] == [[1]] * 3
    assert not (tmp_path / "out/pairs").exists()


@pytest.mark.parametrize("positive", ["섬이다.", ["섬이다."], [{"docid": "7#1", "title": "독도", "text": "섬이다."}]])
def test_rows_of_questions_with_their_answers(tmp_path, read, positive):
    collection, _ = read(write_table(tmp_path / "pairs.jsonl", [{"query": "독도는?", "positive_passages": positive}]))
    (passage,) = collection.passages.values()
    assert passage.text == "섬이다."
    assert collection.judgements == {"train": {"q-pairs-1": {passage.id: 1}}}


def test_a_wrong_column_is_named_with_the_nearest_one(tmp_path, read):
    source = write_table(tmp_path / "news.csv", NEWS)
    with pytest.raises(UsageError, match=r"no column '본믄'; there are: 번호, 제목, 본문, 날짜. Did you mean '본문'"):
        read(source, columns=Columns(text="본믄"))


def test_a_table_without_a_text_column_is_an_error(tmp_path, read):
    with pytest.raises(UsageError, match="no column is called text; there are: a, b"):
        read(write_table(tmp_path / "t.csv", [{"a": "1", "b": "2"}]))


def test_text_and_positive_exclude_each_other(tmp_path, read):
    with pytest.raises(UsageError, match="exclude"):
        read(write_table(tmp_path / "t.csv", [{"a": "1", "b": "2"}]), columns=Columns(text="a", positive="b"))


@pytest.mark.parametrize(
    ("row", "words"),
    [
        ('{"_id": "2", "text": ""}', "empty"),
        ('{"_id": "1", "text": "또"}', "used before"),
        ('{"_id": "2"}', "missing"),
        ('{"_id": "a b", "text": "글"}', "string should match"),
        ("[]", "expected a JSON object"),
        ("{", "not JSON"),
    ],
)
def test_bad_rows_are_reported_and_the_rest_goes_on(tmp_path, read, row, words):
    source = tmp_path / "rows.jsonl"
    source.write_text(f'{{"_id": "1", "text": "글"}}\n{row}\n{{"_id": "3", "text": "글"}}\n', encoding="utf-8")
    collection, report = read(source)
    assert list(collection.passages) == ["1", "3"]
    (problem,) = report.problems
    assert problem.file == f"{source}, line 2"
    assert words in problem.reason
    with pytest.raises(DataError, match="line 2"):
        read(source, strict=True)


def test_text_in_nfd_is_normalised(tmp_path, read):
    source = write_table(tmp_path / "rows.jsonl", [{"_id": "1", "text": unicodedata.normalize("NFD", "보증금을 돌려준다.")}])
    assert read(source)[0].passages["1"].text == "보증금을 돌려준다."


def test_a_file_in_cp949_is_an_error_that_says_how_to_mend_it(tmp_path, read):
    (tmp_path / "rows.csv").write_bytes("text\n보증금\n".encode("cp949"))
    with pytest.raises(DataError, match=r"line 2.*not valid UTF-8") as caught:
        read(tmp_path / "rows.csv", strict=True)
    assert "iconv -f cp949" in caught.value.remedy


def test_an_open_quotation_mark_names_the_line_where_it_opens(tmp_path, read):
    source = tmp_path / "rows.csv"
    source.write_text('id,text\n1,글\n2,"둘째\n줄"\n3,"열린\n4,글\n', encoding="utf-8")
    collection, report = read(source, columns=Columns(id="id"))
    assert collection.passages["2"].text == "둘째\n줄"
    assert list(collection.passages) == ["1", "2"]
    assert [problem.file for problem in report.problems] == [f"{source}, line 5"]
    assert "never closed" in report.problems[0].reason


def test_a_row_with_a_field_too_many_is_reported(tmp_path, read):
    (tmp_path / "rows.csv").write_text("id,text\n1,글\n2,글,둘\n", encoding="utf-8")
    collection, report = read(tmp_path / "rows.csv")
    assert len(collection.passages) == len(report.problems) == 1


@pytest.mark.parametrize("name", ["cut.parquet", "cut.zip"])
def test_a_file_that_is_cut_off_is_an_error(tmp_path, read, name):
    source = tmp_path / name
    if name.endswith("zip"):
        with zipfile.ZipFile(source, "w") as archive:
            archive.writestr("set/corpus.jsonl", jsonl([{"_id": str(number), "text": "글"} for number in range(999)]))
    else:
        write_table(source, NEWS)
    source.write_bytes(source.read_bytes()[: source.stat().st_size // 2])
    with pytest.raises(DataError, match=name):
        read(source)


@pytest.mark.parametrize(
    "value", ["2020-01-02", "2020.1.2", "2020. 01. 02.", "20200102", "2020/1/2", "2020년 1월 2일", "2020-01-02T09:00:00Z", 20200102]
)
def test_dates_are_written_one_way(value):
    assert iso_date(value) == "2020-01-02"


@pytest.mark.parametrize("value", ["어제", "2020-13-02", "2020-02-30", ""])
def test_what_is_no_date_is_an_error(value):
    with pytest.raises(DataError, match="not a date"):
        iso_date(value)


def test_news_with_an_unreadable_date_are_kept_and_reported(tmp_path, read):
    collection, report = read(write_table(tmp_path / "news.csv", [{**NEWS[0], "날짜": "어제"}]), columns=NEWS_COLUMNS)
    assert "date" not in collection.passages["n1"].metadata
    assert "'어제' is not a date" in report.problems[0].reason


def squad(**article):
    questions = [{"id": "k1", "question": "독도는?", "answers": []}, {"guid": "k2", "question": "달은?", "is_impossible": True}]
    return {"data": [{"title": "울릉_군", "paragraphs": [{"context": "독도는 섬이다.", "qas": questions}], **article}]}


def test_korquad_and_klue(tmp_path, read):
    source = tmp_path / "set.json"
    source.write_text(json.dumps(squad(date="2020.3.4", source="신문")), encoding="utf-8")
    collection, report = read(source, split="dev")
    assert detect(source) is Format.KLUE_MRC
    (passage,) = collection.passages.values()
    assert (passage.title, passage.metadata) == ("울릉 군", {"source": "신문", "date": "2020-03-04"})
    assert collection.judgements == {"dev": {"k1": {passage.id: 1}}}
    assert report.left_out["questions that their paragraph does not answer"] == 1


@pytest.mark.parametrize("damage", [{"paragraphs": None}, {"paragraphs": [7]}, {"paragraphs": [{"context": "", "qas": []}]}])
def test_an_article_of_the_wrong_shape_is_reported_and_the_rest_goes_on(tmp_path, read, damage):
    source = tmp_path / "set.json"
    source.write_text(json.dumps({"data": squad(**damage)["data"] + squad()["data"]}), encoding="utf-8")
    collection, report = read(source, format=Format.KORQUAD)
    assert list(collection.queries) == ["k1"]
    assert "data[0]" in report.problems[0].file


@pytest.mark.parametrize("content", ["{}", "[]", '{"data": {}}', '{"data": [1]}', "{"])
def test_json_of_another_shape_is_an_error(tmp_path, read, content):
    (tmp_path / "set.json").write_text(content)
    with pytest.raises(DataError, match=r"set\.json"):
        read(tmp_path / "set.json", format=Format.KORQUAD)


@pytest.mark.parametrize(
    "rows",
    [[{"docid": "1#0", "title": "독도", "text": "섬이다."}], [{"id": "1#0", "contents": "독도\n\n섬이다."}]],
    ids=["miracl", "mrtydi"],
)
def test_miracl_and_mrtydi(tmp_path, read, rows):
    folder = tmp_path / "set"
    (folder / "corpus").mkdir(parents=True)
    (folder / "corpus/docs-0.jsonl.gz").write_bytes(gzip.compress(jsonl([*rows, {"docid": "2#0", "text": "달."}]).encode()))
    for split in ("train", "dev"):
        (folder / f"topics.set-{split}.tsv").write_text(f"{split}1\t독도는 {split}?\n", encoding="utf-8")
        (folder / f"qrels.set-{split}.tsv").write_text(f"{split}1\tQ0\t1#0\t1\n{split}1 Q0 2#0 0\n", encoding="utf-8")
    collection, report = read(folder)
    assert (collection.passages["1#0"].title, collection.passages["1#0"].text) == ("독도", "섬이다.")
    assert collection.passages["1#0"].metadata == {"parent_id": "1"}
    assert collection.judgements == {split: {f"{split}1": {"1#0": 1, "2#0": 0}} for split in ("train", "dev")}
    assert [pair.query_id for pair in read_pairs(tmp_path / "out/pairs/train.jsonl")] == ["train1"]
    assert not report.problems


@pytest.fixture
def beir(tmp_path):
    folder = tmp_path / "beir-set"
    (folder / "qrels").mkdir(parents=True)
    write_table(folder / "corpus.jsonl", [{"_id": "p1", "text": "글"}, {"_id": "p1", "text": "또"}])
    write_table(folder / "queries.jsonl", [{"_id": "q1", "text": "물음"}])
    (folder / "qrels/test.tsv").write_text("query-id\tcorpus-id\tscore\nq1\tp1\t2\nq1\tp9\t1\n", encoding="utf-8")
    return folder


@pytest.mark.parametrize("zipped", [False, True])
def test_a_beir_folder(tmp_path, read, beir, zipped):
    if zipped:
        with zipfile.ZipFile(tmp_path / "beir.zip", "w", zipfile.ZIP_DEFLATED) as archive:
            for path in sorted(beir.rglob("*.*")):
                archive.write(path, path.relative_to(tmp_path))
    collection, report = read(tmp_path / "beir.zip" if zipped else beir)
    assert collection.judgements == {"test": {"q1": {"p1": 2}}}
    assert ["line 2" in problem.file or "line 3" in problem.file for problem in report.problems] == [True, True]


@pytest.mark.parametrize("name", ["../outside.txt", "/outside.txt", "a/../../outside.txt"])
def test_a_zip_never_writes_outside_its_folder(tmp_path, read, name):
    with zipfile.ZipFile(tmp_path / "evil.zip", "w") as archive:
        archive.writestr("corpus.jsonl", jsonl([{"_id": "1", "text": "글"}]))
        archive.writestr(name, "!")
    with pytest.raises(DataError, match="outside"):
        read(tmp_path / "evil.zip")


def test_the_second_run_comes_from_the_cache_and_a_changed_file_does_not(tmp_path, read):
    source = write_table(tmp_path / "news.csv", NEWS)
    runs = [read(source, columns=NEWS_COLUMNS, cache=tmp_path / "cache", out=out) for out in ("one", "two")]
    assert [report.from_cache for _, report in runs] == [False, True]
    assert runs[0][1].written == runs[1][1].written
    assert (tmp_path / "one/corpus.jsonl").read_bytes() == (tmp_path / "two/corpus.jsonl").read_bytes()
    assert runs[1][0].name == "two"
    write_table(source, NEWS[:1])
    assert not read(source, columns=NEWS_COLUMNS, cache=tmp_path / "cache")[1].from_cache
    assert not read(source, columns=NEWS_COLUMNS, cache=tmp_path / "cache", split="dev")[1].from_cache


@pytest.mark.parametrize("damage", ["entry.json", "collection/corpus.jsonl"])
def test_a_cache_entry_that_is_not_whole_is_never_used(tmp_path, read, damage):
    source = write_table(tmp_path / "news.csv", NEWS)
    before, _ = read(source, columns=NEWS_COLUMNS, cache=tmp_path / "cache")
    (entry,) = (tmp_path / "cache").iterdir()
    (entry / damage).write_bytes((entry / damage).read_bytes()[:40])
    after, report = read(source, columns=NEWS_COLUMNS, cache=tmp_path / "cache")
    assert not report.from_cache
    assert after.passages == before.passages


def test_a_conversion_with_problems_is_reported_every_time(tmp_path, read):
    source = write_table(tmp_path / "rows.jsonl", [{"text": "글"}, {"text": ""}])
    assert [len(read(source, cache=tmp_path / "cache")[1].problems) for _ in range(2)] == [1, 1]


def test_two_runs_write_the_same_bytes(tmp_path, read, beir):
    hashes = set()
    for _ in range(2):
        read(beir)
        hashes.add(folder_sha256(tmp_path / "out"))
    assert len(hashes) == 1


def test_a_data_set_repository_is_loaded_as_from_the_hub(tmp_path, read):
    repository = tmp_path / "klue-like"
    repository.mkdir()
    rows = [{"title": "독도", "context": "독도는 섬이다.", "question": "독도는?", "guid": "g1", "is_impossible": False}]
    write_table(repository / "train.parquet", rows)
    runs = [read(f"hub:{repository}", cache=tmp_path / "cache")[1].from_cache for _ in range(2)]
    collection = Collection.read(tmp_path / "out")
    assert runs == [False, True]
    assert [(passage.title, passage.text) for passage in collection.passages.values()] == [("독도", "독도는 섬이다.")]
    assert [query.text for query in collection.queries.values()] == ["독도는?"]
    with pytest.raises(DataError, match="klue-like"):
        read(f"hub:{repository}", cache=tmp_path / "cache", split="nonsense")


def test_a_name_on_the_hub_that_offline_mode_forbids_is_one_clear_error(tmp_path, read, monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(DataError, match=r"hub:klue/klue .*HF_HUB_OFFLINE"):
        read("hub:klue/klue:mrc", cache=tmp_path / "cache")


def test_a_hub_that_does_not_answer_is_one_clear_error():
    with pytest.raises(DataError, match=r"127\.0\.0\.1.*cannot be reached"):
        check_hub_reachable("http://127.0.0.1:9", timeout_seconds=2)


def test_names_on_the_hub():
    assert HubName.parse("hub:klue/klue:mrc@v1.0") == HubName("klue/klue", "mrc", "v1.0")
    assert HubName.parse("hub:squad_kor_v1") == HubName("squad_kor_v1")
    with pytest.raises(UsageError, match="no name on the hub"):
        HubName.parse("hub:")


def test_a_format_that_cannot_be_told_is_named_by_hand(tmp_path, read):
    (tmp_path / "notes.docx").write_text("!")
    with pytest.raises(UsageError, match="cannot tell its format") as caught:
        read(tmp_path / "notes.docx")
    assert "korquad" in caught.value.remedy


def test_a_missing_file_is_an_error(tmp_path, read):
    with pytest.raises(DataError, match=r"no file or folder .*absent\.csv"):
        read(tmp_path / "absent.csv")
