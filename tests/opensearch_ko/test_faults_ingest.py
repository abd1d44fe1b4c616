"""Whatever goes wrong between us and the node while passages go in: nothing is lost, nothing is half-written, and the words are clear."""

import json
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
from fault_proxy import FaultProxy, Rule
from word_model import TABLE, WORDS, WordEncoder, WordModel

from opensearch_ko.cluster import Cluster
from opensearch_ko.errors import ClusterError
from opensearch_ko.indexes import SeismicSettings, seismic_name
from opensearch_ko.ingest import Checkpoint, Patience, index_collection
from opensearch_ko.models import undeploy
from opensearch_ko.pipelines import pipeline_name
from opensearch_ko.profile import ClusterProfile
from retrieval_ko.records import Passage

pytestmark = pytest.mark.node

PASSAGES = [Passage(id=f"p{number}", text=f"{WORDS[number % 15]} {WORDS[number * 7 % 15]}") for number in range(100)]
QUICK = Patience(seconds=20, first_pause=0.02, longest_pause=0.1)
IMPATIENT = Patience(seconds=0.3, first_pause=0.02, longest_pause=0.1)


@pytest.fixture(scope="module")
def words(cluster, tmp_path_factory):
    model = WordModel(cluster, tmp_path_factory.mktemp("words"))
    yield model
    model.remove()


@pytest.fixture
def proxy(cluster):
    with FaultProxy(cluster.url) as proxy:
        yield proxy


@pytest.fixture
def fill(proxy, tmp_path):
    """Index the passages through the proxy, with a checkpoint and a failures file."""

    def filling(index, passages=PASSAGES, patience=QUICK, **settings):
        return index_collection(
            Cluster(ClusterProfile(url=proxy.url)),
            index,
            passages,
            content_terms=str.split,
            patience=patience,
            checkpoint=tmp_path / "run.jsonl",
            collection_sha256="c",
            failures=tmp_path / "failed.jsonl",
            **settings,
        )

    return filling


def ids(passages):
    return {passage.id for passage in passages}


def noted(tmp_path):
    """Return how many passages the checkpoint says are in."""
    path = tmp_path / "run.jsonl"
    header = json.loads(path.read_text(encoding="utf-8").splitlines()[0])
    with Checkpoint(path, {name: value for name, value in header.items() if name != "sparse_ko_checkpoint"}) as checkpoint:
        return len(checkpoint)


@pytest.mark.parametrize(
    "rule",
    [
        Rule(path="/_bulk", status=429, times=5, skip=1),
        Rule(path="/_bulk", status=503, times=2, body=b"<html>busy</html>"),
        Rule(path="/_bulk", action="cut", times=3),
        Rule(path="/_bulk", action="cut-after", times=3),
        Rule(path="/_bulk", action="swallow", times=2),
    ],
    ids=["queue full", "proxy busy", "cut before", "cut after", "swallowed"],
)
def test_a_passing_fault_costs_nothing_but_time(words, proxy, fill, tmp_path, rule):
    index = words.index(seismic=SeismicSettings())
    proxy.add(rule)
    report = fill(index)
    assert (report.indexed, report.failed) == (len(PASSAGES), 0)
    assert rule.times == 0  # it happened
    assert words.stored(index).keys() == words.stored(seismic_name(index)).keys() == ids(PASSAGES)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("status", "kind", "reason"),
    [
        (429, "rejected_execution_exception", "queue capacity reached"),
        (400, "illegal_argument_exception", "Memory Circuit Breaker is open, please check your resources!"),
    ],
)
def test_items_that_the_node_had_no_room_for_are_sent_again_and_no_others(words, proxy, fill, status, kind, reason):
    def every_other_is_rejected(body):
        actions = [json.loads(line)["index"] for line in body.decode().splitlines()[::2]]
        full = {"status": status, "error": {"type": kind, "reason": reason}}
        rows = [{"_id": action["_id"], **(full if number % 2 else {"status": 201})} for number, action in enumerate(actions)]
        return json.dumps({"errors": True, "items": [{"index": row} for row in rows]}).encode()

    index = words.index()
    proxy.add(Rule(path="/_bulk", status=200, body=every_other_is_rejected))
    assert fill(index, PASSAGES[:16]).indexed == 16
    assert words.stored(index).keys() == {passage.id for passage in PASSAGES[1:16:2]}  # the proxy kept the others to itself


def test_a_queue_that_stays_full_ends_with_the_nodes_words_and_goes_on_later(words, proxy, fill, tmp_path):
    index = words.index()
    proxy.add(Rule(path="/_bulk", status=429, skip=2, times=None))
    with pytest.raises(ClusterError, match="rejected_execution_exception"):
        fill(index, patience=IMPATIENT)
    assert [path.name for path in tmp_path.iterdir()] == ["run.jsonl"]
    proxy.clear()
    kept = noted(tmp_path)
    report = fill(index)
    assert kept == report.skipped == 32  # two requests of 16
    assert report.indexed == len(PASSAGES) - kept
    assert words.stored(index).keys() == ids(PASSAGES)


def test_a_cluster_that_takes_nothing_is_not_read_for_in_advance(words, proxy, fill):
    index, read = words.index(), []

    def endless():
        for number in range(1_000_000):
            read.append(number)
            yield Passage(id=f"p{number}", text="전세")

    proxy.add(Rule(path="/_bulk", status=429, times=None))
    with pytest.raises(ClusterError):
        fill(index, endless(), patience=IMPATIENT)
    assert len(read) < 1_000  # a window and a handful of requests


