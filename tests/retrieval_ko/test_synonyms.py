import json
import random

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from retrieval_ko.errors import DataError, UsageError
from retrieval_ko.records import SynonymPair
from retrieval_ko.synonyms.building import build, write_built
from retrieval_ko.synonyms.checking import check_folder
from retrieval_ko.synonyms.cleaning import Clean, Rule, clean
from retrieval_ko.synonyms.merging import merge
from retrieval_ko.synonyms.reading import RawPair, chosen, licence_of, read_source
from retrieval_ko.synonyms.sampling import sample
from retrieval_ko.synonyms.splitting import sides
from retrieval_ko.text import morphemes, normalize

NOUNS = {
    "계약": "contract", "법원": "court", "판사": "judge", "병원": "hospital", "의사": "doctor", "환자": "patient", "약국": "pharmacy",
    "학교": "school", "교사": "teacher", "학생": "student", "시험": "exam", "은행": "bank", "대출": "loan", "이자": "interest",
    "세금": "tax", "도로": "road", "자동차": "car", "비행기": "airplane", "공항": "airport", "여권": "passport", "날씨": "weather",
    "음악": "music", "영화": "movie", "도서관": "library", "신문": "newspaper", "경찰": "police", "소방서": "fire station",
    "시장": "market", "농부": "farmer", "바다": "sea", "강아지": "puppy", "고양이": "cat", "컴퓨터": "computer", "전화": "telephone",
}  # fmt: skip


def raw(ko, en, source="mine", domain=""):
    return RawPair(ko, en, source, domain, "mine.jsonl, line 1")


def judged(ko, en, source="mine", domain=""):
    return clean(raw(ko, en, source, domain), normalize(ko), morphemes(normalize(ko)))


def built(*pairs, **options):
    return build([raw(*pair) for pair in pairs], **{"test_size": 0, **options})


def terms(pairs):
    return {(pair.ko, pair.en) for pair in pairs}


def lines(path, rows):
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
    return path


# reading


def test_every_kind_of_file_reads_alike(tmp_path):
    rows = [{"ko": "보증금", "en": "deposit"}, {"ko": "임대인", "en": "landlord, owner"}]
    lines(tmp_path / "terms.jsonl", rows)
    (tmp_path / "packed.jsonl.zst").write_bytes(zstandard.compress((tmp_path / "terms.jsonl").read_bytes()))
    (tmp_path / "terms.csv").write_text('en,ko\ndeposit,보증금\n"landlord, owner",임대인\n', encoding="utf-8")
    (tmp_path / "bare.tsv").write_text("보증금\tdeposit\n임대인\tlandlord, owner\n", encoding="utf-8-sig")
    collection = tmp_path / "collection"
    collection.mkdir()
    lines(collection / "synonyms.jsonl", rows)
    expected = [("보증금", "deposit"), ("임대인", "landlord, owner")]
    for name in ("terms.jsonl", "packed.jsonl.zst", "terms.csv", "bare.tsv", "collection"):
        assert [(pair.ko, pair.en) for pair in read_source(tmp_path / name)] == expected, name
    assert {pair.source for pair in read_source(tmp_path / "packed.jsonl.zst")} == {"packed"}


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("a.jsonl", '{"ko": "보증금", "en": "deposit"}\n{"ko": "보증금"}\n', ["a.jsonl, line 2", "no en"]),
        ("a.jsonl", '{"ko": 3, "en": "deposit"}\n', ["a.jsonl, line 1", "ko", "not a string"]),
        ("a.csv", "ko,en\n보증금,deposit\n임대인\n", ["a.csv, line 3", "expected 2 fields"]),
        ("a.csv", '보증금,"deposit\n', ["a.csv", "not a table"]),
        ("a.xlsx", "", ["a.xlsx", "what kind"]),
    ],
)
def test_a_faulty_source_is_named_with_its_line(tmp_path, name, text, words):
    (tmp_path / name).write_text(text, encoding="utf-8")
    with pytest.raises(DataError) as caught:
        list(read_source(tmp_path / name))
    assert all(word in caught.value.problem for word in words)


