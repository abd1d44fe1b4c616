"""One real OpenSearch node for all tests that are marked `node`, and a plain word where it cannot be had."""

import logging
import os
import shutil
import tempfile
from pathlib import Path

import pytest

from opensearch_ko.cluster import connect
from opensearch_ko.node import EmbeddedNode, NodeSettings, explain_missing_requirements

RUNNING_NODE = os.environ.get("SPARSE_KO_TEST_NODE")
NODE_IS_REQUIRED = os.environ.get("SPARSE_KO_REQUIRE_NODE") == "1"
UNTESTED = pytest.StashKey[tuple[int, str]]()


def pytest_collection_modifyitems(config, items):
    needing_node = [item for item in items if item.get_closest_marker("node")]
    if not needing_node or NODE_IS_REQUIRED:
        return
    if missing := explain_missing_requirements():
        config.stash[UNTESTED] = (len(needing_node), missing)
        config.hook.pytest_deselected(items=needing_node)
        items[:] = [item for item in items if not item.get_closest_marker("node")]


def pytest_terminal_summary(terminalreporter, config):
    if untested := config.stash.get(UNTESTED, None):
        count, missing = untested
        terminalreporter.section("not tested: the embedded OpenSearch node", yellow=True)
        terminalreporter.line(f"{count} tests need a real node. {missing}")
        terminalreporter.line("With SPARSE_KO_REQUIRE_NODE=1 this is a failure.")


@pytest.fixture(autouse=True)
def loggers_as_before():
    """A command sends the packages' remarks to its terminal alone; the next test may want to read them in its log."""
    names = [name for name in logging.root.manager.loggerDict if name.endswith("_ko")]
    before = {name: (log.propagate, list(log.handlers), log.level) for name in names for log in (logging.getLogger(name),)}
    yield
    for name in (name for name in logging.root.manager.loggerDict if name.endswith("_ko")):
        logger = logging.getLogger(name)
        logger.propagate, logger.handlers, level = before.get(name, (True, [], logging.NOTSET))
        logger.setLevel(level)


def _open_folder():
    folder = Path(tempfile.mkdtemp(prefix="sparse-ko-"))
    folder.chmod(0o755)
    return folder


@pytest.fixture
def open_folder():
    """A temporary folder that every account can reach: as root, the node runs under another one and pytest's own are closed."""
    folder = _open_folder()
    yield folder
    shutil.rmtree(folder)


@pytest.fixture(scope="session")
def embedded_node():
    """A running node with 1g of heap, empty at first, shared by all tests of the session: clean up what you make in it.

    SPARSE_KO_TEST_NODE=DIR names the home of a node that runs already and is to stay: a short run then needs no start.
    """
    if RUNNING_NODE:
        yield EmbeddedNode(NodeSettings(home=Path(RUNNING_NODE)))
        return
    folder = _open_folder()
    node = EmbeddedNode(NodeSettings(port=0, home=folder / "node"))
    try:
        node.start()
        settings = {"plugins.ml_commons.max_model_on_node": 100}  # a module's tests together load more than the 10 of production
        connect(node.status().url).request("PUT", "/_cluster/settings", {"persistent": settings})
        yield node
    finally:
        node.stop()
        shutil.rmtree(folder)


@pytest.fixture(scope="session")
def node_url(embedded_node):
    """The address of the session's node."""
    return embedded_node.status().url
