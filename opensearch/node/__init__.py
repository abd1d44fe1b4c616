"""An OpenSearch node of one's own, assembled from Maven Central: no Docker, no root, loopback only."""

from opensearch.node.embedded import EmbeddedNode, find_running_node
from opensearch.node.errors import NodeError
from opensearch.node.requirements import explain_missing_requirements
from opensearch.node.settings import NodeSettings, NodeStatus

__all__ = ["EmbeddedNode", "NodeError", "NodeSettings", "NodeStatus", "explain_missing_requirements", "find_running_node"]
