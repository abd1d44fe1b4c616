"""What a published folder says and refuses: licences, origins, paths, figures, likeness, energy."""

import json

import numpy as np
import pytest
import yaml

from retrieval_ko.errors import DataError, ModelError, UsageError
from training_ko.publishing.energy import energy_section, watts_of
from training_ko.publishing.figures import figures_section
from training_ko.publishing.licences import objection
from training_ko.publishing.likeness import compare
from training_ko.publishing.origins import origins_of
from training_ko.publishing.record import Places, TrainingRecord, read_record
from training_ko.publishing.shown import shown_command, shown_text, shown_values


@pytest.mark.parametrize(
    "licence",
    [
        "CC0-1.0",
        "Apache-2.0",
        "not protected works (Korean Copyright Act, article 7)",
        "free reuse with the source named: easylaw.go.kr (법제처)",
        "CC BY-SA 3.0 and GFDL (text of Wikipedia; each passage links its page), questions Apache-2.0",
        "CC BY-SA 4.0 (KoBEST)",
        "공공누리 제1유형",
        "own work",
        "CC0-1.0; MIT",
        "CC0-1.0 AND CC BY-SA 4.0 (KoBEST)",
    ],
)
def test_licences_that_allow_passing_on(licence):
    assert objection(licence) == ""


@pytest.mark.parametrize(
    ("licence", "reason"),
    [
        ("", "no licence"),
        ("CC BY-NC 4.0", "commercial"),
        ("CC-BY-NC-SA-4.0", "commercial"),
        ("비영리 이용", "commercial"),
        ("CC BY-ND 2.0 KR (KorQuAD)", "derived"),
        ("for research only", "research"),
        ("MIT; NOASSERTION", "nobody knows"),
        ("CC0-1.0 AND the site's terms", "none that is known"),
        ("unknown", "nobody knows"),
        ("see the site", "none that is known"),
    ],
)
def test_licences_that_do_not(licence, reason):
    assert reason in objection(licence)


def test_paths_of_the_machine_are_not_shown():
    words = ["train", "law", "--out", "/home/me/runs/law", "--set", "collection=/data/x/c"]
    argv = ["/opt/env/bin/python", "-m", "sparse_ko_cli.lexdpr", *words]
    assert shown_command(argv, "/home/me") == "lex-dpr train law --out runs/law --set collection=c"
    assert shown_command(["/opt/python", "/opt/bin/sparse-ko", "train", "static"]) == "sparse-ko train static"
    assert shown_text("query: /") == "query: /"
    assert shown_values({"a": ["/data/x/c", 3, None], "b": {"c": "runs/x"}}) == {"a": ["c", 3, None], "b": {"c": "runs/x"}}


@pytest.fixture
def place(tmp_path):
    """A run whose config names a collection, a file of term pairs and a base model of another run, which read texts."""

    def run(name, config, **metadata):
        (tmp_path / name / "model").mkdir(parents=True)
        (tmp_path / name / "config.yaml").write_text(yaml.safe_dump({"name": name, **config}), encoding="utf-8")
        known = {"state": "finished", "seconds": 60.0, "command": {"argv": ["sparse-ko", "train"], "folder": str(tmp_path)}, **metadata}
        (tmp_path / name / "metadata.json").write_text(json.dumps(known), encoding="utf-8")

    def collection(name, licence, sources):
        (tmp_path / name).mkdir()
        card = {"name": name, "licence": licence, "sources": [f"{name}.kr"]}
        (tmp_path / name / "collection.json").write_text(json.dumps(card), encoding="utf-8")
        pairs = [{"ko": "가", "en": source, "source": source} for source in sources]
        (tmp_path / name / "synonyms.jsonl").write_text("".join(json.dumps(pair) + "\n" for pair in pairs), encoding="utf-8")

    collection("law", "not protected works", ["wikipedia", "mine"])
    collection("wiki", "CC BY-SA 3.0", [])
    run("base", {"sources": ["wiki"], "model": {"base": None}}, data={"wiki": "ab" * 32})
    run("main", {"collection": "law", "model": {"base": "base/model"}, "synonyms": {"as_pairs": True, "weight": 0.0}})
    return tmp_path


def test_origins_are_followed_through_base_models(place):
    record = read_record(place / "main" / "model", None, Places())
    assert [run.folder.name for run in record.all] == ["base", "main"]
    found = {origin.name: (origin.kind, origin.licence) for origin in origins_of(record, Places(), {})}
    assert found == {
        "wiki": ("collection", "CC BY-SA 3.0"),
        "law": ("collection", "not protected works"),
        "wikipedia": ("term pairs", "CC-BY-SA-3.0"),
        "mine": ("term pairs", "not protected works"),  # of a source of one's own, so the collection's
    }
    assert next(origin.sha256 for origin in origins_of(record, Places(), {}) if origin.name == "wiki") == "ab" * 32


