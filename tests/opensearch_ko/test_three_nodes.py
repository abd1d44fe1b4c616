"""Three nodes, one of which is killed: while passages go in, no passage is lost; while people search, searches go on."""

import sys
import threading
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
from word_model import TABLE, WORDS, WordModel

from opensearch_ko.cluster import connect
from opensearch_ko.errors import ClusterError
from opensearch_ko.ingest import Patience, index_collection
from opensearch_ko.node import EmbeddedNode, NodeError, NodeSettings
from opensearch_ko.node.machine import require_free_ports
from opensearch_ko.node.record import Record
from retrieval_ko.records import Passage

pytestmark = pytest.mark.node

PASSAGES = [Passage(id=f"p{number}", text=f"{WORDS[number % 15]} {WORDS[number * 7 % 15]}") for number in range(600)]


def free_ports_in_a_row(count):
    """Return the first of some ports that no outgoing connection of this machine takes while the nodes start (32768 and above)."""
    for first in range(20_000, 30_000, count):
        try:
            require_free_ports(list(range(first, first + count)))
        except NodeError:
            continue
        return first
    raise AssertionError("no ports")


@pytest.fixture
def three_nodes(open_folder):
    node = EmbeddedNode(NodeSettings(port=free_ports_in_a_row(3), home=open_folder / "three", nodes=3, heap="512m"))
    node.start()
    yield node
    node.stop()


def kill(node, address):
    """End the process of the node that answers at `address`, as a power cut would."""
    [victim] = [member for member in Record.read(node.home).nodes if address.endswith(f":{member.http_port}")]
    victim.find().kill()


def until_green(cluster):
    cluster.request("GET", "/_cluster/health", params={"wait_for_status": "green", "timeout": "120s"}, timeout_seconds=130)


class Searching(threading.Thread):
    """Somebody who searches without a pause, and what each search found."""

    def __init__(self, cluster, index):
        super().__init__(daemon=True)
        self.cluster, self.index = cluster, index
        self.found, self.failures, self.ended = [], [], threading.Event()

    def run(self):
        while not self.ended.is_set():
            word = WORDS[len(self.found) % len(WORDS)]
            body = {"query": {"neural_sparse": {"sparse": {"query_tokens": {word: 1.0}}}}, "size": 0}
            try:
                answer = self.cluster.request("POST", f"/{self.index}/_search", body)
            except ClusterError as failure:
                self.failures.append(failure.problem)
                return
            self.found.append((word, answer["hits"]["total"]["value"], answer["_shards"]["failed"]))


def test_a_node_that_is_killed_loses_no_passage_and_stops_no_search(three_nodes, tmp_path):
    cluster, asking = connect(three_nodes.status().url), connect(three_nodes.status().url)
    assert len(cluster.addresses) == 3
    model = WordModel(cluster, tmp_path)
    searched, filled = model.index(replicas=1), model.index(replicas=1)
    index_collection(cluster, searched, PASSAGES, content_terms=str.split)
    until_green(cluster)
    searching = Searching(asking, searched)
    searching.start()
    kills, steps = [], []

    def kill_in_the_middle(done):
        if done >= 200 and not kills:
            kills.append(len(searching.found))
            kill(three_nodes, cluster.url)  # the very node that both speak to

    report = index_collection(
        cluster,
        filled,
        PASSAGES,
        content_terms=str.split,
        on_progress=kill_in_the_middle,
        on_step=steps.append,
        patience=Patience(seconds=120, first_pause=0.5, longest_pause=2),
    )
    searching.ended.set()
    searching.join()

    assert (report.indexed, report.failed) == (len(PASSAGES), 0), steps
    stored = model.stored(filled)
    assert stored.keys() == {passage.id for passage in PASSAGES}
    assert all(source["sparse"] == {word: TABLE[word] for word in source["passage"].split()} for source in stored.values())
    assert searching.failures == []
    assert 0 < kills[0] < len(searching.found) - 10  # before the end of the node, and after
    for word, total, failed_shards in searching.found:
        assert (total, failed_shards) == (sum(word in passage.text.split() for passage in PASSAGES), 0)
    assert cluster.url not in (cluster.address, asking.address)
