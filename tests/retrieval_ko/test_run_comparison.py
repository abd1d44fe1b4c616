"""Two runs are compared on identical dev data or not at all; charts show all of them."""

import json
import struct
from pathlib import Path

import pytest

from retrieval_ko.errors import DataError, UsageError
from retrieval_ko.evaluation.significance import paired_p_value
from retrieval_ko.runs import Run
from retrieval_ko.runs.charts import names_of, plot_runs
from retrieval_ko.runs.comparison import DEV_QUERIES, compare_runs
from retrieval_ko.runs.curves import Curve, curve

RECORDED = Path(__file__).parent / "recorded_runs"


def run_with(folder, values, recall=None, sha256="ab", seed=1):
    """A finished run whose kept model had these nDCG@10 values on dev."""
    run = Run.begin(folder, {"name": "x", "training": {"seed": seed}}, seed=seed, data={"sample": "ff"})
    lines = ["query-id\tndcg@10\trecall@10"]
    lines += [f"q{n}\t{value}\t{(recall or values)[n]}" for n, value in enumerate(values)]
    (folder / DEV_QUERIES).parent.mkdir()
    (folder / DEV_QUERIES).write_text("\n".join(lines) + "\n")
    run.note(dev={"collection": "sample", "split": "dev", "queries": len(values), "passages": 9, "sha256": sha256})
    run.end("finished")
    return run


LOW, HIGH = [0.25] * 12, [0.75] * 12


def test_the_better_run_is_named_with_the_test_of_its_queries(tmp_path):
    first, second = run_with(tmp_path / "a", LOW), run_with(tmp_path / "b", HIGH, seed=2)
    report = compare_runs(first, [second])
    [row] = report["comparisons"]
    assert (row["ndcg@10"], row["recall@10"], row["improved"]) == (0.5, 0.5, True)
    queries = [{f"q{n}": value for n, value in enumerate(values)} for values in (HIGH, LOW)]
    assert row["p_value"] == pytest.approx(paired_p_value(*queries), abs=1e-5)
    assert row["p_value"] < 0.01
    assert row["settings"] == {"training.seed": [1, 2]}
    assert row["same_training_data"]


def test_a_run_is_improved_only_where_recall_rises_too(tmp_path):
    first = run_with(tmp_path / "a", LOW, recall=HIGH)
    [row] = compare_runs(first, [run_with(tmp_path / "b", HIGH, recall=HIGH)])["comparisons"]
    assert (row["ndcg@10"], row["improved"]) == (0.5, False)


def test_p_values_are_corrected_for_the_number_of_runs(tmp_path):
    first = run_with(tmp_path / "a", LOW)
    others = [run_with(tmp_path / name, [*HIGH[:5], *LOW[5:]]) for name in ("b", "c")]
    rows = compare_runs(first, others)["comparisons"]
    assert [row["p_holm"] for row in rows] == [pytest.approx(2 * row["p_value"], abs=2e-5) for row in rows]


def test_other_dev_data_is_refused_with_the_reason(tmp_path):
    first, second = run_with(tmp_path / "a", LOW), run_with(tmp_path / "b", HIGH + HIGH, sha256="cd")
    with pytest.raises(UsageError, match=r"different dev data \(queries 12 and 24\)"):
        compare_runs(first, [second])


def test_a_run_that_was_never_measured_says_so(tmp_path):
    first = run_with(tmp_path / "a", LOW)
    old = Run.begin(tmp_path / "b", {}, seed=1, data={})
    with pytest.raises(DataError, match="does not say on what"):
        compare_runs(first, [old])
    old.note(dev=first.metadata()["dev"])
    with pytest.raises(DataError, match="never measured on dev"):
        compare_runs(first, [old])


def test_several_runs_make_one_png_and_one_page(tmp_path):
    runs = [Run(RECORDED / name) for name in ("good", "flat", "diverging")]
    plot_runs(runs, tmp_path / "runs.png")
    picture = (tmp_path / "runs.png").read_bytes()
    assert picture.startswith(b"\x89PNG")
    width, height = struct.unpack(">II", picture[16:24])
    assert width > 1000
    assert height > 500
    plot_runs(runs, tmp_path / "runs.html")
    page = (tmp_path / "runs.html").read_text(encoding="utf-8")
    assert page.count("<svg") == 3  # losses, quality, dimensions: what the runs recorded
    for name in ("good", "flat", "diverging", "Quality on dev", "valid", "0.9385"):
        assert name in page


def test_a_picture_of_nothing_is_refused(tmp_path):
    run = Run.begin(tmp_path / "run", {}, seed=1, data={})
    with pytest.raises(DataError, match="no loss and no metric"):
        plot_runs([run], tmp_path / "x.png")
    with pytest.raises(UsageError, match=r"\.png or \.html"):
        plot_runs([Run(RECORDED / "good")], tmp_path / "x.gif")
    assert not list(tmp_path.glob("*.*"))


def test_runs_of_one_name_are_told_apart_by_their_parents(tmp_path):
    runs = [Run(tmp_path / name) for name in ("a/x", "b/x", "y")]
    assert names_of(runs) == ["a/x", "b/x", "y"]


def test_a_long_curve_is_averaged_and_keeps_its_mean():
    long = Curve(tuple(range(1000)), tuple(float(step) for step in range(1000)))
    short = long.averaged(10)
    assert len(short) == 10
    assert sum(short.values) / 10 == sum(long.values) / 1000
    assert long.averaged(1000) == long


def test_a_curve_holds_what_was_recorded_and_nothing_else():
    events = [{"step": 1, "loss": 2}, {"step": 2, "dev_loss": 1.0}, {"step": 3, "loss": 0.5}, {"step": 4, "loss": True}, {"note": "x"}]
    assert curve(events, "loss") == Curve((1, 3), (2.0, 0.5))
    assert len(curve(events, "ranking")) == 0


def test_the_recorded_runs_name_no_machine():
    for source in RECORDED.rglob("*.json*"):
        for line in source.read_text(encoding="utf-8").splitlines():
            assert "/" not in line, source
    assert json.loads((RECORDED / "good" / "metadata.json").read_text())["state"] == "finished"
