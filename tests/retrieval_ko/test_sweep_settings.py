"""A sweep's file: what is understood, what is refused, and the id that is written into it."""

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from retrieval_ko.errors import UsageError
from retrieval_ko.sweeps.changes import with_changes
from retrieval_ko.sweeps.identity import new_sweep_id, write_sweep_id
from retrieval_ko.sweeps.metrics import objective, values_of
from retrieval_ko.sweeps.settings import changes_of, read_settings, settings_of
from retrieval_ko.sweeps.sweep import create, open_by_file
from sparse_ko_cli.sweep_programs import dense_program, sparse_program

PROGRAM = sparse_program()
PLAIN = {
    "config": "demo",
    "metric": {"name": "eval/ndcg_at_10", "goal": "maximize"},
    "parameters": {"training.batch_size": {"values": [32, 64]}},
}


@pytest.mark.parametrize(
    ("changed", "complaint"),
    [
        ({"methode": "grid"}, "there is no such key as methode; did you mean method?"),
        ({"method": "bayse"}, "did you mean bayes?"),
        ({"metric": {"name": "NACG@10"}}, "a run measures no NACG@10; did you mean eval/ndcg_at_10?"),
        ({"metric": {"name": "eval/ndcg_at_10", "goal": "minimize"}}, "better where it is larger"),
        ({"metric": None}, "metric: expected {name, goal}"),
        ({"config": None}, "config: names what `train` starts from"),
        ({"program": "lex-dpr"}, "this sweep is for lex-dpr"),
        ({"parameters": {"training.batch_sise": {"values": [1]}}}, "no such key; did you mean training.batch_size?"),
        ({"parameters": {}}, "there is nothing to search"),
        ({"parameters": {"training.eval_passages": {"values": [100, 200]}}}, "could not be compared"),
        ({"fixed": {"training.batch_size": 3}}, "it is one of the parameters too"),
        ({"method": "grid", "parameters": {"training.weight_decay": {"min": 0.1, "max": 0.2}}}, "training.weight_decay is continuous"),
        ({"metric": [{"name": "eval/ndcg_at_10"}, {"name": "eval/loss"}], "early_terminate": {}}, "early_terminate: which trial"),
        ({"conditions": [{"fixed": {"training.epochs": 1}}]}, "conditions[1]: when says where it holds"),
        ({"conditions": [{"when": {"model.body": "static"}, "fixed": {"training.epochs": 1}}]}, "model.body, which is no parameter"),
        ({"run_cap": 0}, "run_cap: expected a whole number, 1 or more"),
    ],
)
def test_what_cannot_be_meant_is_refused(changed, complaint):
    with pytest.raises(UsageError) as refused:
        settings_of({**PLAIN, **changed}, PROGRAM)
    assert complaint in str(refused.value)


def test_a_value_that_train_would_refuse_is_refused_before_anything_starts(tmp_path):
    source = tmp_path / "sweep.yaml"
    source.write_text(yaml.safe_dump({**PLAIN, "parameters": {"training.batch_size": {"values": [64, 1]}}}), encoding="utf-8")
    with pytest.raises(UsageError, match=r"training\.batch_size: "):
        read_settings(source, PROGRAM)
    source.write_text(yaml.safe_dump({**PLAIN, "config": "nothing"}), encoding="utf-8")
    with pytest.raises(UsageError, match="no config file nothing"):
        read_settings(source, PROGRAM)


def test_two_names_for_one_setting_are_refused():
    twice = {"trainer.lr": {"values": [1, 2]}, "training.learning_rate": {"values": [1, 2]}}
    with pytest.raises(UsageError, match=r"it stands for training\.learning_rate, which is given too"):
        settings_of({**PLAIN, "parameters": twice}, dense_program())


@pytest.mark.parametrize("name", ["eval/ndcg_at_10", "NDCG@10", "dev_ndcg@10", "ndcg_at_10"])
def test_a_metric_has_its_published_name_and_that_of_the_events(name):
    found = objective(name, None, PROGRAM.metrics)
    assert (found.key, found.goal, found.name) == ("dev_ndcg@10", "maximize", "eval/ndcg_at_10")


def test_the_figures_are_all_those_of_the_model_that_was_kept():
    events = [{"step": step, "dev_ndcg@10": value, "dev_document_dims": 10 * step} for step, value in ((0, 0.1), (5, 0.4), (10, 0.3))]
    wanted = [objective(name, None, PROGRAM.metrics) for name in ("eval/ndcg_at_10", "eval/document_dims")]
    assert values_of(events, 5, wanted) == [0.4, 50]


def test_values_reach_train_as_they_were_written():
    point = {"a": 1e-05, "b": "none", "c": None, "d": [{"pairs": "train"}], "e": True, "f": 64}
    for change in changes_of(point):
        key, _, value = change.partition("=")
        assert "\n" not in value
        assert yaml.safe_load(value) == point[key]


FILE = """# 무엇을 찾는가
---
# 이름
name: tiny   # short
method: random  # or grid
"""


