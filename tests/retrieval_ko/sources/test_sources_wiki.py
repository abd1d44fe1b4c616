import json

import pytest

from retrieval_ko.collection import Collection
from retrieval_ko.errors import DataError
from retrieval_ko.files import folder_sha256
from retrieval_ko.pairs.training_pairs import read_pairs
from retrieval_ko.records import Passage
from retrieval_ko.sources.report import SourceReport, read_rows
from retrieval_ko.sources.wiki import clean_page, lead_clue, write_wiki
from retrieval_ko.sources.wiki_questions import read_questions

LEAD = "한라산(漢拏山)은 대한민국 제주도의 한가운데에 있는 방패 모양의 화산이다."
HEIGHT = "정상의 높이는 해발 1,947미터로 남한에서 가장 높은 산으로 꼽힌다. " * 3
LAKE = "꼭대기에는 지름이 약 500미터인 분화구가 있고 그 안에 백록담이라는 못이 자리 잡고 있다. " * 2
PAGES = [
    {"id": "10", "url": "https://example.org/10", "title": "한라산", "text": f"{LEAD}\n\n{HEIGHT}\n\n{LAKE}\n\n[[분류:산]]"},
    {
        "id": "11",
        "url": "https://example.org/11",
        "title": "백두산",
        "text": "백두산은 한반도의 북쪽 끝에 우뚝 솟은 산이다.\n\n" + "천지가 있다. " * 30,
    },
    {"id": "12", "url": "https://example.org/12", "title": "금지된 쪽", "text": "시험에 나올 글이다."},
]
LIMIT = 140


def write_jsonl(path, rows):
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
    return path


def write_tsv(path, rows):
    path.write_text("query-id\tcorpus-id\tscore\n" + "".join("\t".join(map(str, row)) + "\n" for row in rows), encoding="utf-8")


@pytest.fixture
def questions(tmp_path):
    folder = tmp_path / "questions"
    folder.mkdir()
    asked = {
        "t1": "한라산의 높이는 얼마나 되나?",
        "t2": "백록담은 어느 산에 있나?",
        "t3": "독도는 어디에 있나?",
        "t4": "백두산 천지의 깊이는 몇 미터인가?",
    }
    write_jsonl(folder / "train.queries.jsonl", [{"_id": key, "text": text, "source": ["mrtydi"]} for key, text in asked.items()])
    write_jsonl(folder / "dev.queries.jsonl", [{"_id": "d1", "text": "백두산 천지의 깊이는 몇 미터인가요?", "source": ["miracl"]}])
    write_tsv(folder / "train.qrels.tsv", [("t1", "10", 1), ("t1", "11", 0), ("t2", "10", 1), ("t3", "99", 1), ("t4", "11", 1)])
    write_tsv(folder / "dev.qrels.tsv", [("d1", "11", 1)])
    return folder


def convert(tmp_path, questions=None, pages=PAGES, name="wiki", **options):
    report = SourceReport()
    source = write_jsonl(tmp_path / "pages.jsonl", pages)
    read = read_questions(questions, report) if questions else None
    write_wiki(read_rows(source, report), tmp_path / name, report, source=source, questions=read, limit=LIMIT, **options)
    return Collection.read(tmp_path / name), report


def pairs(tmp_path, name="train"):
    return {pair.query_id or pair.query_text: pair for pair in read_pairs(tmp_path / f"wiki/pairs/{name}.jsonl")}


def test_pages_become_passages_judged_at_pages(tmp_path, questions):
    collection, report = convert(tmp_path, questions)
    assert collection.judged == "parent"
    assert [passage for passage in collection.passages if passage.startswith("10#")] == ["10#0", "10#1", "10#2"]
    assert collection.passages["10#0"].metadata == {"parent_id": "10", "url": "https://example.org/10"}
    assert collection.judgements == {"train": {"t1": {"10": 1, "11": 0}, "t2": {"10": 1}}, "dev": {"d1": {"11": 1}}}
    assert report.left_out["judgements of pages that are not here"] == 1
    assert report.left_out["questions of whose judged pages none is here"] == 1
    assert not report.problems


def test_a_training_question_that_dev_asks_too_is_dropped(tmp_path, questions):
    collection, report = convert(tmp_path, questions)
    assert "t4" not in collection.queries
    assert report.left_out["training questions that are near-duplicates of one in dev"] == 1


def test_without_more_to_go_by_the_positive_is_the_best_passage_of_the_page(tmp_path, questions):
    convert(tmp_path, questions)
    found = pairs(tmp_path)
    assert found["t1"].positive_passages == ["10#1"]
    assert found["t2"].positive_passages == ["10#2"]
    assert found["t1"].meta["positive_by"] == "bm25"