def test_everything_that_forbids_it_is_named_at_once(place):
    (place / "law" / "collection.json").write_text('{"name": "law", "licence": "CC BY-NC 4.0"}', encoding="utf-8")
    (place / "wiki" / "collection.json").write_text('{"name": "wiki"}', encoding="utf-8")
    record = read_record(place / "main" / "model", None, Places())
    with pytest.raises(DataError, match=r"(?s)collection wiki: no licence.*collection law: .*commercial"):
        origins_of(record, Places(), {})
    assert origins_of(record, Places(), {"law": "own work", "wiki": "own work", "mine": "own work"})
    with pytest.raises(UsageError, match=r"(?s)laws.*wiki, law"):
        origins_of(record, Places(), {"laws": "own work"})


def test_a_collection_that_moved_is_found_where_it_is_named(place):
    (place / "elsewhere").mkdir()
    (place / "law").rename(place / "elsewhere" / "law")
    record = read_record(place / "main" / "model", None, Places())
    with pytest.raises(DataError, match="collection law: law is not here"):
        origins_of(record, Places(), {})
    places = Places((place / "elsewhere" / "law",))
    assert "law" in {origin.name for origin in origins_of(read_record(place / "main" / "model", None, places), places, {})}


def test_a_base_model_of_others_needs_a_licence(place):
    config = {"name": "main", "collection": "wiki", "model": {"base": "klue/bert-base"}}
    (place / "main" / "config.yaml").write_text(yaml.safe_dump(config), encoding="utf-8")
    record = read_record(place / "main" / "model", None, Places())
    with pytest.raises(DataError, match="base model klue/bert-base: no licence"):
        origins_of(record, Places(), {})
    (place / "klue" / "bert-base").mkdir(parents=True)
    (place / "klue" / "bert-base" / "README.md").write_text("---\nlicense: cc-by-sa-4.0\n---\n# KLUE\n", encoding="utf-8")
    assert [(origin.name, origin.licence) for origin in origins_of(record, Places(), {})][-1] == ("bert-base", "cc-by-sa-4.0")


def test_without_a_finished_run_nobody_knows_what_it_was_trained_on(place):
    (place / "main" / "metadata.json").write_text('{"state": "running"}', encoding="utf-8")
    with pytest.raises(ModelError, match="still running"):
        read_record(place / "main" / "model", None, Places())
    (place / "main" / "metadata.json").unlink()
    with pytest.raises(ModelError, match="holds no run"):
        read_record(place / "main" / "model", None, Places())


def test_an_evaluation_of_another_model_is_refused():
    report = {"collection": "law", "split": "dev", "systems": [{"system": "bm25-kiwi"}, {"system": "sparse-old"}], "comparisons": []}
    with pytest.raises(UsageError, match=r"(?s)sparse-new.*bm25-kiwi, sparse-old"):
        figures_section([report], "sparse-new")
    assert "measure it on your own data" in figures_section([], "sparse-new")


def test_likeness_is_by_the_vector_that_moved_most():
    before = np.array([[1.0, 0, 0], [0, 2, 0], [0, 0, 0]], dtype=np.float32)
    after = before + np.array([[0, 0.02, 0], [0, 0, 0], [0, 0, 0]], dtype=np.float32)
    found = compare(before, after)
    assert found.texts == 3
    assert found.largest_deviation == pytest.approx(0.02)
    assert found.lowest_cosine == pytest.approx(1 / np.sqrt(1.0004))


@pytest.mark.parametrize("moved", [[0.0, 0.0, 0.05], [-1.0, 0.0, 0.0], [np.nan, 0.0, 0.0]])
def test_a_vector_that_turned_vanished_or_broke_is_refused(moved):
    before = np.array([[1.0, 0, 0]], dtype=np.float32)
    with pytest.raises(ModelError, match=r"cosine|finite"):
        compare(before, before + np.array([moved], dtype=np.float32))


def test_energy_is_time_and_power_with_its_assumption(tmp_path):
    sittings = {"earlier": [{"seconds": 1800.0}], "seconds": 1800.0, "hardware": {"cores": 2, "machine": "x86_64", "memory_gb": 24}}
    run = TrainingRecord(tmp_path, {"name": "law"}, sittings)
    assert "0.02 kWh" in energy_section([run], None)  # 2 cores of 10 W for an hour
    assert "nothing was measured" in energy_section([run], None)
    assert "0.1 kWh, assuming 100 W, as stated" in energy_section([run], 100)
    assert watts_of({"gpus": ["NVIDIA A100-SXM4-80GB", "NVIDIA H100 80GB HBM3"], "cores": 0.0}) == 400 + 700 + 10
