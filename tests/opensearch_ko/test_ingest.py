"""Passages into a real node's index: every field, the same weights whoever encodes, and a run that goes on where it was killed."""

import json
import subprocess
import sys
import time
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
from fault_proxy import FaultProxy, Rule
from word_model import TABLE, WORDS, WordEncoder, WordModel

from opensearch_ko.cluster import Cluster
from opensearch_ko.errors import ClusterError
from opensearch_ko.indexes import DenseReference, SeismicSettings, seismic_name
from opensearch_ko.ingest import Patience, default_checkpoint, index_collection
from opensearch_ko.profile import ClusterProfile
from opensearch_ko.pruning import Pruning
from retrieval_ko.errors import UsageError
from retrieval_ko.records import Passage
from retrieval_ko.text import content_terms

pytestmark = pytest.mark.node

PASSAGES = [
    Passage(
        id=f"문서{number}", title=WORDS[number % 15], text=f"{WORDS[(number + 1) % 15]} {WORDS[(number * 7) % 15]} {WORDS[number % 15]}"
    )
    for number in range(59)
]
PASSAGES.insert(5, Passage(id="하나", text="전세"))
QUICK = Patience(seconds=20, first_pause=0.05, longest_pause=0.2)


@pytest.fixture(scope="module")
def words(cluster, tmp_path_factory):
    model = WordModel(cluster, tmp_path_factory.mktemp("words"))
    yield model
    model.remove()


def test_the_terms_are_kiwis_and_every_field_is_there(cluster, words):
    index = words.index()
    passage = Passage(id="a", title="전세", text="전세 보증금을 돌려받는다", metadata={"law": "민법"})
    report = index_collection(cluster, index, [passage])
    assert (report.indexed, report.failed, report.skipped, report.failures) == (1, 0, 0, None)
    assert words.stored(index)["a"] == {
        "title": "전세",
        "text": "전세 보증금을 돌려받는다",
        "metadata": {"law": "민법"},
        "passage": "전세\n전세 보증금을 돌려받는다",
        "morphemes": " ".join(content_terms("전세\n전세 보증금을 돌려받는다")),
        "sparse": {"전세": TABLE["전세"]},
    }


@pytest.mark.parametrize("pruning", ["none", "abs_value:1.0", "alpha_mass:0.7"])
def test_the_client_stores_what_the_cluster_stores(cluster, words, pruning):
    settings = {"pruning": Pruning.parse(pruning), "seismic": SeismicSettings()}
    here, there = words.index(**settings), words.index(**settings)
    # abs_value and alpha_mass leave some passages nothing: an empty field of a companion would poison its segment
    by_client = index_collection(cluster, here, PASSAGES, content_terms=str.split, encode="client", encoder=WordEncoder(TABLE))
    by_cluster = index_collection(cluster, there, PASSAGES, content_terms=str.split)
    assert by_client.indexed == by_cluster.indexed == len(PASSAGES)
    assert words.stored(here) == words.stored(there)
    assert any("sparse" not in source for source in words.stored(seismic_name(here)).values()) == (pruning != "none")
    assert words.stored(seismic_name(here)) == words.stored(seismic_name(there))
    assert any(set(source["sparse"]) < set(source["passage"].split()) for source in words.stored(here).values()) == (pruning != "none")
    assert cluster.find(f"/_ingest/pipeline/{seismic_name(there)}-ingest") is None


def test_a_dense_field_is_filled_by_the_client(cluster, words):
    dense = DenseReference(model_id="", name="d", version="1", fingerprint="f", dimension=2, space_type="innerproduct")
    index = words.index(dense=dense)
    encoder = WordEncoder(TABLE, vector=[0.5, 0.25])
    index_collection(cluster, index, PASSAGES[:3], content_terms=str.split, encode="client", encoder=encoder)
    found = cluster.request("POST", f"/{index}/_search", {"query": {"knn": {"dense": {"vector": [1, 1], "k": 3}}}})["hits"]["hits"]
    assert {hit["_id"] for hit in found} == {passage.id for passage in PASSAGES[:3]}


def test_a_field_that_no_deployed_model_fills_is_told_before_anything_is_sent(cluster, words):
    dense = DenseReference(model_id="", name="vectors", version="1", fingerprint="f", dimension=2)
    index = words.index(dense=dense)
    with pytest.raises(ClusterError, match="vectors, version 1") as refusal:
        index_collection(cluster, index, PASSAGES, content_terms=str.split)
    assert "--encode client" in refusal.value.remedy
    assert words.stored(index) == {}