def test_the_id_is_the_only_change_to_a_file(tmp_path):
    source = tmp_path / "sweep.yaml"
    source.write_text(FILE, encoding="utf-8")
    write_sweep_id(source, "tiny-aaaaaa")
    assert source.read_text(encoding="utf-8") == FILE.replace("name: tiny", "sweep_id: tiny-aaaaaa\nname: tiny")
    source.write_text(source.read_text(encoding="utf-8").replace("tiny-aaaaaa", "tiny-aaaaaa  # 첫째"), encoding="utf-8")
    write_sweep_id(source, "tiny-bbbbbb")
    assert source.read_text(encoding="utf-8") == FILE.replace("name: tiny", "sweep_id: tiny-bbbbbb  # 첫째\nname: tiny")


def test_line_ends_of_windows_stay(tmp_path):
    source = tmp_path / "sweep.yaml"
    source.write_bytes(FILE.replace("\n", "\r\n").encode())
    write_sweep_id(source, "tiny-aaaaaa")
    assert source.read_bytes() == FILE.replace("name: tiny", "sweep_id: tiny-aaaaaa\nname: tiny").replace("\n", "\r\n").encode()


def test_a_file_with_no_place_for_a_line_is_left_as_it_is(tmp_path):
    source = tmp_path / "sweep.yaml"
    source.write_text("{name: tiny,\n method: random}\n", encoding="utf-8")
    with pytest.raises(UsageError, match="sweep_id: tiny-aaaaaa"):
        write_sweep_id(source, "tiny-aaaaaa")
    assert source.read_text(encoding="utf-8") == "{name: tiny,\n method: random}\n"


KEYS = st.text("abcdefgh_", min_size=1, max_size=8).filter(lambda key: key not in ("null", "true", "false"))
VALUES = st.recursive(st.integers() | st.booleans() | st.text(max_size=8), lambda inner: st.lists(inner, max_size=3), max_leaves=5)


@given(st.dictionaries(KEYS, VALUES, min_size=1, max_size=6))
def test_writing_the_id_twice_leaves_all_else(tmp_path_factory, values):
    source = tmp_path_factory.mktemp("id") / "sweep.yaml"
    source.write_text(yaml.safe_dump(values, allow_unicode=True), encoding="utf-8")
    before = yaml.safe_load(source.read_text(encoding="utf-8"))
    for sweep_id in (new_sweep_id("a"), new_sweep_id("b")):
        write_sweep_id(source, sweep_id)
        assert yaml.safe_load(source.read_text(encoding="utf-8")) == {**before, "sweep_id": sweep_id}


def test_a_sweep_is_not_gone_on_with_after_its_search_was_changed(tmp_path):
    source, runs = tmp_path / "sweep.yaml", tmp_path / "runs"
    source.write_text(yaml.safe_dump({**PLAIN, "run_cap": 2}), encoding="utf-8")
    sweep = create(source, runs, PROGRAM)
    with pytest.raises(UsageError, match=f"belongs to the sweep {sweep.sweep_id} already"):
        create(source, runs, PROGRAM)
    written = source.read_text(encoding="utf-8")
    source.write_text(written.replace("run_cap: 2", "run_cap: 4"), encoding="utf-8")
    assert open_by_file(source, runs, PROGRAM).settings.run_cap == 4  # more of the same
    source.write_text(written.replace("- 64", "- 128"), encoding="utf-8")
    with pytest.raises(UsageError, match=r"has changed since the sweep .* was created from it: parameters"):
        open_by_file(source, runs, PROGRAM)
    assert create(source, runs, PROGRAM, anew=True).sweep_id != sweep.sweep_id


def test_a_packaged_sweep_is_changed_where_it_is_asked_for_and_nowhere_else():
    program = dense_program()
    text = (program.presets / "preset.yaml").read_text(encoding="utf-8")
    before = yaml.safe_load(text)
    asked = ["model.base=[models/one,models/two]", "trainer.lr=0.001", "ranking.temperature={min: 0.1, max: 0.2}"]
    changed = with_changes(text, [*asked, "collection=law", "training.seed=4", "run_cap=3", "seed=5"], program)
    parameters = {
        "model.base": {"values": ["models/one", "models/two"]},
        "training.learning_rate": {"value": 0.001},  # by its published name
        "ranking.temperature": {"min": 0.1, "max": 0.2},
    }
    fixed = {"collection": "law", "training.seed": 4}
    wanted = {"run_cap": 3, "seed": 5, "parameters": before["parameters"] | parameters, "fixed": before["fixed"] | fixed}
    assert yaml.safe_load(changed) == before | wanted
    assert "# α is swept as" in changed
    assert with_changes(text, [], program) == text


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ("model.base", "expected KEY=VALUE"),
        ("model.base=[a", "not YAML"),
        ("model.bass=a", "no such setting"),
        ("parameters={}", "no key of a sweep's file"),
    ],
)
def test_a_change_that_cannot_be_meant_is_refused(change, complaint):
    with pytest.raises(UsageError, match=complaint):
        with_changes(yaml.safe_dump(PLAIN), [change], PROGRAM)
