"""What goes wrong on the way to the node, or lies damaged here: a clear error, nothing half-registered, a second try that works."""

import http.server
import sys
import threading
import zipfile
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from opensearch_ko.cluster import Cluster, ClusterProfile
from opensearch_ko.deployment import deploy_archive
from opensearch_ko.errors import ClusterError, DeployError
from opensearch_ko.export.archive import ModelArchive
from opensearch_ko.indexes import read_meta
from opensearch_ko.models import CHUNK_BYTES, MODELS, delete, ensure_deployed, register
from opensearch_ko.rehearsal import Rehearsal
from retrieval_ko.errors import ModelError
from retrieval_ko.files import sha256

sys.path.insert(0, str(Path(__file__).parent))
from deploy_archives import registered, sparse_archive, words_archive
from fault_proxy import FaultProxy, Rule

pytestmark = pytest.mark.node


@pytest.fixture
def proxy(node_url):
    with FaultProxy(node_url) as between:
        yield between


def through(proxy):
    return Cluster(ClusterProfile(url=proxy.url))


def read_again(archive):
    """Take the bytes on disk as they are now for the archive's own."""
    return replace(archive, sha256=sha256(archive.path), size_bytes=archive.path.stat().st_size)


@pytest.fixture(scope="module")
def large(made):
    """An archive of two chunks."""
    archive = made.archive(words_archive, seed=31)
    with zipfile.ZipFile(archive.path, "a") as zipped:
        zipped.writestr("padding.bin", bytes(CHUNK_BYTES + 1))
    made.archives.append(read_again(archive))
    return made.archives[-1]


@pytest.mark.parametrize(
    ("action", "words"),
    [
        ("swallow", "did not confirm chunk 1 of 2"),
        ("cut", "closed the connection without an answer"),
        ("cut-after", "closed the connection without an answer"),
        ("status", "HTTP 429"),
    ],
)
def test_a_chunk_that_is_lost_leaves_nothing_behind(cluster, proxy, large, action, words):
    proxy.add(Rule(path=r"/upload_chunk/0", action=action))
    with pytest.raises(ClusterError, match=words):
        register(through(proxy), large)
    assert registered(cluster, large) == []


def test_a_chunk_that_arrives_damaged_is_noticed_and_the_next_run_sends_it_anew(cluster, proxy, large):
    proxy.add(Rule(path=r"/upload_chunk/1", action="corrupt"))
    with pytest.raises(DeployError, match="model content changed") as refusal:
        ensure_deployed(through(proxy), large)
    assert "run the command again" in refusal.value.remedy
    assert registered(cluster, large) == []
    model = ensure_deployed(cluster, large)
    assert model.state == "DEPLOYED"
    assert len(registered(cluster, large)) == 1
    delete(cluster, model.model_id)


def test_a_connection_lost_while_the_model_loads_is_taken_up_again(cluster, proxy, made):
    archive = made.archive(words_archive, seed=32)
    proxy.add(Rule(path=r"/_deploy", action="cut-after"))
    with pytest.raises(ClusterError, match="closed the connection"):
        ensure_deployed(through(proxy), archive)
    [left] = registered(cluster, archive)
    assert ensure_deployed(cluster, archive).model_id == left.model_id


@pytest.mark.parametrize("path", [r"/_ingest/pipeline", r"PUT-INDEX"])
def test_a_deploy_cut_before_its_end_is_finished_by_the_next(cluster, proxy, made, path):
    archive, index = made.archive(words_archive, seed=33 + len(path)), made.index()
    proxy.add(Rule(method="PUT", path=path.replace("PUT-INDEX", f"^/{index}$"), action="cut"))
    with pytest.raises(ClusterError, match="closed the connection"):
        deploy_archive(through(proxy), archive, index, on_step=lambda _: None)
    done = deploy_archive(cluster, archive, index, on_step=lambda _: None)
    assert done.model_already
    assert read_meta(cluster, index).encoder.model_id == done.model_id
    assert len(registered(cluster, archive)) == 1


