"""The best, the front, and what may be held against what."""

from xml.etree import ElementTree as Tree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from retrieval_ko.errors import DataError
from retrieval_ko.sweeps.metrics import Objective
from retrieval_ko.sweeps.pareto import write_figures
from retrieval_ko.sweeps.results import MEASURED_ON, Results, comparable, pareto_front
from retrieval_ko.sweeps.store import TrialRecord
from retrieval_ko.sweeps.trial_run import compared_on

OBJECTIVES = (Objective("dev_ndcg@10", "maximize"), Objective("dev_document_dims", "minimize"))


def trial(number, *values, state="finished", on="data"):
    return TrialRecord(number, state, {"training.batch_size": 2**number, "form": "<b>"}, values, {MEASURED_ON: {"sha256": on}})


def test_the_front_holds_what_nobody_beats():
    trials = [trial(1, 0.5, 100), trial(2, 0.6, 100), trial(3, 0.4, 50), trial(4, 0.4, 60), trial(5, 0.6, 100)]
    assert [one.number for one in pareto_front(trials, OBJECTIVES)] == [2, 5, 3]


@given(st.lists(st.tuples(st.integers(0, 6), st.integers(0, 6)), min_size=1, max_size=25))
def test_every_trial_is_on_the_front_or_beaten_by_one_that_is(points):
    trials = [trial(number, *values) for number, values in enumerate(points)]
    front = pareto_front(trials, OBJECTIVES)

    def beats(one, other):
        as_good = one.values[0] >= other.values[0] and one.values[1] <= other.values[1]
        return as_good and one.values != other.values

    assert not any(beats(one, other) for one in front for other in front)
    assert all(one in front or any(beats(other, one) for other in front) for one in trials)


def test_only_trials_over_the_same_data_are_compared():
    trials = [trial(1, 0.5, 1), trial(2, 0.9, 1, on="other"), trial(3, 0.4, 1), trial(4, state="failed", on="data")]
    assert [one.number for one in comparable(trials)] == [1, 3]


@pytest.mark.parametrize("objectives", [OBJECTIVES, OBJECTIVES[:1]], ids=["two", "one"])
def test_the_pictures_show_the_trials(tmp_path, objectives):
    trials = tuple(trial(number, *(0.1 * number, 10.0 * number)[: len(objectives)]) for number in (1, 2, 3))
    results = Results(objectives, trials, trials[2], pareto_front(trials, objectives))
    image, page = write_figures(results, "tiny", tmp_path / "report")
    assert image.read_bytes().startswith(b"\x89PNG")
    text = page.read_text(encoding="utf-8")
    figure = Tree.fromstring(text[text.index("<svg") : text.index("</svg>") + 6])
    assert figure.tag.endswith("svg")
    assert "batch_size" in text
    assert "form" not in text.split("<table>")[1]  # all trials have it
    assert "http" not in text.replace("http://www.w3.org", "").replace("http://purl.org", "").replace(
        "http://creativecommons.org", ""
    ).replace("https://matplotlib.org", "")


def test_without_a_finished_trial_there_is_nothing_to_draw(tmp_path):
    with pytest.raises(DataError, match="no trial is finished"):
        write_figures(Results(OBJECTIVES, (), None, ()), "tiny", tmp_path)


def test_a_run_that_does_not_say_on_what_it_was_measured_is_refused(tmp_path):
    (tmp_path / "config.yaml").write_text("dev_split: dev\n", encoding="utf-8")
    with pytest.raises(DataError, match="does not say what its run was measured on"):
        compared_on(tmp_path)
