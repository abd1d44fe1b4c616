"""Queries fall into groups by rules that can be said in a sentence."""

import pytest

from retrieval_ko.collection import Collection
from retrieval_ko.evaluation.groups import group_means, language_of, names_title, query_groups, train_split_of
from retrieval_ko.records import Passage, Query

ARTICLE = "10ㆍ27법난 피해자의 명예회복 등에 관한 법률 제3조(정의)"


def collection(judged="passage"):
    passages = [
        Passage(id="a#0", title="민법 제750조(불법행위의 내용)", text="글", metadata={"parent_id": "a"}),
        Passage(id="a#1", title="둘째 쪽", text="글", metadata={"parent_id": "a"}),
        Passage(id="b#0", title="지미 카터", text="글", metadata={"parent_id": "b"}),
    ]
    texts = {"t": "배상", "q1": "민법 제 750 조의 손해배상", "q2": "지미카터의 나이", "q3": "NATO 가입국", "q4": "who is he"}
    units = ("a", "b") if judged == "parent" else ("a#0", "b#0")
    dev = {"q1": {units[0]: 1}, "q2": {units[1]: 1}, "q3": {units[1]: 1}, "q4": {units[0]: 1, units[1]: 1}}
    return Collection(
        name="small",
        passages={passage.id: passage for passage in passages},
        queries={key: Query(id=key, text=text, metadata={"kind": "plain"} if key == "q1" else {}) for key, text in texts.items()},
        judgements={"train": {"t": {units[0]: 1}}, "dev": dev},
        judged=judged,
    )


@pytest.mark.parametrize("judged", ["passage", "parent"])
def test_queries_by_answer_name_language_and_mark(judged):
    assert query_groups(collection(judged), "dev", ["kind"]) == {
        "answer": {"seen": ["q1", "q4"], "unseen": ["q2", "q3"]},
        "naming": {"does not name it": ["q3", "q4"], "names its answer": ["q1", "q2"]},
        "language": {"english": ["q4"], "korean": ["q1", "q2"], "mixed": ["q3"]},
        "kind": {"plain": ["q1"], "unmarked": ["q2", "q3", "q4"]},
    }


def test_without_a_training_part_nothing_is_seen_or_unseen():
    small = collection()
    del small.judgements["train"]
    assert "answer" not in query_groups(small, "dev")


@pytest.mark.parametrize(("split", "train"), [("dev", "train"), ("article-dev", "article-train"), ("case-test", "case-train")])
def test_the_training_part_is_that_of_the_same_scheme(split, train):
    assert train_split_of(split) == train


@pytest.mark.parametrize(
    ("query", "title", "named"),
    [
        ("민법 제750조", "민법 제750조(불법행위의 내용)", True),
        ("구 민법 (2010. 1. 1. 개정) 제750조 제1항", "민법 제750조(불법행위의 내용)", True),
        ("민법 제750조의2", "민법 제750조(불법행위의 내용)", False),
        ("민법 제75조", "민법 제750조(불법행위의 내용)", False),
        ("민법 제7조", "민법 제7조의2(무엇)", False),
        ("상법 제750조", "민법 제750조(불법행위의 내용)", False),
        ("10·27법난 피해자의 명예회복 등에 관한 법률 제3조 제1호", ARTICLE, True),
        ("지미카터는 누구", "지미 카터", True),
        ("가는 길", "가", False),
        ("아무것도", "", False),
    ],
)
def test_a_title_is_named_by_its_law_and_number_or_by_its_letters(query, title, named):
    assert names_title(query, title) is named


@pytest.mark.parametrize(("text", "language"), [("가나", "korean"), ("가 a", "mixed"), ("abc", "english"), ("123", "other")])
def test_the_language_is_that_of_the_letters(text, language):
    assert language_of(text) == language


def test_means_are_those_of_the_groups_queries():
    groups = {"answer": {"seen": ["a", "b"], "unseen": ["c"]}}
    assert group_means(groups, {"a": 1.0, "b": 0.5, "c": 0.25}) == {"answer": {"seen": 0.75, "unseen": 0.25}}