def test_the_paragraph_that_was_judged_is_surer(tmp_path, questions):
    (questions / "train.judgments.tsv").write_text("query-id\tpassage-id-2019\tscore\tsource\nt1\t10#2\t1\tmrtydi\n", encoding="utf-8")
    convert(tmp_path, questions)
    found = pairs(tmp_path)
    assert (found["t1"].positive_passages, found["t1"].meta["positive_by"]) == (["10#2"], "paragraph")
    assert found["t2"].meta["positive_by"] == "bm25"


def test_the_gold_text_is_surest(tmp_path, questions):
    (questions / "train.judgments.tsv").write_text("t1\t10#2\t1\tmrtydi\n", encoding="utf-8")
    gold = {"query_id": "t1", "page_id": "10", "page_by": "text", "answer": "화산", "passage": LEAD}
    write_jsonl(questions / "train.passages.jsonl", [gold, {**gold, "query_id": "t2", "page_by": "judgment"}])
    convert(tmp_path, questions)
    found = pairs(tmp_path)
    assert (found["t1"].positive_passages, found["t1"].meta["positive_by"]) == (["10#0"], "text")
    assert found["t2"].meta["positive_by"] == "bm25"


def test_titles_that_are_held_out_are_refused(tmp_path, questions):
    (questions / "excluded_titles.txt").write_text("금지된 쪽\n", encoding="utf-8")
    collection, report = convert(tmp_path, questions)
    assert not any(passage.startswith("12#") for passage in collection.passages)
    assert [problem.reason for problem in report.problems] == [
        "the page '금지된 쪽' is one of the titles that are held out; it is left out."
    ]


def test_a_clue_never_names_its_page_and_points_at_another_passage(tmp_path, questions):
    collection, _ = convert(tmp_path, questions, title_pairs=5)
    found = pairs(tmp_path, "titles")
    assert list(found) == ["대한민국 제주도의 한가운데에 있는 방패 모양의 화산이다."]  # 백두산 is judged in dev
    pair = found["대한민국 제주도의 한가운데에 있는 방패 모양의 화산이다."]
    assert pair.positive_passages == ["10#1"]
    assert pair.query_text not in collection.passages["10#1"].text


@pytest.mark.parametrize(
    ("title", "text", "clue"),
    [
        (
            "지미 카터",
            "지미 카터(1924년 ~ )는 민주당에서 나온 미국의 제39번째 대통령이다. 그는",
            "민주당에서 나온 미국의 제39번째 대통령이다.",
        ),
        (
            "뇌 (소설)",
            "《뇌》는 프랑스의 소설가 베르나르 베르베르가 쓴 장편 소설이다.",
            "프랑스의 소설가 베르나르 베르베르가 쓴 장편 소설이다.",
        ),
        ("한강", "서울을 가로지르는 강이다. 한강은 길다.", ""),
        ("고구려", "고구려는 고대 고구려 사람들이 만주에 세운 나라이다.", ""),
        ("소", "소는 짐승이다.", ""),
    ],
)
def test_what_a_lead_sentence_says_without_the_name(title, text, clue):
    assert lead_clue(Passage(_id="1#0", title=title, text=text)) == clue


def test_what_the_dump_left_of_markup_goes():
    page = '[[달]]과 [[태양|해]]는 밝다.[3]\n[[분류:별]]\n!scope="col"| 표\n여기서 formula_12 는 수이다.'
    assert clean_page(page) == "달과 해는 밝다.\n여기서 는 수이다."


def test_bad_pages_are_reported_and_the_rest_goes_on(tmp_path):
    bad = [
        {"id": "20", "title": "글이 없다", "text": ""},
        {"id": "10", "title": "두 번째", "text": "글"},
        {"title": "번호가 없다", "text": "글"},
    ]
    collection, report = convert(tmp_path, pages=[*PAGES, *bad])
    assert len(report.problems) == len(bad)
    assert collection.passages["10#0"].title == "한라산"


def test_two_runs_write_the_same_bytes(tmp_path, questions):
    hashes = set()
    for _ in range(2):
        convert(tmp_path, questions, title_pairs=5)
        hashes.add(folder_sha256(tmp_path / "wiki"))
    assert len(hashes) == 1


def test_a_folder_without_questions_is_an_error(tmp_path):
    with pytest.raises(DataError, match="questions"):
        read_questions(tmp_path / "questions", SourceReport())