def test_sources_and_licences_filter():
    pairs = [raw("영어", "English", "cldr-languages"), raw("회귀", "regression", "d2l"), raw("보증금", "deposit", "my-firm")]
    assert [pair.source for pair in filter(chosen(["cldr-*", "d2l"], []), pairs)] == ["cldr-languages", "d2l"]
    assert [pair.source for pair in filter(chosen([], ["Unicode-3.0"]), pairs)] == ["cldr-languages"]
    assert licence_of("my-firm") == "unknown"


# cleaning


@pytest.mark.parametrize(
    ("ko", "en", "rule"),
    [
        ("", "deposit", Rule.EMPTY),
        ("파", "green onion", Rule.ONE_CHARACTER),
        ("에이", "A", Rule.ONE_CHARACTER),
        ("API", "API", Rule.IDENTICAL),
        ("API 키", "api 키", Rule.IDENTICAL),
        ("1994", "1994", Rule.NUMBERS),
        ("계약", "2024-01", Rule.NUMBERS),
        ("契約", "contract", Rule.NO_HANGUL),
        ("ㅋㅋ", "lol", Rule.LONE_JAMO),
        ("계약", "договор", Rule.NOT_LATIN),
        ("계약", "(contract", Rule.ODD_SIGNS),
        ("계약", "contract of two and more parties together", Rule.TOO_LONG),
        ("했다", "did", Rule.INFLECTED),
        ("맛있어요", "is delicious", Rule.INFLECTED),
        ("아름다운", "beautiful", Rule.INFLECTED),
        ("부터", "from", Rule.INFLECTED),
        ("그리고", "and", Rule.NO_CONTENT),
    ],
)
def test_what_is_no_pair_of_terms_is_left_out_by_rule(ko, en, rule):
    assert judged(ko, en) is rule


@pytest.mark.parametrize(
    ("ko", "en", "source", "rule"),
    [
        ("알 수 없는 언어", "Unknown language", "cldr-languages", Rule.NO_TERM),
        ("다크 오렌지", "darkorange", "soundblue-words", Rule.RUN_TOGETHER),
        ("빙산의 일각", "tip of the iceberg", "soundblue-words", Rule.TOO_LONG),
        ("역자서문", "translator", "soundblue-domains", Rule.HALF_TRANSLATED),
        ("서울문화사", "inc", "wikipedia", Rule.COMPANY),
        ("음악 감독", "der musikdirektor", "wikipedia", Rule.FOREIGN),
    ],
)
def test_each_source_has_faults_of_its_own(ko, en, source, rule):
    assert judged(ko, en, source) is rule


@pytest.mark.parametrize(
    ("ko", "en", "mended"),
    [
        ("유사하", "be similar", ("유사하다", "similar")),
        ("폭발하다", "to explode", ("폭발하다", "explode")),
        ("평가하", "rate", ("평가하다", "rate")),
        ("  검색\u00a0엔진 ", "search  engine", ("검색 엔진", "search engine")),
        ("\u1100\u1168\u110b\u1163\u11a8", "contract", ("계약", "contract")),
    ],
)
def test_what_can_be_mended_is_mended(ko, en, mended):
    pair = judged(ko, en, "soundblue-words")
    assert isinstance(pair, Clean)
    assert (pair.ko, pair.en) == mended
    assert pair.mended


@pytest.mark.parametrize("ko", ["빙하", "부하", "카키"])
def test_a_noun_that_only_looks_like_a_stem_stays(ko):
    assert judged(ko, "glacier", "soundblue-words").ko == ko


@pytest.mark.parametrize(
    ("ko", "en", "apart"),
    [
        ("줄리아 가너", "Julia Garner", "names"),
        ("엑서터", "Exeter", "names"),
        ("꾀꼬리버섯", "Cantharellus cibarius", "names"),
        ("파이어니어 10호", "Pioneer 10", "names"),
        ("단문 메시지 서비스", "SMS", "abbreviations"),
        ("세포 배양", "cell culture", ""),
        ("가스 상수", "Gas constant", ""),
        ("김동찬", "Kim dong chan", "names"),
        ("보수주의", "Conservatism", ""),
    ],
)
def test_an_encyclopaedias_names_are_put_apart(ko, en, apart):
    assert judged(ko, en, "wikipedia").apart == apart


