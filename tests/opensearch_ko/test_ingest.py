"""Bulk writing waits when the cluster is full, and never stores a weight that is none."""

import json
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from opensearch_ko.cluster import Cluster
from opensearch_ko.errors import ClusterError
from opensearch_ko.ingest import RETRIES, index_collection
from opensearch_ko.profile import ClusterProfile
from retrieval_ko.errors import DataError
from retrieval_ko.records import Passage

PASSAGES = [Passage(id="a", title="제목", text="본문"), Passage(id="b", text="다른 본문", metadata={"parent_id": "p"})]
OURS = {"demo": {"mappings": {"_meta": {"sparse_ko": {"schema": 1, "model_id": "m1"}}}}}


class BulkServer:
    """Answers as OpenSearch does; the first `full` bulk requests meet a full queue, as a whole or in one item."""

    def __init__(self, full=0, in_one_item=False):
        self.full, self.in_one_item = full, in_one_item
        self.documents, self.paths = {}, []

    def answer(self, path, body):
        if path == "/demo/_mapping":
            return 200, OURS
        if not path.startswith("/_bulk"):
            return 200, {}
        self.paths.append(path)
        lines = [json.loads(line) for line in body.decode().splitlines()]
        rejected = {"type": "rejected_execution_exception", "reason": "queue capacity reached"}
        busy = len(self.paths) <= self.full
        if busy and not self.in_one_item:
            return 429, {"error": rejected, "status": 429}
        items = []
        for action, document in zip(lines[::2], lines[1::2], strict=True):
            passage_id = action["index"]["_id"]
            if busy and not items:
                items.append({"index": {"_id": passage_id, "status": 429, "error": rejected}})
            else:
                self.documents[passage_id] = document
                items.append({"index": {"_id": passage_id, "status": 201}})
        return 200, {"errors": busy, "items": items}


@contextmanager
def running(bulk):
    class Handler(BaseHTTPRequestHandler):
        def respond(self):
            status, answer = bulk.answer(self.path, self.rfile.read(int(self.headers.get("content-length") or 0)))
            payload = json.dumps(answer).encode()
            self.send_response(status)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(payload)))
            self.end_headers()
            self.wfile.write(payload)

        do_GET = do_POST = do_PUT = respond  # noqa: N815  names that http.server looks for

        def log_message(self, *args):
            pass

    httpd = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=httpd.serve_forever, daemon=True).start()
    try:
        yield Cluster(ClusterProfile(url=f"http://127.0.0.1:{httpd.server_port}"))
    finally:
        httpd.shutdown()
        httpd.server_close()


@pytest.fixture
def pauses(monkeypatch):
    """Record how long the bulk helper would have waited, without waiting."""
    waited = []
    monkeypatch.setattr("opensearchpy.helpers.actions.time.sleep", waited.append)
    return waited


def words(text):
    return text.split()


@pytest.mark.parametrize("in_one_item", [False, True])
def test_a_full_queue_is_waited_for_ever_longer(pauses, in_one_item):
    bulk, progress = BulkServer(full=3, in_one_item=in_one_item), []
    with running(bulk) as cluster:
        report = index_collection(cluster, "demo", PASSAGES, content_terms=words, on_progress=progress.append)
    assert (report.indexed, report.failed) == (2, 0)
    assert bulk.documents.keys() == {"a", "b"}
    assert pauses == [1, 2, 4]
    assert progress == [1, 2]


def test_a_queue_that_stays_full_ends_with_the_clusters_words(pauses):
    with running(BulkServer(full=RETRIES + 1)) as cluster, pytest.raises(ClusterError, match="queue capacity reached"):
        index_collection(cluster, "demo", PASSAGES, content_terms=words)
    assert len(pauses) == RETRIES


def test_the_fields_are_what_the_encoders_and_the_baseline_read():
    bulk = BulkServer()
    with running(bulk) as cluster:
        index_collection(cluster, "demo", PASSAGES, content_terms=words)
    assert bulk.documents["a"] == {"title": "제목", "text": "본문", "passage": "제목\n본문", "morphemes": "제목 본문"}
    assert bulk.documents["b"]["passage"] == "다른 본문"
    assert bulk.documents["b"]["metadata"] == {"parent_id": "p"}


def test_weights_of_the_client_pass_the_pipeline_by_and_zeros_are_left_out():
    bulk, asked = BulkServer(), []

    def encode(texts):
        asked.extend(texts)
        return [{"제목": 1.5, "본문": 0.0} for _ in texts]

    with running(bulk) as cluster:
        index_collection(cluster, "demo", PASSAGES, content_terms=words, encode="client", encode_documents=encode)
    assert asked == [passage.passage_text for passage in PASSAGES]
    assert bulk.documents["a"]["sparse"] == {"제목": 1.5}
    assert all("pipeline=_none" in path for path in bulk.paths)


@pytest.mark.parametrize("weight", [float("nan"), float("inf"), -0.5])
def test_a_weight_that_cannot_be_stored_names_its_passage(weight):
    def encode(texts):
        return [{"본문": weight} for _ in texts]

    with running(BulkServer()) as cluster, pytest.raises(DataError, match="passage a"):
        index_collection(cluster, "demo", PASSAGES, content_terms=words, encode="client", encode_documents=encode)


def test_an_id_that_opensearch_cannot_hold_does_not_keep_the_others_out(tmp_path):
    broken = Passage(id="가" * 200, text="200 syllables are 600 bytes")
    bulk, listed = BulkServer(), tmp_path / "failed.jsonl"
    with running(bulk) as cluster:
        report = index_collection(cluster, "demo", [PASSAGES[0], broken, PASSAGES[1]], content_terms=words, failures=listed)
    assert (report.indexed, report.failed, report.failures) == (2, 1, listed)
    assert json.loads(listed.read_text(encoding="utf-8"))["_id"] == broken.id
