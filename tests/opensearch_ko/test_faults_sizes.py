"""Measuring bytes while the connection breaks: the copy's task is ended, and no copy is left on the cluster."""

import sys
import uuid
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
from fault_proxy import FaultProxy, Rule

from opensearch_ko.benchmark.sizes import field_bytes
from opensearch_ko.cluster import Cluster
from opensearch_ko.errors import ClusterError
from opensearch_ko.profile import ClusterProfile

pytestmark = pytest.mark.node


@pytest.fixture
def index(cluster):
    name = f"test-sizes-{uuid.uuid4().hex[:8]}"
    cluster.request("PUT", f"/{name}", {"mappings": {"properties": {"passage": {"type": "text"}}}})
    cluster.request("PUT", f"/{name}/_doc/a", {"passage": "전세 보증금"}, params={"refresh": "true"})
    yield name
    cluster.request("DELETE", f"/{name}*")


def indexes(cluster, index):
    return {row["index"] for row in cluster.request("GET", f"/_cat/indices/{index}*", params={"format": "json"})}


def test_a_copy_that_is_lost_sight_of_is_ended_and_removed(node_url, cluster, index):
    with FaultProxy(node_url) as proxy:
        proxy.add(Rule(path="/_tasks/[^/]+$", method="GET", action="cut", times=None))
        with pytest.raises(ClusterError, match="closed the connection"):
            field_bytes(Cluster(ClusterProfile(url=proxy.url)), index, "passage")
        assert len(proxy.seen("/_tasks/.*/_cancel", "forward")) == 1
    assert indexes(cluster, index) == {index}


def test_a_copy_that_fails_says_why(node_url, cluster, index):
    failed = b'{"completed": true, "error": {"type": "x", "reason": "no room on the disk"}}'
    with FaultProxy(node_url) as proxy:
        proxy.add(Rule(path="/_tasks/[^/]+$", method="GET", status=200, body=failed))
        with pytest.raises(ClusterError, match="no room on the disk"):
            field_bytes(Cluster(ClusterProfile(url=proxy.url)), index, "passage")
    assert indexes(cluster, index) == {index}
