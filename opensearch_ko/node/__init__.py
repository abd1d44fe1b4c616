"""An OpenSearch node of one's own, assembled from Maven Central: no Docker, no root, loopback only."""

from opensearch_ko.node.embedded import EmbeddedNode, find_running_node
from opensearch_ko.node.errors import NodeError
from opensearch_ko.node.requirements import explain_missing_requirements
from opensearch_ko.node.settings import NodeSettings, NodeStatus

__all__ = ["EmbeddedNode", "NodeError", "NodeSettings", "NodeStatus", "explain_missing_requirements", "find_running_node"]