def test_capitals_say_nothing_in_other_sources():
    assert judged("레물라드", "Remoulade", "soundblue-domains").apart == ""


# ambiguity


def test_a_term_of_many_meanings_is_left_out():
    result = built(("배", "boat"), ("사과", "apple"), ("배치", "batch"), ("배치", "placement"), ("배치", "layout"), ("사전", "dictionary"))
    assert terms(result.training) == {("사과", "apple"), ("사전", "dictionary")}
    assert result.report["left_out"]["ambiguous"] == 3
    assert result.report["left_out"]["a side is one character"] == 1


def test_two_variants_stay_and_a_third_does_not():
    result = built(
        ("임금", "wage"), ("임금", "salary"), ("세탁기", "washing machine"), ("세탁기", "washer"), ("세탁기", "clothes washing machine")
    )
    assert {("임금", "wage"), ("임금", "salary")} < terms(result.training)
    assert sum(pair.ko == "세탁기" for pair in result.training) == 2


def test_a_meaning_that_more_sources_give_dominates():
    pairs = [
        ("전하", "charge", "one"),
        ("전하", "charge", "two"),
        ("전하", "charge", "three"),
        ("전하", "highness", "one"),
        ("전하", "majesty", "two"),
    ]
    assert terms(built(*pairs).training) == {("전하", "charge")}


def test_one_word_in_two_fields_is_a_homonym_and_left_out():
    pairs = [("의사", "pseudo", "a", "statistics"), ("의사", "doctor", "b", "hospital"), ("대만", "Taiwan", "cldr-territories", "names")]
    result = built(*pairs, ("대만", "greater curvature", "b", "body"))
    assert terms(result.training) == {("대만", "Taiwan")}


def test_the_reverse_is_ambiguous_too():
    assert terms(built(("충전", "charge"), ("고발", "charge"), ("요금", "charge"), ("계약", "contract")).training) == {("계약", "contract")}


def test_case_spacing_and_plural_make_no_new_pair():
    result = built(("검색 엔진", "search engine"), ("검색엔진", "Search Engines"), ("계약", "contract"))
    assert len(result.training) == 2
    assert result.report["left_out"]["said before"] == 1


# the wall between training and test


def test_no_term_stands_on_both_sides_of_the_split():
    extra = [("가계약", "preliminary contract"), ("병원", "hospitals"), ("학생", "pupil"), ("은행 대출", "bank loan")]
    result = built(*NOUNS.items(), *extra, test_size=10)
    assert len(result.test) == 10
    held = set().union(*(sides(pair) for pair in result.test))
    assert not any(sides(pair) & held for pair in [*result.training, *result.names])


def test_the_order_of_the_source_does_not_matter():
    shuffled = list(NOUNS.items())
    random.Random(1).shuffle(shuffled)
    one, other = (built(*pairs, test_size=8, seed=3) for pairs in (NOUNS.items(), shuffled))
    assert one[:3] == other[:3]
    assert built(*NOUNS.items(), test_size=8, seed=4).test != one.test


def test_the_test_list_is_balanced_over_fields():
    nouns = [(*pair, "mine", "small" if place < 6 else "large") for place, pair in enumerate(NOUNS.items())]
    domains = [pair.domain for pair in built(*nouns, test_size=8).test]
    assert sorted(domains) == ["large"] * 4 + ["small"] * 4


def test_what_else_training_reads_stays_out_of_the_test_list():
    also = [raw(ko, "something else") for ko in list(NOUNS)[:20]]
    result = built(*NOUNS.items(), test_size=10, also=also)
    assert not {pair.ko for pair in result.test} & {pair.ko for pair in also}


def test_too_few_pairs_for_a_test_list_is_an_error():
    with pytest.raises(DataError, match="1,000 common"):
        built(*NOUNS.items(), test_size=1000)


def test_every_pair_that_was_read_is_accounted_for(tmp_path):
    result = built(*NOUNS.items(), ("API", "API"), ("배", "boat"), ("줄리아 가너", "Julia Garner", "wikipedia"), test_size=5)
    counts = result.report["pairs"]
    assert counts["read"] == len(NOUNS) + 3 == counts["training"] + counts["test"] + counts["names"] + counts["left_out"]
    assert sum(result.report["left_out"].values()) == counts["left_out"] == 2
    assert result.report["licences"] == {"CC-BY-SA-3.0": ["wikipedia"], "unknown": ["mine"]}
    write_built(result, tmp_path / "synonyms")
    assert check_folder(tmp_path / "synonyms") == []


