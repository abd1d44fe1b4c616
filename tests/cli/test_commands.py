"""What the commands promise to people and to programs."""

import json
import os
import subprocess
import sys
from collections import Counter
from math import log2
from pathlib import Path

import pytest

from opensearch_ko.benchmark.sizes import field_bytes
from opensearch_ko.cluster import connect
from opensearch_ko.models import undeploy
from retrieval_ko.bm25 import Bm25Index
from retrieval_ko.collection import sample_folder
from retrieval_ko.terminal import progress_bar
from sparse_ko.model import SparseEncoder
from sparse_ko.retrieval import SparseIndex
from sparse_ko_cli.index import ShownPassages

COMMANDS = [
    *("demo", "pretrain", "train", "evaluate", "interleave", "encode", "explain", "export"),
    *("publish", "deploy", "index", "search", "benchmark"),
]
DATA = [
    *("legal", "precedents", "wiki", "easylaw", "boolq", "import", "split", "mine"),
    *("augment", "synthesize", "check", "stats", "list", "merge"),
]
VOCAB = ["train", "audit", "prune", "embed"]
DEPLOY = ["list", "promote", "rollback", "undeploy", "delete"]
GROUPS = {
    "node": ["start", "status", "stop", "logs"],
    "data": DATA,
    "vocab": VOCAB,
    "runs": ["list", "show", "plot", "compare", "verdict", "watch"],
    "export": ["check"],
    "deploy": DEPLOY,
    "search": ["tune"],
    "benchmark": ["scale"],
}


@pytest.mark.parametrize("command", [[name] for name in COMMANDS] + [[group, name] for group, names in GROUPS.items() for name in names])
def test_every_command_has_help(run, command):
    answer = run(*command, "--help")
    assert answer.exit_code == 0
    assert "Usage:" in answer.stdout


def test_the_version_is_the_distributions(run):
    from importlib.metadata import version

    assert run("--version").stdout.strip() == version("sparse-ko")


def test_lex_dpr_lists_runs(tmp_path):
    from typer.testing import CliRunner

    from sparse_ko_cli.lexdpr import app

    assert json.loads(CliRunner().invoke(app, ["runs", "list", str(tmp_path), "--json"]).stdout) == []


def test_stats_of_the_sample_are_those_its_readme_states(run):
    facts = json.loads(run("data", "stats", sample_folder(), "--json").stdout)
    readme = (sample_folder() / "README.md").read_text(encoding="utf-8")
    assert f"{facts['passages']} passages" in readme
    assert f"{facts['queries']} queries" in readme
    assert f"{facts['synonyms']} Korean–English term pairs" in readme
    assert facts["licence"] == "CC0-1.0"


def test_no_passage_of_the_sample_is_in_two_splits(sample):
    splits = {split: {p for grades in judged.values() for p in grades} for split, judged in sample.judgements.items()}
    assert set(splits) == {"train", "dev", "test"}
    assert not splits["train"] & splits["dev"]
    assert not splits["train"] & splits["test"]
    assert not splits["dev"] & splits["test"]


def test_evaluate_prints_the_promised_json_and_nothing_else(run, model_folder):
    report = json.loads(run("evaluate", "--model", model_folder, "--split", "dev", "--json").stdout)
    assert {"collection", "split", "systems"} <= report.keys()
    assert [row["system"] for row in report["systems"]][:2] == ["bm25-kiwi", "bm25-kiwi+synonyms"]
    for row in report["systems"]:
        assert {"ndcg@10", "mrr@10", "recall@100"} <= row.keys()
    assert {"doc_dims", "query_dims", "flops", "p_value"} <= report["systems"][-1].keys()


