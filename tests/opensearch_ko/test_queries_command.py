"""`sparse-ko search` as a person types it: hits, reasons, filters, weights, and refusals that name the way out."""

import json
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from opensearch_ko.cluster import connect
from opensearch_ko.queries.search_pipelines import saved_weights
from retrieval_ko.collection import Collection
from retrieval_ko.records import Passage, Query
from sparse_ko_cli.sparse import app

sys.path.insert(0, str(Path(__file__).parent))
from query_index import QUERY, RARE_LAW, searched_index

pytestmark = pytest.mark.node


@pytest.fixture(scope="module")
def searched(node_url, tmp_path_factory):
    with searched_index(connect(node_url), tmp_path_factory.mktemp("queries")) as made:
        yield made


@pytest.fixture
def search(searched):
    """Run `sparse-ko search` on the index."""
    runner = CliRunner(env={"COLUMNS": "300", "TERM": "dumb"})

    def call(*arguments):
        where = ("--index", searched.index, "--cluster", searched.cluster.url)
        return runner.invoke(app, ["search", *(str(argument) for argument in arguments), *where])

    return call


def found(answer):
    assert answer.exit_code == 0, answer.stderr
    return json.loads(answer.stdout)


@pytest.mark.parametrize(
    ("mode", "options"),
    [
        ("bm25", []),
        ("sparse", []),
        ("sparse-tokens", ["--model", "ZIP"]),
        ("seismic-tokens", ["--model", "ZIP", "--option", "heap_factor=5", "--option", "depth=20"]),
        ("knn", ["--dense-model", "DENSE"]),
        ("hybrid-bm25-sparse-dense-minmax", ["--weights", "0.2,0.3,0.5"]),
        ("dense+seismic", ["--weights", "0.2,0.8"]),
        ("bm25+sparse-minmax", ["--weights", "0.2,0.8"]),
    ],
)
def test_a_search_prints_its_hits_as_json(searched, search, mode, options):
    paths = {"ZIP": searched.query_zip, "DENSE": searched.dense_folder}
    options = [paths.get(option, option) for option in options]
    answer = found(search(QUERY, "--mode", mode, "--size", 4, "--filter", f"law={RARE_LAW}", "--json", *options))
    assert answer["mode"] == mode
    assert 1 <= len(answer["hits"]) <= 4
    for hit in answer["hits"]:
        assert searched.passages[hit["id"]]["metadata"]["law"] == RARE_LAW
        assert hit["text"] == searched.passages[hit["id"]]["text"]
        if mode != "knn":
            assert sum(hit["terms"].values()) == pytest.approx(hit["score"], rel=1e-4)


def test_explain_shows_what_was_added(search):
    assert "보증금" in search("보증금", "--explain", "--mode", "sparse").stdout
    assert "bm25" in search("보증금", "--explain", "--mode", "hybrid-bm25-sparse-rrf").stdout
    assert "no token" in search("보증금", "--explain", "--mode", "dense").stdout
    assert search("보증금", "--mode", "sparse").stderr == ""


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([""], "empty"),
        (["전세", "--mode", "semantic"], "dense-exact"),
        (["전세", "--filter", "민법"], "FIELD=VALUE"),
        (["전세", "--filter", "laws=민법"], "law, number"),
        (["전세", "--mode", "sparse-tokens"], "--model"),
        (["전세", "--mode", "knn"], "--dense-model"),
        (["전세", "--mode", "bm25", "--weights", "0.5,0.5"], "no parts"),
        (["전세", "--mode", "hybrid-bm25-sparse-rrf", "--weights", "viel"], "--weights 0.3,0.7"),
        (["전세", "--mode", "hybrid-bm25-sparse-rrf", "--weights", "0.3,0.3"], "sum to 1"),
        (["전세", "--mode", "hybrid-bm25-sparse-rrf", "--weights", "0.3,0.3,0.4"], "2 parts"),
        (["전세", "--option", "top=3"], "two_phase_ratio"),
        (["전세", "--option", "top_n=0"], "--option top_n=0"),
        (["전세", "--size", "10001"], "10000"),
        (["가" * 10_001], "10,000 is the limit"),
        (["tune", "--collection", "nowhere", "--modes", "bm25,seismic"], "bm25,sparse"),
        (["tune", "--collection", "nowhere", "--split", "article-test"], "--split dev"),
    ],
)
def test_wrong_use_is_one_message_with_the_way_out(search, arguments, said):
    answer = search(*arguments)
    assert answer.exit_code == 2
    assert said in answer.stderr
    assert "Traceback" not in answer.stderr


@pytest.mark.parametrize(
    "arguments", [["전세", "--model", "none.zip", "--mode", "sparse-tokens"], ["전세", "--dense-model", ".", "--mode", "knn"]]
)
def test_a_model_that_is_none_is_refused(search, arguments):
    answer = search(*arguments)
    assert answer.exit_code == 1
    assert arguments[2] in answer.stderr


@pytest.fixture(scope="module")
def collection(searched, tmp_path_factory):
    """A query for each of 20 passages: its own first words."""
    passages = {passage: Passage(id=passage, text=fields["text"]) for passage, fields in searched.passages.items()}
    asked = list(passages)[:20]
    queries = {f"q-{passage}": Query(id=f"q-{passage}", text=" ".join(passages[passage].text.split()[:3])) for passage in asked}
    judgements = {f"q-{passage}": {passage: 1} for passage in asked}
    folder = tmp_path_factory.mktemp("collections") / "tuned"
    Collection("tuned", passages, queries, {"dev": judgements}).write(folder)
    return folder


def test_tuning_shows_every_technique_and_writes_only_when_told(searched, search, collection):
    tune = ("tune", "--collection", collection, "--modes", "sparse,bm25", "--json")
    shown = found(search(*tune))
    assert [row["mode"] for row in shown["tuned"]] == [f"hybrid-bm25-sparse-{suffix}" for suffix in ("minmax", "l2", "zscore", "rrf")]
    assert all(row["ndcg@10"] >= row["ndcg@10_equal"] for row in shown["tuned"])
    assert all(set(row["weights"]) == {"bm25", "sparse"} for row in shown["tuned"])
    assert saved_weights(searched.cluster, searched.index) == {}
    kept = found(search(*tune, "--save"))
    assert kept["tuned"] == shown["tuned"]
    assert saved_weights(searched.cluster, searched.index) == {row["mode"]: tuple(row["weights"].values()) for row in kept["tuned"]}
    assert set(kept["saved"].values()) == {True}
    assert set(found(search(*tune, "--save"))["saved"].values()) == {False}
    table = search(*tune[:-1]).stdout
    assert "equal weights" in table
    assert "dev, 20 queries" in table


def test_the_word_tune_can_be_searched_for(search):
    assert found(search("--mode", "bm25", "--json", "tune"))["hits"] == []
