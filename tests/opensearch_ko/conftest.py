"""What several test files ask of the session's node."""

import sys
from pathlib import Path

import pytest

from opensearch_ko.cluster import connect

sys.path.insert(0, str(Path(__file__).parent))
from deploy_archives import Made


@pytest.fixture(scope="module")
def cluster(node_url):
    """The session's node."""
    return connect(node_url)


@pytest.fixture(scope="module")
def made(cluster, tmp_path_factory):
    """Makes archives and names indexes; what came of them on the node is removed after the module."""
    everything = Made(cluster, tmp_path_factory.mktemp("archives"))
    yield everything
    everything.remove()