def test_a_hybrid_row_fuses_what_bm25_and_the_encoder_found(run, model_folder, sample):
    report = json.loads(run("evaluate", "--model", model_folder, "--hybrid", "--split", "dev", "--bm25", "kiwi", "--json").stdout)
    *_, sparse, fused = report["systems"]
    assert fused["system"] == f"{sparse['system']}+bm25"
    encoder = SparseEncoder.load(model_folder)
    index = SparseIndex(encoder, sample.passages.values())
    relevant = sample.relevant("dev")
    texts = [sample.queries[query].text for query in relevant]
    both = [Bm25Index(sample.passages.values()).rank_many(texts, 100), index.rankings(encoder.encode_query(texts), 100)]
    gains = []
    for answers, *rankings in zip(relevant.values(), *both, strict=True):
        scores = Counter()
        for ranking in rankings:
            for place, (passage, _) in enumerate(ranking, start=1):
                scores[passage] += 1 / (60 + place)
        found = sorted(scores, key=lambda passage: (-scores[passage], passage))[:10]
        gain = sum(1 / log2(place + 2) for place, passage in enumerate(found) if passage in answers)
        gains.append(gain / sum(1 / log2(place + 2) for place in range(min(10, len(answers)))))
    assert fused["ndcg@10"] == pytest.approx(sum(gains) / len(gains), abs=0.01)  # equal sums may stand in another order
    assert abs(fused["ndcg@10"] - sparse["ndcg@10"]) > 1e-4


def test_encode_writes_weights_by_id(run, model_folder, tmp_path):
    (tmp_path / "texts.jsonl").write_text('{"_id": "a", "text": "보증금 반환"}\n{"_id": "b", "text": ""}\n', encoding="utf-8")
    answer = run(
        "encode", "--model", model_folder, "--input", tmp_path / "texts.jsonl", "--output", tmp_path / "w.jsonl", "--type", "query"
    )
    assert answer.exit_code == 0, answer.output
    first, second = [json.loads(line) for line in (tmp_path / "w.jsonl").read_text(encoding="utf-8").splitlines()]
    assert first["_id"] == "a"
    assert "보증금" in first["weights"]
    assert second["_id"] == "b"


def test_explain_adds_up(run, model_folder):
    answer = run("explain", "--model", model_folder, "보증금 반환", "임차인은 보증금의 반환을 청구할 수 있다.", "--json", "--top", 1000)
    report = json.loads(answer.stdout)
    assert report["score"] == pytest.approx(sum(term["contribution"] for term in report["terms"]))
    assert "보증금" in {term["token"] for term in report["terms"]}


def test_train_is_seen_and_listed(run, tmp_path):
    small = ["vocabulary.size=6000", "model.dimensions=32", "model.neighbour_pull=0", "training.epochs=1", "training.batch_size=64"]
    changes = [word for change in small for word in ("--set", change)]
    trained = run("train", "configs/demo.yaml", *changes, "--out", tmp_path / "first", "--json")
    assert trained.exit_code == 0, trained.output
    assert json.loads(trained.stdout)["model"] == str(tmp_path / "first" / "model")
    [row] = json.loads(run("runs", "list", tmp_path, "--json").stdout)
    assert row["state"] == "finished"
    shown = json.loads(run("runs", "show", tmp_path / "first", "--json").stdout)
    assert any("dev_ndcg@10" in event for event in shown["events"])
    again = run("train", "configs/demo.yaml", *changes, "--out", tmp_path / "first")
    assert again.exit_code == 2
    assert "--resume" in again.stderr


def test_export_is_checked_and_says_so(run, model_folder, tmp_path):
    report = json.loads(run("export", "--model", model_folder, "--out", tmp_path, "--json").stdout)
    assert Path(report["path"]).is_file()
    assert report["parity"]["texts"] >= 16
    assert report["parity"]["largest_difference"] <= 1e-4


