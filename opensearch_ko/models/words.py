"""What a node says when it cannot load a model, and what mends it."""

from __future__ import annotations

import json

from opensearch_ko.cluster import Cluster
from opensearch_ko.errors import ClusterError

CONTENT_CHANGED = "model content changed"
"""The bytes that the cluster holds have another hash than was announced."""

_REMEDIES = {
    "Circuit Breaker": "The node is short of memory or disk by its own settings: sparse-ko deploy … --dry-run shows which.",
    "circuit_breaking": "Give the node more heap: sparse-ko node start --heap 2g",
    "Unknown builtin op": "The graph uses an operation that the node's PyTorch lacks: write it anew with sparse-ko export.",
    CONTENT_CHANGED: "The bytes that arrived are not those that were announced: run the command again; by --via-url, see that "
    "the address serves this very zip.",
    "model content hash can't match": "The address serves another zip than the one here: copy this one there, then run the command again.",
    "found multiple models": "The zip holds two graphs: write it anew with sparse-ko export, which writes one.",
    "Find multiple model files": "The zip holds two graphs: write it anew with sparse-ko export, which writes one.",
    "Failed to save pytorch": "The node may not download PyTorch: it needs the native libraries beside it (docs/deploy.md, air-gapped).",
    "Failed to load PyTorch native library": "The node lacks PyTorch's native libraries (docs/deploy.md, air-gapped clusters).",
    "No tokenizer file": "The zip has no tokenizer.json at its root: write it with sparse-ko export.",
    "Exceed max local model per node limit": "Take a model out (sparse-ko deploy undeploy --index NAME), or let --apply-settings raise it.",
    "zip END header not found": "The address serves a zip that is cut off: copy it there anew.",
    "No such file or directory": "The node has no such file: a file:// address must lie on the node's own disk.",
    "Permission denied": "The node's account may not read that file: change its permissions, and those of the folders above it.",
    "Connection refused": "Nothing answers the node at that address; what this machine reaches, a node may not.",
    "UnknownHostException": "The node cannot find that host. Or send the zip from here: leave --via-url out.",
    "Server returned HTTP response code": "The address does not give the zip to the node: see that it needs no login.",
}
_FALLBACK = "The archive is not one this node can load. Write it anew: sparse-ko export --model DIR --format torchscript --out DIR"


def node_errors(error: str) -> dict[str, str]:
    """Read a task's `error`, a string that holds JSON keyed by node id; anything else stands under an empty id."""
    if not error:
        return {}
    try:
        parsed = json.loads(error)
    except json.JSONDecodeError:
        return {"": error}
    return {str(node): str(words) for node, words in parsed.items()} if isinstance(parsed, dict) else {"": error}


def explain_task(cluster: Cluster, error: str) -> tuple[str, str]:
    """Return a failed task's error as indented lines, each node by its name, and the way out.

    Args:
        cluster: asked for the nodes' names.
        error: the task's own words.
    """
    named = _name_nodes(cluster, node_errors(error))
    lines = [f"  node {node}: {words}" if node else f"  {words}" for node, words in named.items()]
    words = "\n".join(lines) or "  no reason given"
    return words, next((remedy for sign, remedy in _REMEDIES.items() if sign in words), _FALLBACK)


def _name_nodes(cluster: Cluster, errors: dict[str, str]) -> dict[str, str]:
    try:
        nodes = cluster.request("GET", "/_nodes/_all/name")["nodes"]
    except ClusterError:
        return errors
    return {f"{nodes[node]['name']} ({node})" if node in nodes else node: words for node, words in errors.items()}
