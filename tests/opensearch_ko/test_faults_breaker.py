"""The memory breaker of a node: what it turned away unread is sent again, whatever it was; what it stopped half-way is not."""

import json
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
from fault_proxy import FaultProxy, Rule

import opensearch_ko.cluster
from opensearch_ko.cluster import BREAKER_PAUSES, Cluster
from opensearch_ko.errors import ClusterError
from opensearch_ko.profile import ClusterProfile

pytestmark = pytest.mark.node


def breaker(what):
    reason = (
        f"[parent] Data too large, data for [{what}] would be [1021929488/974.5mb], which is larger than the limit of [1020054732/972.7mb]"
    )
    return json.dumps(
        {"error": {"type": "circuit_breaking_exception", "reason": reason, "durability": "TRANSIENT"}, "status": 429}
    ).encode()


@pytest.fixture
def proxy(node_url, monkeypatch):
    monkeypatch.setattr(opensearch_ko.cluster, "BREAKER_PAUSES", (0.01,) * len(BREAKER_PAUSES))
    with FaultProxy(node_url) as proxy:
        yield proxy


@pytest.mark.parametrize(
    ("method", "path", "body"), [("GET", "/", None), ("POST", "/_bulk", b'{"delete": {"_index": "test-none", "_id": "a"}}\n')]
)
def test_what_was_turned_away_unread_is_sent_again(proxy, method, path, body):
    proxy.add(Rule(path=f"^{path}$", method=method, body=breaker("<http_request>"), times=2))
    assert Cluster(ClusterProfile(url=proxy.url)).request(method, path, body)
    assert [request.action for request in proxy.requests] == ["status", "status", "forward"]


def test_a_heap_that_stays_full_is_told_with_the_way_out(proxy):
    proxy.add(Rule(path="/", method="GET", body=breaker("<http_request>"), times=None))
    with pytest.raises(ClusterError, match=r"Data too large[\s\S]*give it more heap"):
        Cluster(ClusterProfile(url=proxy.url)).check_identity()
    assert len(proxy.requests) == 1 + len(BREAKER_PAUSES)


def test_what_was_stopped_half_way_is_not_sent_again(proxy):
    proxy.add(Rule(path="/_search", body=breaker("<agg [top]>"), times=None))
    with pytest.raises(ClusterError, match="Data too large"):
        Cluster(ClusterProfile(url=proxy.url)).request("POST", "/_search", {"size": 0})
    assert len(proxy.requests) == 1