# checking


def test_check_finds_every_fault_with_its_line(tmp_path):
    lines(
        tmp_path / "synonyms.jsonl",
        [
            {"ko": "계약", "en": "contract"},
            {"ko": "계 약", "en": "Contract"},
            {"ko": "배", "en": "boat"},
            {"ko": "법원", "en": " "},
            {"ko": "\u1100\u1161\u1102\u1161", "en": "ghana"},
            {"ko": "검색엔진", "en": "retrieval engine"},
            {"ko": "소장", "en": "lawsuits"},
        ],
    )
    lines(tmp_path / "synonyms-test.jsonl", [{"ko": "검색 엔진", "en": "search engine"}, {"ko": "소송", "en": "lawsuit"}])
    found = {(defect.line, defect.reason) for defect in check_folder(tmp_path)}
    assert found == {
        (2, "says 계 약 – Contract again, as line 1"),
        (3, "ko is one character (배)"),
        (4, "en is empty"),
        (5, "ko is not in NFC (\u1100\u1161\u1102\u1161)"),
        (6, "검색엔진 – retrieval engine shares a term with the test pair 검색 엔진 – search engine"),
        (7, "소장 – lawsuits shares a term with the test pair 소송 – lawsuit"),
    }


def test_check_says_where_a_file_is_not_utf8(tmp_path):
    (tmp_path / "synonyms.jsonl").write_bytes('{"ko": "계약", "en": "contract"}\n'.encode() + "계약".encode("cp949"))
    (defect,) = check_folder(tmp_path)
    assert (defect.line, "UTF-8" in defect.reason) == (2, True)


def test_check_looks_at_further_training_files(tmp_path):
    lines(tmp_path / "synonyms.jsonl", [{"ko": "계약", "en": "contract"}])
    lines(tmp_path / "synonyms-test.jsonl", [{"ko": "소송", "en": "lawsuit"}])
    also = lines(tmp_path / "mine.jsonl", [{"ko": "소송", "en": "litigation"}])
    assert check_folder(tmp_path) == []
    assert [defect.file for defect in check_folder(tmp_path, [also])] == [str(also)]


# merging, sampling


def test_a_later_file_has_the_say(tmp_path):
    first = lines(tmp_path / "a.jsonl", [{"ko": "임금", "en": "salary"}, {"ko": "계약", "en": "contract"}, {"ko": "법원", "en": "court"}])
    second = lines(tmp_path / "b.jsonl", [{"ko": "임금", "en": "wage"}, {"ko": "계약", "en": "Contracts"}])
    merged = merge([first, second])
    assert {(pair.ko, pair.en, pair.source) for pair in merged.pairs} == {
        ("임금", "wage", "b"),
        ("계약", "Contracts", "b"),
        ("법원", "court", "a"),
    }
    assert [(conflict.ko, conflict.dropped, conflict.kept) for conflict in merged.conflicts] == [("임금", ["salary"], ["wage"])]
    assert merged.repeated == 1


@given(st.lists(st.tuples(st.sampled_from(sorted(NOUNS)), st.sampled_from(sorted(NOUNS.values()))), min_size=1))
def test_merging_a_file_with_itself_changes_nothing(tmp_path_factory, pairs):
    source = lines(tmp_path_factory.mktemp("merge") / "a.jsonl", [{"ko": ko, "en": en} for ko, en in pairs])
    once, twice = merge([source]), merge([source, source])
    assert twice.pairs == once.pairs
    assert not twice.conflicts


def test_a_sample_is_the_same_for_the_same_seed_whatever_the_order():
    pairs = [SynonymPair(ko=ko, en=en) for ko, en in NOUNS.items()]
    drawn = sample(pairs, 10, seed=1)
    assert drawn == sample(pairs[::-1], 10, seed=1) != sample(pairs, 10, seed=2)
    assert len(set(drawn)) == 10
    with pytest.raises(UsageError, match="there are 34"):
        sample(pairs, 35)
