"""A cluster of several addresses: what never arrived, and what only reads, goes on to the next; a write is never sent twice by itself."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
from fault_proxy import FaultProxy, Rule

from opensearch_ko.cluster import Cluster, connect
from opensearch_ko.errors import ClusterError
from opensearch_ko.profile import ClusterProfile, resolve_profile
from retrieval_ko.errors import UsageError


@pytest.fixture
def proxy(node_url):
    with FaultProxy(node_url) as proxy:
        yield proxy


@pytest.fixture
def gone(node_url):
    """An address where nothing listens any more."""
    with FaultProxy(node_url) as proxy:
        return proxy.url


def of(*urls):
    return Cluster(ClusterProfile(url=urls[0], other_urls=urls[1:]))


@pytest.mark.node
def test_what_never_arrived_goes_to_the_next_address_and_stays_there(gone, proxy):
    cluster = of(gone, proxy.url)
    cluster.request("POST", "/_bulk", b'{"delete": {"_index": "test-nowhere", "_id": "a"}}\n')
    assert cluster.check_identity()["version"]["distribution"] == "opensearch"
    assert cluster.address == proxy.url
    assert [request.path for request in proxy.requests] == ["/_bulk", "/"]


@pytest.mark.node
def test_after_a_broken_connection_only_what_changes_nothing_is_sent_again(node_url, proxy):
    with FaultProxy(node_url) as cutting:
        cutting.add(Rule(path="/", method=None, action="cut-after", times=None))
        cluster = of(cutting.url, proxy.url)
        with pytest.raises(ClusterError, match="closed the connection"):
            cluster.request("POST", "/_bulk", b"{}\n")
        assert proxy.requests == []
        assert cluster.request("POST", "/_search", {"size": 0})["timed_out"] is False
        assert cluster.address == proxy.url


def test_when_no_address_answers_the_one_that_was_named_is_told():
    cluster = of("http://127.0.0.1:9", "http://127.0.0.1:10")
    with pytest.raises(ClusterError, match=r"http://127\.0\.0\.1:9: nothing listens there"):
        cluster.check_identity()


@pytest.mark.node
def test_addresses_are_learnt_of_a_node_but_not_from_behind_a_proxy(node_url, proxy):
    assert connect(proxy.url).addresses == [proxy.url]
    assert connect(node_url).addresses == [node_url]  # a cluster of three: test_three_nodes.py


def test_several_addresses_stand_with_commas_between():
    profile = resolve_profile("http://a:9200,https://b:9201")
    assert (profile.url, profile.other_urls) == ("http://a:9200", ("https://b:9201",))
    with pytest.raises(UsageError, match="password") as refusal:
        resolve_profile("http://a:9200,http://me:secret@b:9200")
    assert "secret" not in str(refusal.value)