def test_a_cluster_that_is_gone_is_waited_for_and_then_named(words, proxy, fill):
    index, steps = words.index(), []
    proxy.add(Rule(path="/_bulk", action="cut", times=None))
    with pytest.raises(ClusterError, match="closed the connection"):
        fill(index, patience=IMPATIENT, on_step=steps.append)
    assert any(step.startswith("waiting") for step in steps)


def test_a_request_that_is_too_large_for_what_stands_between_is_sent_in_parts(words, proxy, fill):
    index = words.index()
    proxy.add(Rule(path="/_bulk", status=413, times=3, body=b"<html>too large</html>"))
    assert fill(index, encode="client", encoder=WordEncoder(TABLE)).indexed == len(PASSAGES)
    assert words.stored(index).keys() == ids(PASSAGES)


def test_one_bad_passage_is_listed_and_the_others_go_in(words, fill, tmp_path):
    index = words.index()
    broken = [Passage(id="가" * 200, text="전세"), Passage(id="_" * 10, text="전세", metadata={"x": {"y": "z" * 40_000}})]
    report = fill(index, [PASSAGES[0], broken[0], PASSAGES[1], broken[1], PASSAGES[2]])
    assert (report.indexed, report.failed) == (3, 2)
    rows = [json.loads(line) for line in report.failures.read_text(encoding="utf-8").splitlines()]
    assert [row["_id"] for row in rows] == [passage.id for passage in broken]
    assert "600 bytes" in rows[0]["reason"]
    assert "immense term" in rows[1]["reason"]
    assert words.stored(index).keys() == ids(PASSAGES[:3])


def test_a_mapping_that_conflicts_names_field_and_passage(cluster, words, fill):
    index = words.index()
    made = cluster.request("GET", f"/{index}")[index]["mappings"]
    made["properties"]["title"] = {"type": "integer"}  # as somebody else made it
    cluster.request("DELETE", f"/{index}")
    cluster.request("PUT", f"/{index}", {"mappings": made, "settings": {"index": {"default_pipeline": pipeline_name(index)}}})
    report = fill(index, [Passage(id="a", title="전세", text="전세"), Passage(id="b", title="7", text="전세")])
    assert (report.indexed, report.failed) == (1, 1)
    [row] = [json.loads(line) for line in report.failures.read_text(encoding="utf-8").splitlines()]
    assert row["_id"] == "a"
    assert "[title]" in row["reason"]


def test_a_missing_pipeline_is_told_before_anything_is_sent(cluster, words, proxy, fill):
    index = words.index()
    body = cluster.request("GET", f"/_ingest/pipeline/{pipeline_name(index)}")
    cluster.request("PUT", f"/{index}/_settings", {"index.default_pipeline": "_none"})
    cluster.request("DELETE", f"/_ingest/pipeline/{pipeline_name(index)}")
    try:
        with pytest.raises(ClusterError, match="pipeline") as refusal:
            fill(index)
        assert f"sparse-ko deploy --model DIR|ZIP --index {index}" in refusal.value.remedy
        assert proxy.seen("/_bulk") == []
        assert fill(index, encode="client", encoder=WordEncoder(TABLE)).indexed == len(PASSAGES)
    finally:
        cluster.request("PUT", f"/_ingest/pipeline/{pipeline_name(index)}", body[pipeline_name(index)])


def test_a_model_that_was_undeployed_is_brought_back(cluster, words, fill):
    index, steps = words.index(), []
    undeploy(cluster, words.model_id)
    report = fill(index, on_step=steps.append)
    assert (report.indexed, report.failed) == (len(PASSAGES), 0)
    assert all(source["sparse"] for source in words.stored(index).values())
    assert any("a model does not answer" in step for step in steps)


def test_a_model_that_is_gone_ends_the_run_with_the_way_out(cluster, fill, tmp_path):
    model = WordModel(cluster, tmp_path)
    index = model.index()
    model_id = model.model_id
    undeploy(cluster, model_id)
    cluster.request("DELETE", f"/_plugins/_ml/models/{model_id}")
    with pytest.raises(ClusterError, match="no longer has the model") as refusal:
        fill(index)
    assert "sparse-ko deploy" in refusal.value.remedy
    assert not (tmp_path / "failed.jsonl").exists()
    model.drop_indexes()


def test_a_read_only_index_ends_the_run_with_the_nodes_words(cluster, words, fill, tmp_path):
    index = words.index()
    cluster.request("PUT", f"/{index}/_settings", {"index.blocks.write": True})
    with pytest.raises(ClusterError, match="cluster_block_exception") as refusal:
        fill(index, patience=IMPATIENT)
    assert "disk" in refusal.value.remedy
    assert not (tmp_path / "failed.jsonl").exists()
    cluster.request("PUT", f"/{index}/_settings", {"index.blocks.write": None})
    assert fill(index).indexed == len(PASSAGES)


def test_an_index_that_is_deleted_meanwhile_is_told(cluster, words, fill):
    index = words.index()

    def delete(done):
        if done == 32:
            cluster.request("DELETE", f"/{index}")

    with pytest.raises(ClusterError, match=r"deleted while|no such index|has no index"):
        fill(index, on_progress=delete, senders=1)


def test_a_disk_that_is_full_for_the_checkpoint_stops_the_run(words, fill, monkeypatch):
    index = words.index()

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("opensearch_ko.ingest.checkpoint.os.fsync", full)
    with pytest.raises(Exception, match="disk is full"):
        fill(index)
