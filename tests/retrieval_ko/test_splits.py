import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from retrieval_ko.errors import DataError, UsageError
from retrieval_ko.pairs.leakage import leaks
from retrieval_ko.pairs.splits import JudgedQuery, part_of, split_by_date, split_by_group, split_by_passage, split_name
from retrieval_ko.records import Query

SUBJECTS = (
    "임대차보증금의 반환",
    "상표권의 침해",
    "부당해고의 구제",
    "취득세의 부과",
    "교통사고의 과실",
    "유언의 방식",
    "공유물의 분할",
    "어음의 배서",
)
QUESTIONS = ("요건이 무엇인지", "효력이 제3자에게 미치는지 여부", "증명책임이 누구에게 있는지", "소멸시효가 언제 시작하는지")


@st.composite
def query_lists(draw):
    count = draw(st.integers(0, 40))
    return [
        JudgedQuery(
            id=f"q{number}",
            text=f"{draw(st.sampled_from(SUBJECTS))} {draw(st.sampled_from(QUESTIONS))} {draw(st.integers(0, 99))}",
            relevant=frozenset(draw(st.sets(st.sampled_from([f"p{passage}" for passage in range(12)]), min_size=1, max_size=3))),
            date=f"20{draw(st.integers(10, 20))}-05-01",
            group=draw(st.sampled_from(["", *(f"case{group}" for group in range(15))])),
        )
        for number in range(count)
    ]


def leaks_of(pool, split, scheme=""):
    by_id = {query.id: query for query in pool}
    queries = {query.id: Query(_id=query.id, text=query.text, metadata={"group": query.group, "date": query.date}) for query in pool}
    judgements = {
        split_name(scheme, part): {query: dict.fromkeys(by_id[query].relevant, 1) for query in ids} for part, ids in split.parts.items()
    }
    return list(leaks(queries, judgements, {scheme: split.rule}))


RULES = {
    "date": lambda pool: split_by_date(list(pool), train_before="2016-01-01", dev_before="2018-01-01"),
    "group": lambda pool: split_by_group(pool, shares=(0.5, 0.25, 0.25)),
    "passage": lambda pool: split_by_passage(pool, shares=(0.5, 0.25, 0.25)),
}


@pytest.mark.parametrize("rule", ["group", "passage"])
@settings(max_examples=50, deadline=None)
@given(pool=query_lists())
def test_no_split_leaks_and_none_loses_a_query_silently(rule, pool):
    split = RULES[rule](pool)
    assert leaks_of(pool, split, "own") == []
    assert sum(len(ids) for ids in split.parts.values()) + split.dropped.total() == len(pool)


@settings(max_examples=50, deadline=None)
@given(pool=query_lists())
def test_a_split_by_date_does_not_leak_where_a_group_has_one_date(pool):
    dates = {query.group: query.date for query in pool}
    pool = [
        JudgedQuery(query.id, query.text, query.relevant, dates[query.group] if query.group else query.date, query.group) for query in pool
    ]
    split = RULES["date"](pool)
    assert leaks_of(pool, split) == []
    assert sum(len(ids) for ids in split.parts.values()) + split.dropped.total() == len(pool)


@pytest.mark.parametrize("rule", RULES)
@settings(max_examples=12, deadline=None)
@given(pool=query_lists(), order=st.randoms())
def test_the_order_of_the_queries_does_not_matter(rule, pool, order):
    shuffled = list(pool)
    order.shuffle(shuffled)
    one, other = RULES[rule](pool), RULES[rule](shuffled)
    assert {part: set(ids) for part, ids in one.parts.items()} == {part: set(ids) for part, ids in other.parts.items()}


