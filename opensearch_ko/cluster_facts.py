"""What a cluster says of itself: version, nodes, plugins, settings, heap, memory, disk, models it holds."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

from opensearch_ko.cluster import Cluster

ML_PREFIX = "plugins.ml_commons."
NORI_PLUGIN = "analysis-nori"


@dataclass(frozen=True)
class NodeFacts:
    """What one node says of itself; sizes in bytes."""

    id: str
    name: str
    roles: tuple[str, ...]
    plugins: tuple[str, ...]
    heap_bytes: int
    used_heap_percent: int
    free_disk_bytes: int
    used_memory_percent: int
    """Of the machine, page cache included."""
    loaded_models: int = 0

    @property
    def holds_data(self) -> bool:
        """Whether the node can hold an index and, by default, run a model."""
        return bool({"data", "ml"} & set(self.roles))


@dataclass(frozen=True)
class ClusterFacts:
    """What a cluster is, as far as a model is concerned."""

    url: str
    version: str
    distribution: str
    nodes: tuple[NodeFacts, ...]
    settings: dict[str, str] = field(default_factory=dict)
    """The `plugins.ml_commons.` settings in force, without the prefix."""
    password_in_clear: bool = False

    @property
    def version_numbers(self) -> tuple[int, ...]:
        """Major and minor version."""
        return tuple(int(part) for part in self.version.split("-")[0].split(".")[:2])

    @property
    def has_nori(self) -> bool:
        """Whether every node has the Korean analyzer nori."""
        return not self.nodes_without(NORI_PLUGIN)

    def nodes_without(self, plugin: str) -> list[str]:
        """Return the names of the nodes that lack a plugin."""
        return [node.name for node in self.nodes if plugin not in node.plugins]

    def is_on(self, setting: str, default: bool) -> bool:
        """Say whether a switch of ML Commons is on."""
        return self.settings.get(setting, str(default).lower()) == "true"

    @property
    def model_nodes(self) -> list[NodeFacts]:
        """The nodes that models run on."""
        wanted = [node for node in self.nodes if "ml" in node.roles] if self.is_on("only_run_on_ml_node", True) else []
        return wanted or [node for node in self.nodes if node.holds_data] or list(self.nodes)


def probe(cluster: Cluster) -> ClusterFacts:
    """Ask a cluster for its version, nodes, plugins, ML settings and loaded models. Reads only.

    Raises:
        ClusterError: it cannot be reached, is not OpenSearch, or the user may not ask.
    """
    version = cluster.check_identity()["version"]
    about = cluster.request("GET", "/_nodes/jvm,plugins")["nodes"]
    measured = cluster.request("GET", "/_nodes/stats/fs,os,jvm")["nodes"]
    has_ml = any(plugin["name"] == "opensearch-ml" for node in about.values() for plugin in node.get("plugins", ()))
    loaded = cluster.request("GET", "/_plugins/_ml/stats/ml_deployed_model_count").get("nodes", {}) if has_ml else {}
    layers = cluster.request("GET", "/_cluster/settings", params={"include_defaults": "true", "flat_settings": "true"})
    settings: dict[str, str] = {}
    for layer in ("defaults", "persistent", "transient"):
        for name, value in layers.get(layer, {}).items():
            if name.startswith(ML_PREFIX):
                settings[name.removeprefix(ML_PREFIX)] = value if isinstance(value, str) else json.dumps(value)
    return ClusterFacts(
        url=cluster.url,
        version=str(version["number"]),
        distribution=str(version["distribution"]),
        nodes=tuple(_node(node_id, node, measured.get(node_id, {}), loaded.get(node_id, {})) for node_id, node in about.items()),
        settings=settings,
        password_in_clear=cluster.profile.sends_password_in_clear,
    )


def _node(node_id: str, about: dict[str, Any], measured: dict[str, Any], loaded: dict[str, Any]) -> NodeFacts:
    return NodeFacts(
        id=node_id,
        name=str(about.get("name", node_id)),
        roles=tuple(about.get("roles", ())),
        plugins=tuple(plugin["name"] for plugin in about.get("plugins", ())),
        heap_bytes=int(about.get("jvm", {}).get("mem", {}).get("heap_max_in_bytes", 0)),
        used_heap_percent=int(measured.get("jvm", {}).get("mem", {}).get("heap_used_percent", 0)),
        free_disk_bytes=int(measured.get("fs", {}).get("total", {}).get("available_in_bytes", 0)),
        used_memory_percent=int(measured.get("os", {}).get("mem", {}).get("used_percent", 0)),
        loaded_models=int(loaded.get("ml_deployed_model_count", 0)),
    )
