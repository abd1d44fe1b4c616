"""Interleaving is fair: it prefers nobody where there is nothing to prefer, and finds the better ranker where there is one."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binomtest

from retrieval_ko.errors import DataError
from retrieval_ko.evaluation.click_models import USERS, PositionUser, simulate, user_named
from retrieval_ko.evaluation.interleaving import Session, preference, read_log, team_draft, write_log

RANKING = st.lists(st.sampled_from([f"p{n}" for n in range(15)]), unique=True)
QUERIES = [f"q{n}" for n in range(40)]
PASSAGES = [f"p{n}" for n in range(20)]
RELEVANT = {query: {"p0"} for query in QUERIES}


@given(first=RANKING, second=RANKING, seed=st.integers(0, 2**32), size=st.integers(1, 12))
def test_a_page_holds_each_passage_once_in_the_order_of_who_put_it_there(first, second, seed, size):
    shown, teams = team_draft(first, second, np.random.default_rng(seed), size)
    assert len(shown) == len(set(shown)) == len(teams) == min(size, len({*first, *second}))
    for team, ranking in (("a", first), ("b", second)):
        own = [passage for passage, whose in zip(shown, teams, strict=True) if whose == team]
        assert own == sorted(own, key=ranking.index)
        for passage in own:  # what its ranker likes better is on the page already, above it
            assert set(ranking[: ranking.index(passage)]) <= set(shown[: shown.index(passage)])


@given(seed=st.integers(0, 2**32), size=st.integers(1, 12))
def test_rankers_that_find_different_passages_get_equally_many_places(seed, size):
    _, teams = team_draft([f"a{n}" for n in range(20)], [f"b{n}" for n in range(20)], np.random.default_rng(seed), size)
    for end in range(size + 1):
        assert abs(teams[:end].count("a") - teams[:end].count("b")) <= 1


@given(first=RANKING, second=RANKING, seed=st.integers(0, 2**20))
@settings(max_examples=30)
def test_exchanged_rankers_exchange_their_places_under_the_other_side_of_the_coin(first, second, seed):
    class Coin:
        def __init__(self, other_side):
            self.chance, self.other_side = np.random.default_rng(seed), other_side

        def random(self):
            return 1 - self.chance.random() if self.other_side else self.chance.random()

    shown, teams = team_draft(first, second, Coin(False))
    mirrored, mirrored_teams = team_draft(second, first, Coin(True))
    assert mirrored == shown
    assert [{"a": "b", "b": "a"}[team] for team in mirrored_teams] == teams


@pytest.mark.parametrize("user", USERS)
def test_two_equal_rankers_win_equally_often(user):
    same = dict.fromkeys(QUERIES, PASSAGES)
    found = preference(simulate(same, same, RELEVANT, user_named(user), sessions=50, seed=5))
    assert found.sessions == 2000
    # a fair coin is as far off once in ten thousand times
    assert binomtest(found.wins_a, found.wins_a + found.wins_b).pvalue > 1e-4
    assert abs(found.delta) < 0.05


@pytest.mark.parametrize("user", USERS)
def test_the_better_ranker_wins_whichever_side_it_is_on(user):
    better, worse = dict.fromkeys(QUERIES, PASSAGES), dict.fromkeys(QUERIES, PASSAGES[::-1])
    for first, second, sign in ((worse, better, 1), (better, worse, -1)):
        found = preference(simulate(first, second, RELEVANT, user_named(user), sessions=30, seed=5))
        assert sign * found.delta > 0.02
        assert found.p_value < 1e-3
        assert found.p_queries < 1e-3


def test_a_user_who_clicks_what_is_not_relevant_needs_more_sessions_to_say_the_same():
    better, worse = dict.fromkeys(QUERIES, PASSAGES), dict.fromkeys(QUERIES, PASSAGES[::-1])
    deltas = [preference(simulate(worse, better, RELEVANT, user_named(user), sessions=30)).delta for user in ("perfect", "informational")]
    assert deltas[0] > deltas[1] > 0


def test_a_session_depends_on_seed_query_and_number_alone():
    rankings = dict.fromkeys(QUERIES, PASSAGES)
    more = list(simulate(rankings, rankings, RELEVANT, user_named("informational"), sessions=3, seed=1))
    few = list(simulate(rankings, rankings, RELEVANT, user_named("informational"), sessions=1, seed=1))
    assert more[::3] == few
    assert list(simulate(rankings, rankings, RELEVANT, user_named("informational"), sessions=1, seed=2)) != few


def test_the_position_user_looks_at_place_k_once_in_k_times():
    chance = np.random.default_rng(0)
    user = PositionUser(click=(0.0, 1.0))
    counts = np.zeros(5)
    for _ in range(4000):
        counts[list(user.clicks([True] * 5, chance))] += 1
    assert counts / 4000 == pytest.approx([1, 1 / 2, 1 / 3, 1 / 4, 1 / 5], abs=0.03)


def test_the_p_value_is_that_of_the_sign_test_by_hand():
    def session(team):
        return Session("q", ("x", "y"), ("a", "b"), () if team is None else (0,) if team == "a" else (1,))

    found = preference(session(team) for team in ["b"] * 5 + [None] * 3)
    assert (found.sessions, found.clicked, found.wins_a, found.wins_b, found.ties) == (8, 5, 0, 5, 3)
    assert found.delta == pytest.approx((5 + 1.5) / 8 - 0.5)
    assert found.p_value == pytest.approx(2 / 2**5)
    assert found.queries == 1


def test_many_sessions_of_few_queries_are_few_queries():
    better, worse = dict.fromkeys(QUERIES[:4], PASSAGES), dict.fromkeys(QUERIES[:4], PASSAGES[::-1])
    found = preference(simulate(worse, better, {query: {"p0"} for query in QUERIES[:4]}, user_named("perfect"), sessions=50))
    assert found.p_value < 1e-6
    assert found.p_queries == pytest.approx(2 / 2**4)  # all four prefer b: the most extreme of 16 signs, on two sides
    assert preference(simulate(better, better, RELEVANT, user_named("perfect"))).p_queries > 0.01


def test_no_sessions_and_no_clicks_say_nothing():
    assert preference([]).p_value == 1
    silent = preference([Session("q", ("x",), ("a",))])
    assert (silent.delta, silent.p_value, silent.clicked) == (0, 1, 0)


def test_a_log_is_read_as_it_was_written(tmp_path):
    made = list(simulate(dict.fromkeys(QUERIES, PASSAGES), {}, RELEVANT, user_named("informational"), sessions=2))
    assert write_log(tmp_path / "log.jsonl", made) == len(made)
    assert read_log(tmp_path / "log.jsonl") == made


def test_clicks_may_be_logged_by_their_passages(tmp_path):
    line = {"query_id": "q", "shown": ["x", "y", "z"], "teams": ["a", "b", "a"], "clicks": ["z", "y", "z"]}
    (tmp_path / "log.jsonl").write_text(json.dumps(line) + "\n")
    assert read_log(tmp_path / "log.jsonl")[0].clicks == (1, 2)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"teams": ["a"]}, "2 passages are shown, and 1 teams"),
        ({"teams": ["a", "c"]}, "not 'c'"),
        ({"clicks": [2]}, "2 was clicked and not shown"),
        ({"clicks": ["z"]}, "'z' was clicked and not shown"),
        ({"shown": ["x", "x"]}, "shown twice"),
        ({"clicks": 1}, "are lists"),
    ],
)
def test_a_damaged_line_of_a_log_is_named(tmp_path, change, message):
    line = {"query_id": "q", "shown": ["x", "y"], "teams": ["a", "b"], "clicks": [0]}
    (tmp_path / "log.jsonl").write_text(json.dumps(line) + "\n" + json.dumps(line | change) + "\n")
    with pytest.raises(DataError, match="line 2") as caught:
        read_log(tmp_path / "log.jsonl")
    assert message in caught.value.problem
