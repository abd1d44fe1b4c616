"""The study that agents share: distinct points, what was begun is gone on with, hopeless trials."""

import pytest

from retrieval_ko.sweeps.claims import Claims
from retrieval_ko.sweeps.settings import settings_of
from retrieval_ko.sweeps.store import SweepStore
from sparse_ko_cli.sweep_programs import sparse_program

PROGRAM = sparse_program()
LISTS = {"training.batch_size": {"values": [16, 32, 64]}, "sparsity.document": {"values": ["flops", "l1"]}}
RATE = {"training.learning_rate": {"distribution": "log_uniform_values", "min": 1e-4, "max": 1e-2}}


def settings(parameters, **others):
    return settings_of({"config": "demo", "metric": {"name": "eval/ndcg_at_10"}, "parameters": parameters, **others}, PROGRAM)


def opened(folder, wanted):
    """A store and the claims beside it, as an agent has them."""
    return SweepStore(folder, "sweep", wanted), Claims(folder / "claims")


def draw(agent, number):
    store, claims = agent
    return store.draw(number, lambda key: claims.take_point(key, number), claims.points)


@pytest.mark.parametrize(("method", "store"), [("grid", "journal"), ("random", "journal"), ("bayes", "journal"), ("grid", "sqlite")])
def test_two_agents_try_every_point_of_a_finite_space_once(tmp_path, method, store):
    wanted = settings(LISTS, method=method, store=store, startup_trials=2)
    agents = [opened(tmp_path, wanted), opened(tmp_path, wanted)]
    assert wanted.limit == 6
    points = []
    for number in range(1, 7):
        points.append(draw(agents[number % 2], number))
        agents[number % 2][0].finish(number, [points[-1]["training.batch_size"] / 64])
    assert len({tuple(point.items()) for point in points}) == 6
    records = agents[0][0].records()
    assert [record.settings for record in records.values()] == points
    assert {record.state for record in records.values()} == {"finished"}
    assert draw(agents[0], 7) is None


def test_a_trial_that_was_begun_keeps_its_point(tmp_path):
    wanted = settings(RATE, run_cap=3)
    point = draw(opened(tmp_path, wanted), 1)
    assert draw(opened(tmp_path, wanted), 1) == point


def test_a_trial_that_was_killed_before_its_point_was_written_down_gets_the_one_it_took(tmp_path):
    agent = opened(tmp_path, settings(RATE))

    def killed(key):
        agent[1].take_point(key, 1)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        agent[0].draw(1, killed, agent[1].points)
    point = draw(opened(tmp_path, settings(RATE)), 1)
    assert point is not None
    assert len(agent[1].points()) == 1


def test_bayes_draws_near_what_was_good(tmp_path):
    """The optimum lies at a learning rate of 0.001: the later half of the trials is nearer to it than the first, drawn at random."""
    agent = opened(tmp_path, settings(RATE, method="bayes", startup_trials=8, seed=3))
    distances = []
    for number in range(1, 31):
        rate = draw(agent, number)["training.learning_rate"]
        distances.append(abs(rate / 1e-3 - 1) if rate > 1e-3 else abs(1e-3 / rate - 1))
        agent[0].finish(number, [-distances[-1]])
    assert sum(distances[15:]) / 15 < 0.5 * sum(distances[:8]) / 8


def test_values_that_are_lists_keep_their_form(tmp_path):
    sources = [[{"pairs": "train"}], [{"pairs": "train"}, {"pairs": "more", "weight": 2}]]
    wanted = settings({"data": {"values": sources}}, method="grid", fixed={"collection": "somewhere"})
    agent = opened(tmp_path, wanted)
    assert [draw(agent, number)["data"] for number in (1, 2)] == sources


def test_a_trial_worse_than_the_median_is_hopeless_and_no_other(tmp_path):
    wanted = settings(RATE, early_terminate={"type": "median", "min_iter": 2})
    agent = opened(tmp_path, wanted)
    for number, curve in enumerate(([0.1, 0.3, 0.4, 0.5], [0.1, 0.2, 0.3, 0.4], [0.1, 0.4, 0.5, 0.6]), start=1):
        draw(agent, number)
        assert not agent[0].hopeless(number, curve)
        agent[0].finish(number, curve[-1:])
    draw(agent, 4)
    assert not agent[0].hopeless(4, [0.1, 0.1])  # before min_iter
    assert agent[0].hopeless(4, [0.1, 0.1, 0.2])
    draw(agent, 5)
    assert not agent[0].hopeless(5, [0.1, 0.1, 0.45])
    agent[0].prune(4)
    assert agent[0].records()[4].state == "pruned"


def test_a_last_line_that_was_cut_off_costs_that_line_alone(tmp_path):
    wanted = settings(RATE)
    agent = opened(tmp_path, wanted)
    point = draw(agent, 1)
    agent[0].finish(1, [0.5])
    with (tmp_path / "trials.log").open("ab") as journal:
        journal.write(b'{"op_code":4,"worker')
    again = opened(tmp_path, wanted)
    assert again[0].records()[1].settings == point
    assert draw(again, 2) != point
    assert set(opened(tmp_path, wanted)[0].records()) == {1, 2}


def test_what_is_known_of_a_trial_is_kept(tmp_path):
    agent = opened(tmp_path, settings(RATE))
    draw(agent, 1)
    agent[0].fail(1, "the loss is not a number", machine="here")
    record = agent[0].records()[1]
    assert (record.state, record.facts) == ("failed", {"error": "the loss is not a number", "machine": "here"})