def test_an_alias_of_one_index_will_do_and_twice_adds_nothing(cluster, words):
    index = words.index()
    cluster.request("POST", "/_aliases", {"actions": [{"add": {"index": index, "alias": f"{index}-alias"}}]})
    for _ in range(2):
        index_collection(cluster, f"{index}-alias", PASSAGES, content_terms=str.split)
    assert words.stored(index).keys() == {passage.id for passage in PASSAGES}


def test_a_missing_index_says_how_it_is_made(cluster):
    with pytest.raises(ClusterError, match="has no index test-nowhere") as refusal:
        index_collection(cluster, "test-nowhere", PASSAGES, content_terms=str.split)
    assert "--index test-nowhere" in refusal.value.remedy


SCRIPT = """
import json, sys
from pathlib import Path
from opensearch_ko.cluster import connect
from opensearch_ko.ingest import Corpus, index_collection
url, index, folder, checkpoint = sys.argv[1:]
corpus = Corpus.check(Path(folder))
index_collection(connect(url), index, corpus, content_terms=str.split, checkpoint=Path(checkpoint), collection_sha256=corpus.sha256)
"""


def test_a_run_that_was_killed_goes_on_where_it_was(cluster, words, tmp_path):
    index, checkpoint, many = words.index(), tmp_path / "run.jsonl", 400
    rows = [{"_id": f"p{number}", "text": WORDS[number % 15]} for number in range(many)]
    (tmp_path / "corpus.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    with FaultProxy(cluster.url) as proxy:
        proxy.add(Rule(path="/_bulk", status=429, skip=6, times=None))
        run = subprocess.Popen([sys.executable, "-c", SCRIPT, proxy.url, index, str(tmp_path), str(checkpoint)])
        end = time.monotonic() + 60
        while not (proxy.seen("/_bulk", "status") and checkpoint.exists() and checkpoint.read_bytes().count(b"\n") >= 4):
            assert run.poll() is None
            assert time.monotonic() < end
            time.sleep(0.05)
        run.kill()
        run.wait()
        proxy.clear()
        before = len(proxy.requests)
        steps, done = [], []
        report = index_collection(
            Cluster(ClusterProfile(url=proxy.url)),
            index,
            (Passage.model_validate(row) for row in rows),
            content_terms=str.split,
            checkpoint=checkpoint,
            collection_sha256=json.loads(checkpoint.read_text(encoding="utf-8").splitlines()[0])["collection"],
            on_step=steps.append,
            on_progress=done.append,
        )
        sent = [
            json.loads(line)["index"]["_id"]
            for request in proxy.requests[before:]
            if "/_bulk" in request.path
            for line in request.body.decode().splitlines()[::2]
        ]
    assert report.skipped >= 48  # three requests of 16 were noted
    assert report.skipped + report.indexed == many
    assert sorted(sent) == sorted(row["_id"] for row in rows[report.skipped :])
    assert steps[0].startswith("going on from")
    assert done == sorted(done)
    assert (done[0], done[-1]) == (report.skipped, many)  # what is in already is shown before anything is sent
    assert len(words.stored(index)) == many
    assert not checkpoint.exists()


def test_a_checkpoint_of_another_collection_or_index_is_refused(cluster, words, tmp_path):
    first, second = words.index(), words.index()
    checkpoint = tmp_path / "run.jsonl"
    broken = [Passage(id="가" * 200, text="전세"), *PASSAGES[:2]]
    common = {"content_terms": str.split, "checkpoint": checkpoint, "failures": tmp_path / "failed.jsonl"}
    report = index_collection(cluster, first, broken, collection_sha256="one", **common)
    assert (report.indexed, report.failed, report.checkpoint) == (2, 1, checkpoint)
    with pytest.raises(UsageError, match="collection: one, here two"):
        index_collection(cluster, first, PASSAGES, collection_sha256="two", **common)
    with pytest.raises(UsageError, match="uuid"):
        index_collection(cluster, second, broken, collection_sha256="one", **common)
    mended = [Passage(id="가", text="전세"), *PASSAGES[:2]]  # the same places
    again = index_collection(cluster, first, mended, collection_sha256="one", encode="client", encoder=WordEncoder(TABLE), **common)
    assert (again.indexed, again.skipped, again.failed) == (1, 2, 0)
    assert not checkpoint.exists()


def test_by_default_every_run_has_a_checkpoint_of_its_own(cluster, words, monkeypatch, tmp_path):
    monkeypatch.setenv("SPARSE_KO_CACHE", str(tmp_path))
    index = words.index()
    one, none = default_checkpoint(cluster, index, "one")
    assert (one.parent, none) == (tmp_path / "ingest", [])
    one.parent.mkdir()
    one.touch()
    two, others = default_checkpoint(cluster, index, "two")
    assert two != one
    assert others == [one]
    assert default_checkpoint(cluster, index, "one") == (one, [])