@contextmanager
def served(folder):
    """Serve a folder by HTTP, as a file store within a company does."""

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_):
            pass

    httpd = http.server.ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(folder)))
    threading.Thread(target=httpd.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{httpd.server_port}/"
    finally:
        httpd.shutdown()
        httpd.server_close()


def test_a_node_fetches_the_zip_itself(cluster, made):
    archive, index = made.archive(words_archive, seed=41), made.index()
    with served(archive.path.parent) as folder, FaultProxy(cluster.url) as proxy:
        done = deploy_archive(through(proxy), archive, index, via_url=folder, on_step=lambda _: None)
        assert proxy.seen("upload_chunk") == []
    assert not done.already
    assert deploy_archive(cluster, archive, index, on_step=lambda _: None).already


def test_a_file_on_the_nodes_own_disk_is_registered(cluster, made, open_folder):
    archive = words_archive(open_folder, seed=42)
    archive.path.chmod(0o644)
    made.archives.append(archive)
    assert ensure_deployed(cluster, archive, url=archive.path.as_uri()).state == "DEPLOYED"


@pytest.mark.parametrize(
    ("name", "words", "remedy"),
    [
        ("other.zip", "model content changed", "serves this very zip"),
        ("truncated.zip", "zip END header not found", "cut off"),
        ("missing.zip", "missing.zip", "not one this node can load"),
    ],
)
def test_an_address_with_another_zip_registers_nothing(cluster, made, name, words, remedy):
    archive = made.archive(words_archive, seed=43)
    (archive.path.parent / "truncated.zip").write_bytes(archive.path.read_bytes()[:-100])
    (archive.path.parent / "other.zip").write_bytes(made.archive(words_archive, seed=44).path.read_bytes())
    with served(archive.path.parent) as folder, pytest.raises(DeployError, match=words) as refusal:
        ensure_deployed(cluster, archive, url=f"{folder}{name}")
    assert remedy in refusal.value.remedy
    assert registered(cluster, archive) == []


def test_an_address_where_nothing_answers_says_so(cluster, made):
    archive = made.archive(words_archive, seed=45)
    with served(archive.path.parent) as folder:
        pass
    with pytest.raises(DeployError, match="Connection refused") as refusal:
        ensure_deployed(cluster, archive, url=f"{folder}x.zip")
    assert "a node may not" in refusal.value.remedy
    assert registered(cluster, archive) == []


def test_a_zip_that_changed_after_it_was_read_is_refused_by_the_node(cluster, made):
    archive = replace(made.archive(words_archive, seed=46), sha256="f" * 64)
    made.archives.append(archive)
    with pytest.raises(DeployError, match="model content changed"):
        ensure_deployed(cluster, archive)
    assert registered(cluster, archive) == []


def test_a_registration_with_damaged_bytes_is_done_anew(cluster, proxy, made):
    archive = made.archive(words_archive, seed=49)
    proxy.add(Rule(path=r"/upload_chunk/0", action="corrupt"))
    damaged = register(through(proxy), archive)
    assert [model.model_id for model in registered(cluster, archive)] == [damaged]
    steps = []
    model = ensure_deployed(cluster, archive, steps.append)
    assert any("damaged" in step for step in steps)
    assert model.model_id != damaged
    assert [found.model_id for found in registered(cluster, archive)] == [model.model_id]


def test_a_truncated_zip_is_refused_here(made):
    archive = made.archive(words_archive, seed=47)
    archive.path.write_bytes(archive.path.read_bytes()[:-200])
    with pytest.raises(ModelError, match="not a readable zip"):
        ModelArchive.read(archive.path)


def test_two_graphs_are_refused_here_and_by_the_node(cluster, made):
    archive = made.archive(sparse_archive, graph=b"one")
    with zipfile.ZipFile(archive.path, "a") as zipped:
        zipped.writestr("other.pt", b"two")
    with pytest.raises(ModelError, match="holds 2 model files"):
        ModelArchive.read(archive.path)
    made.archives.append(read_again(archive))
    with pytest.raises(DeployError, match="found multiple models") as refusal:
        ensure_deployed(cluster, made.archives[-1])
    assert "two graphs" in refusal.value.remedy


def test_a_rehearsal_reads_the_cluster_and_writes_nothing(cluster, proxy, made):
    archive = made.archive(words_archive, seed=48)
    rehearsal = Rehearsal(through(proxy), {})
    model_id = register(rehearsal, archive)
    rehearsal.request("DELETE", f"{MODELS}/{model_id}")
    rehearsal.request("PUT", "/somewhere", {"settings": {}})
    assert [request.method for request in rehearsal.requests] == ["POST", "POST", "DELETE", "PUT"]
    assert proxy.requests == []
