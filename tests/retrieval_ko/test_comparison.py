from retrieval_ko.collection import Collection
from retrieval_ko.evaluation.comparison import judge
from retrieval_ko.records import Passage, Query


def collection(judged="passage", excluded=()):
    passages = [Passage(_id=f"{page}#{n}", text="글", metadata={"parent_id": page}) for page in ("a", "b", "c") for n in (0, 1)]
    relevant = "b" if judged == "parent" else "b#1"
    return Collection(
        name="small",
        passages={passage.id: passage for passage in passages},
        queries={"q": Query(_id="q", text="글", metadata={"excluded": list(excluded)})},
        judgements={"dev": {"q": {relevant: 1}}},
        judged=judged,
    )


RANKING = {"q": [("a#0", 4.0), ("a#1", 3.0), ("b#1", 2.0), ("b#0", 1.0)]}


def test_a_parent_stands_where_its_best_passage_stands():
    assert judge("one", RANKING, collection("parent"), "dev").scores.mean["mrr@10"] == 1 / 2
    assert judge("one", RANKING, collection("passage"), "dev").scores.mean["mrr@10"] == 1 / 3


def test_what_a_query_excludes_does_not_count():
    assert judge("one", RANKING, collection(excluded=["a#0", "a#1"]), "dev").scores.mean["mrr@10"] == 1
    assert judge("one", RANKING, collection("parent", excluded=["a#0"]), "dev").scores.mean["mrr@10"] == 1 / 2


def test_equal_parents_stand_by_their_own_id():
    small = collection("parent")
    ranking = {"q": [("c#0", 4.0), ("b#1", 4.0), ("a#0", 4.0)]}
    assert judge("one", ranking, small, "dev").scores.mean["mrr@10"] == 1 / 2  # a, b, c


def test_a_parent_that_a_query_excludes_does_not_count():
    assert judge("one", RANKING, collection("parent", excluded=["a"]), "dev").scores.mean["mrr@10"] == 1


def test_the_first_places_are_kept_as_passages():
    top = judge("one", RANKING, collection("parent", excluded=["a#1"]), "dev").top
    assert top == {"q": [("a#0", 4.0), ("b#1", 2.0), ("b#0", 1.0)]}
