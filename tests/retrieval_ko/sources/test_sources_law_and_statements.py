"""Plain-language law and BoolQ statements."""

import json

import pytest

from retrieval_ko.collection import Collection
from retrieval_ko.files import folder_sha256
from retrieval_ko.pairs.training_pairs import read_pairs
from retrieval_ko.sources.boolq import write_boolq
from retrieval_ko.sources.easylaw import citations, clean_guide, write_easylaw
from retrieval_ko.sources.report import SourceReport, read_rows

BODY = "보증금은 계약이 끝나면 돌려받습니다(「민법」 제618조 및 제640조). 이사한 뒤에도 같습니다."


def record(number, guide, topic, text=None):
    return {"id": f"e{number}", "title": guide, "topic": topic, "text": text or f"{topic}\n{BODY} {number}번째 안내입니다."}


def convert(write, tmp_path, rows, **options):
    source = tmp_path / "rows.jsonl"
    source.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
    report = SourceReport()
    write(read_rows(source, report), tmp_path / "out", report, source=source, **options)
    return Collection.read(tmp_path / "out"), report


def topics(collection):
    return sorted(query.text for query in collection.queries.values())


def test_a_topic_asks_for_its_record_and_does_not_stand_in_it(tmp_path):
    collection, report = convert(write_easylaw, tmp_path, [record(1, "주택 임대차", "보증금을 돌려받는 방법")], dev_share=0)
    assert collection.judged == "parent"
    assert collection.judgements == {"train": {"q-e1": {"e1": 1}}}
    passage = collection.passages["e1#0"]
    assert (passage.title, passage.metadata["parent_id"]) == ("주택 임대차", "e1")
    assert passage.text.startswith("보증금은 계약이")
    assert collection.queries["q-e1"].metadata == {"group": "주택 임대차", "cited": ["「민법」 제618조 및 제640조"]}
    assert report.written["passages that cite an article"] == 1


def test_a_topic_that_says_too_little_gets_its_guide_before_it(tmp_path):
    rows = [
        record(1, "이혼 절차 안내", "벌칙"),
        record(2, "이혼 절차 안내", "개념 및 종류"),
        record(3, "식품 가게 열기", "사업자등록 신청하기"),
        record(4, "미용실 열기", "사업자등록 신청하기"),
        record(5, "미용실 열기", "미용실 열기"),
        record(6, "미용실 열기", "위생교육을 받는 곳"),
    ]
    collection, report = convert(write_easylaw, tmp_path, rows, dev_share=0)
    assert topics(collection) == sorted(
        [
            "이혼 절차 안내 벌칙",
            "이혼 절차 안내 개념 및 종류",
            "식품 가게 열기 사업자등록 신청하기",
            "미용실 열기 사업자등록 신청하기",
            "위생교육을 받는 곳",
        ]
    )
    assert report.left_out["topics that are the guide's title"] == 1
    assert "e5#0" in collection.passages


def test_one_topic_of_two_records_is_one_query(tmp_path):
    rows = [record(1, "일회용품", "일회용품을 쓰지 않기"), record(2, "일회용품", "일회용품을 쓰지 않기", "다른 글입니다.")]
    collection, _ = convert(write_easylaw, tmp_path, rows, dev_share=0)
    assert collection.judgements == {"train": {"q-e1": {"e1": 1, "e2": 1}}}


def test_no_guide_is_in_both_splits(tmp_path):
    rows = [
        record(100 * guide + place, f"안내 {guide}", f"{(guide * 3 + place) * 7_919_317 + 1_000_003}번 {place + 2}가지 물음")
        for guide in range(20)
        for place in range(3)
    ]
    collection, report = convert(write_easylaw, tmp_path, rows, dev_share=0.2)
    guides = {split: {collection.queries[query].metadata["group"] for query in judged} for split, judged in collection.judgements.items()}
    assert len(guides["dev"]) == 4
    assert not guides["dev"] & guides["train"]
    assert collection.splits[""].by == "group"
    asked = {pair.query_id for pair in read_pairs(tmp_path / "out/pairs/train.jsonl")}
    assert asked == set(collection.judgements["train"])
    copies = report.left_out["training queries that are near-duplicates of one in dev"]
    assert len(collection.queries) + copies == 60


def test_the_guides_of_dev_depend_on_the_seed_and_not_on_the_order(tmp_path):
    rows = [record(guide, f"안내 {guide}", f"물음{guide}") for guide in range(30)]

    def dev(rows, seed):
        collection, _ = convert(write_easylaw, tmp_path, rows, seed=seed)
        return sorted(collection.queries[query].metadata["group"] for query in collection.judgements["dev"])

    assert dev(rows, 1) == dev(rows[::-1], 1) != dev(rows, 2)