def test_by_date_the_boundaries_belong_to_the_later_part():
    days = ["2017-12-31", "2018-01-01", "2019-12-31", "2020-01-01"]
    pool = [JudgedQuery(day, f"{subject} 여부", frozenset({"p"}), day) for day, subject in zip(days, SUBJECTS, strict=False)]
    split = split_by_date(pool, train_before="2018-01-01", dev_before="2020-01-01")
    assert split.parts == {"train": days[:1], "dev": days[1:3], "test": days[3:]}
    assert split_by_date(pool, train_before="2018-01-01").parts == {"train": days[:1], "dev": days[1:]}


def test_a_later_query_that_repeats_an_earlier_one_is_dropped_and_counted():
    old = JudgedQuery("old", "점유의 의미와 판단 기준", frozenset({"p"}), "2010-01-01")
    same = JudgedQuery("same", "점유의 의미와 판단기준 및 도로 부지의 점유자", frozenset({"p"}), "2018-06-01")
    new = JudgedQuery("new", "상표의 유사 여부를 판단하는 방법", frozenset({"p"}), "2018-06-01")
    split = split_by_date([old, same, new], train_before="2018-01-01")
    assert split.parts == {"train": ["old"], "dev": ["new"]}
    assert split.dropped.total() == 1


def test_the_shares_are_about_what_was_asked_for():
    rng = random.Random(0)
    pool = [
        JudgedQuery(f"q{n}", "".join(rng.choices("가나다라마바사아자차카타파하", k=40)), frozenset({f"p{n}"}), group=f"g{n}")
        for n in range(2000)
    ]
    parts = split_by_group(pool, shares=(0.8, 0.1, 0.1)).parts
    assert 0.77 < len(parts["train"]) / 2000 < 0.83
    assert parts != split_by_group(pool, shares=(0.8, 0.1, 0.1), seed=1).parts


def test_what_cannot_be_split_is_said():
    undated = [JudgedQuery("q1", "보증금", frozenset({"p"}))]
    with pytest.raises(DataError, match=r"q1 has no date"):
        split_by_date(undated, train_before="2018-01-01")
    with pytest.raises(UsageError, match="before it begins"):
        split_by_date([], train_before="2018-01-01", dev_before="2017-01-01")
    for shares in ((0.5, 0.1, 0.1), (0.0, 0.5, 0.5), (1.2, -0.1, -0.1)):
        with pytest.raises(UsageError, match="shares"):
            split_by_group([], shares=shares)


def test_names_of_splits():
    assert part_of("train") == ("", "train")
    assert part_of("article-dev") == ("article", "dev")
    assert part_of("my-own-test") == ("my-own", "test")
    assert part_of("all") is None


@pytest.mark.parametrize(
    ("kind", "train", "dev"),
    [
        ("query", {"_id": "q1"}, {"_id": "q1"}),
        ("near-duplicate", {"_id": "q1", "text": "임대차 보증금 반환의 시기"}, {"_id": "q2", "text": "임대차보증금 반환의 시기와 방법"}),
        ("group", {"_id": "q1", "metadata": {"group": "c"}}, {"_id": "q2", "metadata": {"group": "c"}}),
        ("passage", {"_id": "q1", "on": "p1"}, {"_id": "q2", "on": "p1"}),
        ("date", {"_id": "q1", "metadata": {"date": "2019-01-01"}}, {"_id": "q2", "metadata": {"date": "2018-12-31"}}),
    ],
)
def test_every_kind_of_leak_is_found(kind, train, dev):
    from retrieval_ko.collection import SplitRule

    texts = {"q1": "보증금을 돌려받는 방법", "q2": "상표를 등록하는 절차"}
    queries = {row["_id"]: Query.model_validate({"text": texts[row["_id"]], **row}) for row in (train, dev)}
    judgements = {"train": {train["_id"]: {train.get("on", "p1"): 1}}, "dev": {dev["_id"]: {dev.get("on", "p2"): 1}}}
    rule = SplitRule(by=kind if kind in {"passage", "date"} else "group")
    found = list(leaks(queries, judgements, {"": rule}))
    assert [leak.kind for leak in found] == [kind]
    assert train["_id"] in str(found[0])
    assert dev["_id"] in str(found[0])