@pytest.mark.node
def test_from_a_model_folder_to_a_hit(run, node_url, model_folder, tmp_path):
    deployed = json.loads(run("deploy", "--model", model_folder, "--cluster", node_url, "--index", "story", "--json").stdout)
    again = json.loads(run("deploy", "--model", model_folder, "--cluster", node_url, "--index", "story", "--json").stdout)
    assert again["already"]
    assert again["model_id"] == deployed["model_id"]
    indexed = json.loads(run("index", "--cluster", node_url, "--index", "story", "--collection", sample_folder(), "--json").stdout)
    assert (indexed["indexed"], indexed["failed"]) == (300, 0)
    cluster = connect(node_url)
    by_node = field_bytes(cluster, "story", "sparse")
    for mode in ("bm25", "sparse"):
        found = json.loads(run("search", "--cluster", node_url, "--index", "story", "임차인 보증금 반환", "--mode", mode, "--json").stdout)
        assert found["mode"] == mode
        best = found["hits"][0]
        assert best["id"].startswith("law-")
        assert best["score"] > 0
        assert sum(best["terms"].values()) == pytest.approx(best["score"], rel=0.01)
    again = run(
        "index", "--cluster", node_url, "--index", "story", "--collection", sample_folder(), "--encode", "client", "--model", model_folder
    )
    assert again.exit_code == 0, again.output
    assert field_bytes(cluster, "story", "sparse") == pytest.approx(by_node, rel=0.01)
    # compared in sparse mode: BM25's statistics count the overwritten passages until the segments are merged
    same = json.loads(run("search", "--cluster", node_url, "--index", "story", "임차인 보증금 반환", "--mode", "sparse", "--json").stdout)
    assert [hit["score"] for hit in same["hits"]] == pytest.approx([hit["score"] for hit in found["hits"]], rel=0.01)
    report = json.loads(run("benchmark", "--cluster", node_url, "--index", "story", "--split", "dev", "--json").stdout)
    assert [row["mode"] for row in report["modes"]] == ["bm25", "sparse"]
    for row in report["modes"]:
        assert row["service_ms"]["p50"] <= row["service_ms"]["p90"] <= row["service_ms"]["p99"]
        assert row["bytes_per_document"] > 0
    in_process = json.loads(run("evaluate", "--model", model_folder, "--split", "dev", "--json").stdout)["systems"][-1]
    # the node stores weights with 9 bits after the point (contract, 2.2), so a pair of nearly equal scores may change places
    assert report["modes"][1]["ndcg@10"] == pytest.approx(in_process["ndcg@10"], abs=0.01)


@pytest.mark.node
def test_a_sleeping_model_is_woken_for_the_passages(run, node_url, model_folder, tmp_path):
    deployed = json.loads(run("deploy", "--model", model_folder, "--cluster", node_url, "--index", "asleep", "--json").stdout)
    undeploy(connect(node_url), deployed["model_id"])
    failures = tmp_path / "failed.jsonl"
    answer = run("index", "--cluster", node_url, "--index", "asleep", "--collection", sample_folder(), "--failures", failures)
    assert answer.exit_code == 0, answer.output
    assert "again" in answer.stderr  # says that it was down
    assert "300 passages" in answer.stdout
    assert not failures.exists()


def test_the_demo_without_a_jdk_does_all_but_the_node(tmp_path, monkeypatch):
    """A real run in another process that finds neither a JDK nor Maven; a smaller config keeps it short."""
    empty = tmp_path / "bin"
    empty.mkdir()
    code = (
        "import opensearch_ko.node.java as java\n"
        "java.find_jdk.__defaults__ = ((),)\n"
        "import sparse_ko_cli.demo as demo\n"
        "from sparse_ko.settings import read_settings as read\n"
        "small = ['vocabulary.size=6000', 'model.dimensions=32', 'model.neighbour_pull=0', 'training.epochs=1']\n"
        "demo.read_settings = lambda config: read(config, small)\n"
        "import sparse_ko_cli.sparse as sparse\n"
        "sparse.app(['demo', '--out', 'out', '--json'])\n"
    )
    env = {name: value for name, value in os.environ.items() if name != "JAVA_HOME"} | {"PATH": str(empty), "COLUMNS": "300"}
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, env=env, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout[done.stdout.index("\n{") :])
    assert report["benchmark"] is None
    assert "JDK" in done.stderr.splitlines()[-1]
    html = (tmp_path / "out" / "report" / "demo.html").read_text(encoding="utf-8")
    assert html.count("<svg") >= 2
    assert "bm25-kiwi" in html


def test_a_bar_that_goes_on_shows_what_is_done_and_counts_it_as_no_speed():
    bar = progress_bar("passages")
    shown = ShownPassages(bar, total=10)
    shown(6)
    [task] = bar.tasks
    assert (task.completed, task.total, task.speed) == (6, 10, None)
    for done in (7, 9):
        shown(done)
    assert task.completed == 9