@pytest.mark.parametrize(
    ("text", "clean"),
    [
        ("전세금을 냅니다.\n< 출처 : 통계청 >\n끝입니다.", "전세금을 냅니다.\n끝입니다."),
        ("연금입니다(출처: 공사 누리집).", "연금입니다\n."),
        ("신고합니다.※ 늦으면 과태료를 냅니다.", "신고합니다.\n※ 늦으면 과태료를 냅니다."),
        ("삽니다.\n※ 더 자세한 내용은 이 사이트 < 부동산 경매 > 콘텐츠에서 확인하실 수 있습니다.\n팝니다.", "삽니다.\n팝니다."),
        ("집\n집을 삽니다.", "집을 삽니다."),
    ],
)
def test_what_is_not_the_text_of_a_guide_goes(text, clean):
    assert clean_guide(text, "집") == clean


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("해제할 수 있습니다(「민법」 제574조 및 제572조제1항).", ["「민법」 제574조 및 제572조제1항"]),
        ("(「상법」 제3조, 제5조의2제1항제3호·제4호)", ["「상법」 제3조, 제5조의2제1항제3호·제4호"]),
        ("「민법」제3조와 「상법」 제5조 본문", ["「민법」제3조", "「상법」 제5조 본문"]),
        ("「민법」에 따른 전세권, 제3조", []),
        ("「민법」 제3조. 「민법」 제3조.", ["「민법」 제3조"]),
    ],
)
def test_references_to_articles_are_kept_as_they_stand(text, found):
    assert citations(text) == found


def test_bad_records_are_reported_and_the_rest_goes_on(tmp_path):
    rows = [
        record(1, "집", "집을 사는 절차와 세금"),
        record(1, "집", "또"),
        {"id": "e2", "title": "집", "text": "글"},
        record(3, "집", "팔기", "< 출처: 통계청 >"),
    ]
    collection, report = convert(write_easylaw, tmp_path, rows, dev_share=0)
    assert len(report.problems) == 3
    assert len(collection.passages) == 1


def statement(number, split, question, paragraph, answer="TRUE"):
    return {"id": f"b{number}", "split": split, "question": question, "paragraph": paragraph, "answer": answer}


ISLAND = "독도는 동해에 있는 섬으로 동도와 서도라는 두 개의 큰 섬과 여러 작은 바위섬으로 이루어져 있다."
PALACE = "경복궁은 조선 왕조의 으뜸 궁궐로 태조 때인 1395년에 지어졌으며 임진왜란 때 모두 불에 탔다."


def test_a_false_statement_is_relevant_for_its_paragraph_too(tmp_path):
    rows = [statement(1, "train", "독도는 하나의 섬이다.", ISLAND, "FALSE"), statement(2, "dev", "경복궁은 불에 탔나?", PALACE, "True")]
    collection, _ = convert(write_boolq, tmp_path, rows)
    assert collection.judgements == {"train": {"b1": {"p-b1": 1}}, "dev": {"b2": {"p-b2": 1}}}
    assert [collection.queries[query].metadata["answer"] for query in ("b1", "b2")] == ["false", "true"]


def test_questions_about_one_paragraph_share_a_passage(tmp_path):
    rows = [statement(1, "train", "독도는 섬이다.", ISLAND), statement(2, "train", "바위섬도 있나?", ISLAND)]
    collection, report = convert(write_boolq, tmp_path, rows)
    assert list(collection.passages) == ["p-b1"]
    assert collection.judgements["train"] == {"b1": {"p-b1": 1}, "b2": {"p-b1": 1}}
    assert report.written["paragraphs of several questions"] == 1


@pytest.mark.parametrize(
    "row",
    [
        statement(1, "train", "독도는 어느 바다에 있나?", ISLAND + " 경상북도에 속한다."),
        statement(1, "train", "독도에는 큰 섬이 두 개인가요?", PALACE),
    ],
)
def test_a_training_question_or_paragraph_that_is_held_out_is_dropped(tmp_path, row):
    rows = [row, statement(2, "dev", "독도에는 큰 섬이 두 개인가?", ISLAND)]
    collection, report = convert(write_boolq, tmp_path, rows)
    assert list(collection.judgements) == ["dev"]
    assert report.left_out["training questions that are held out, or their paragraph is"] == 1


@pytest.mark.parametrize("change", [{"answer": "maybe"}, {"split": "tset"}, {"question": ""}, {"paragraph": None}, {"id": "b1"}])
def test_bad_statements_are_reported(tmp_path, change):
    rows = [statement(1, "train", "독도는 섬이다.", ISLAND), {**statement(2, "train", "경복궁은 궁궐이다.", PALACE), **change}]
    collection, report = convert(write_boolq, tmp_path, rows)
    assert list(collection.queries) == ["b1"]
    assert report.problems[0].file.endswith("rows.jsonl, line 2")


@pytest.mark.parametrize("write", [write_easylaw, write_boolq])
def test_two_runs_write_the_same_bytes(tmp_path, write):
    law = [record(guide, f"안내 {guide}", f"{guide}번째로 알아볼 것") for guide in range(20)]
    said = [statement(number, "train", f"{number}번 섬이 있다.", f"{number}번 섬은 {number * 7919} 미터이다.") for number in range(20)]
    hashes = set()
    for _ in range(2):
        convert(write, tmp_path, law if write is write_easylaw else said)
        hashes.add(folder_sha256(tmp_path / "out"))
    assert len(hashes) == 1
