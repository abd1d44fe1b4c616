"""항 are ranked as the 조 they are parts of, by the best of them or by a few of them together."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dense_ko.units import Aggregation, aggregate, article_of, articles_of, best_parts, in_units
from retrieval_ko.collection import Collection
from retrieval_ko.errors import DataError, UsageError
from retrieval_ko.evaluation.judging import judge
from retrieval_ko.legal.passages import Unit, passages_of
from retrieval_ko.legal.structure import Article, Item, Law, Paragraph
from retrieval_ko.records import Passage, Query

PARENTS = {"a1": "a", "a2": "a", "a3": "a", "b1": "b", "c1": "c"}
RANKING = [("b1", 0.9), ("a1", 0.6), ("a2", 0.5), ("a3", 0.1), ("c1", -0.2)]
RANKINGS = st.dictionaries(st.sampled_from(sorted(PARENTS)), st.floats(-1, 1, width=32)).map(lambda scores: list(scores.items()))
QUICK = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])  # a busy machine is no defect
HOW = st.sampled_from(list(Aggregation))


def test_max_is_the_best_part():
    assert aggregate(RANKING, PARENTS, "max") == [("b", 0.9), ("a", 0.6), ("c", -0.2)]


@pytest.mark.parametrize(("summed", "score"), [(1, 0.6), (2, 1.1), (3, 1.2), (9, 1.2)])
def test_sum_counts_the_best_few(summed, score):
    assert dict(aggregate(RANKING, PARENTS, "sum", summed=summed))["a"] == pytest.approx(score)


def test_two_fair_matches_beat_one_good_one_by_sum_alone():
    assert aggregate(RANKING, PARENTS, "sum")[0][0] == "a"
    assert aggregate(RANKING, PARENTS, "max")[0][0] == "b"


def test_equal_parents_stand_by_id():
    assert [parent for parent, _ in aggregate([("c1", 0.5), ("a1", 0.5), ("b1", 0.5)], PARENTS)] == ["a", "b", "c"]


@QUICK
@given(RANKINGS, HOW, st.integers(1, 4), st.randoms(use_true_random=False))
def test_the_order_of_the_ranking_changes_nothing(ranking, how, summed, chance):
    shuffled = list(ranking)
    chance.shuffle(shuffled)
    assert aggregate(shuffled, PARENTS, how, summed=summed) == aggregate(ranking, PARENTS, how, summed=summed)


@QUICK
@given(RANKINGS, HOW)
def test_a_further_part_never_lowers_its_parent(ranking, how):
    for place in range(len(ranking)):
        parent = PARENTS[ranking[place][0]]
        fewer = dict(aggregate(ranking[:place] + ranking[place + 1 :], PARENTS, how))
        assert dict(aggregate(ranking, PARENTS, how))[parent] >= fewer.get(parent, -1)


@QUICK
@given(RANKINGS)
def test_a_sum_of_one_is_the_max(ranking):
    assert aggregate(ranking, PARENTS, "sum", summed=1) == aggregate(ranking, PARENTS, "max")


@QUICK
@given(RANKINGS, HOW)
def test_best_parts_rank_as_their_parents_do(ranking, how):
    found = best_parts(ranking, PARENTS, how)
    assert [(PARENTS[passage], score) for passage, score in found] == aggregate(ranking, PARENTS, how)


def test_an_excluded_part_adds_nothing_and_hides_nothing_else():
    assert best_parts(RANKING, PARENTS, "sum", excluded={"a1"}) == [("b1", 0.9), ("a2", pytest.approx(0.6)), ("c1", -0.2)]
    assert [passage for passage, _ in best_parts(RANKING, PARENTS, excluded={"a"})] == ["b1", "c1"]


@pytest.mark.parametrize(
    ("how", "ranking", "error", "complaint"),
    [
        ("mean", RANKING, UsageError, "'mean' is unknown"),
        ("max", [("z1", 1.0)], DataError, "'z1' has no parent"),
        ("max", [("a1", 1.0), ("a1", 0.5)], DataError, "'a1' stands in one ranking twice"),
    ],
)
def test_what_cannot_be_aggregated_is_refused(how, ranking, error, complaint):
    with pytest.raises(error, match=complaint):
        aggregate(ranking, PARENTS, how)


def test_a_sum_of_nothing_is_refused():
    with pytest.raises(UsageError, match="0 passages"):
        aggregate(RANKING, PARENTS, "sum", summed=0)


@pytest.fixture
def law():
    counted = (Paragraph(1, "임차인은 신고한다."), Paragraph(2, "신고는 다음과 같다.", (Item("1", "전세"), Item("1의2", "월세"))))
    articles = (Article("제1조", "목적", (Paragraph(None, "보증금을 보호한다."),)), Article("제2조의3", "신고", counted))
    return Law(kind="law", law_id="000086", name="주택임대차보호법", level="법률", effective_date="2020-01-01", articles=articles)


@pytest.mark.parametrize("unit", list(Unit))
def test_every_unit_that_is_made_of_a_law_finds_its_article(law, unit):
    for passage in passages_of(law, unit):
        assert article_of(passage.id) == f"LAW_000086_{passage.article}"


@pytest.mark.parametrize("passage", ["PREC_123", "LAW_1_제조", "LAW_1_제1조_2_3_4", "LAW_1_제1조 "])
def test_other_ids_name_no_article(passage):
    with pytest.raises(DataError, match="names no article"):
        articles_of([passage])


def units(*ids):
    return [Passage(_id=passage, text="전세", metadata={"law": "민법"}) for passage in ids]


@pytest.fixture
def statutes():
    passages = {passage.id: passage for passage in units("LAW_1_제1조", "LAW_1_제2조")}
    queries = {"q": Query(_id="q", text="전세")}
    return Collection("statutes", passages, queries, {"dev": {"q": {"LAW_1_제2조": 1}}})


def test_a_collection_in_units_is_judged_at_its_articles(statutes):
    found = in_units(statutes, units("LAW_1_제1조", "LAW_1_제2조_1", "LAW_1_제2조_2", "LAW_9_제1조"))
    assert list(found.passages) == ["LAW_1_제1조", "LAW_1_제2조_1", "LAW_1_제2조_2"]
    ranking = [("LAW_1_제1조", 0.7), ("LAW_1_제2조_1", 0.5), ("LAW_1_제2조_2", 0.4)]
    first = {}
    for how in Aggregation:
        parts = best_parts(ranking, articles_of(found.passages), how)
        first[how] = judge("dense", {"q": parts}, found, "dev").scores.mean["ndcg@10"]
    assert first[Aggregation.SUM] == 1.0
    assert first[Aggregation.MAX] < 1.0


def test_an_article_without_a_unit_is_named(statutes):
    with pytest.raises(DataError, match="'LAW_1_제2조' of the collection statutes has no unit"):
        in_units(statutes, units("LAW_1_제1조"))
