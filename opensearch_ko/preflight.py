"""Can this cluster run this model? Asked before anything is written to it."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, field
from typing import Any, Literal

from opensearch_ko.cluster import Cluster
from opensearch_ko.export.archive import ModelArchive

OLDEST_VERSION = (2, 19)
NEEDED_PLUGINS = {
    "opensearch-ml": "ML Commons, which runs models",
    "opensearch-neural-search": "the ingest processor and the neural_sparse query",
}
ML_PREFIX = "plugins.ml_commons."
HEAP_PER_ARCHIVE_BYTE = 2
"""A 1 GiB heap breaks under an archive of 540 MB and 2 GiB hold it (run on 3.6.0): the chunks pass through the heap twice."""
DISK_PER_ARCHIVE_BYTE = 4
"""The chunks in their index (base64, while merging twice), the zip put together again, the files unpacked."""
GIB = 1024**3

Level = Literal["stop", "warning", "fine"]


@dataclass(frozen=True)
class NodeFacts:
    """What one node says of itself; sizes in bytes."""

    id: str
    name: str
    roles: tuple[str, ...]
    plugins: tuple[str, ...]
    heap_bytes: int
    free_disk_bytes: int
    used_memory_percent: int

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


@dataclass(frozen=True)
class Finding:
    """One thing looked at: whether it stops a deploy, and what mends it."""

    level: Level
    what: str
    remedy: str = ""
    settings: dict[str, bool | int | str] = field(default_factory=dict)
    """Persistent cluster settings that would mend it; `--apply-settings` puts them."""


def probe(cluster: Cluster) -> ClusterFacts:
    """Ask a cluster for its version, nodes, plugins and ML settings. Reads only.

    Raises:
        ClusterError: it cannot be reached, is not OpenSearch, or the user may not ask.
    """
    version = cluster.check_identity()["version"]
    about = cluster.request("GET", "/_nodes/jvm,plugins")["nodes"]
    measured = cluster.request("GET", "/_nodes/stats/fs,os,jvm")["nodes"]
    nodes = tuple(_node(node_id, node, measured.get(node_id, {})) for node_id, node in about.items())
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
        nodes=nodes,
        settings=settings,
        password_in_clear=cluster.profile.sends_password_in_clear,
    )


def _node(node_id: str, about: dict[str, Any], measured: dict[str, Any]) -> NodeFacts:
    return NodeFacts(
        id=node_id,
        name=str(about.get("name", node_id)),
        roles=tuple(about.get("roles", ())),
        plugins=tuple(plugin["name"] for plugin in about.get("plugins", ())),
        heap_bytes=int(about.get("jvm", {}).get("mem", {}).get("heap_max_in_bytes", 0)),
        free_disk_bytes=int(measured.get("fs", {}).get("total", {}).get("available_in_bytes", 0)),
        used_memory_percent=int(measured.get("os", {}).get("mem", {}).get("used_percent", 0)),
    )


def preflight(facts: ClusterFacts, archive: ModelArchive, *, running: bool = False) -> list[Finding]:
    """Judge whether `archive` can be deployed; a finding of level "stop" means it cannot.

    Args:
        facts: what `probe` found.
        archive: the model.
        running: the cluster runs this model already, so neither room nor the right to upload is needed.
    """
    findings = [_version(facts), *_plugins(facts)]
    if not running and not any(finding.level == "stop" for finding in findings):
        findings += [*_settings(facts), *_heap(facts, archive), *_disk(facts, archive), *_memory(facts)]
    if facts.password_in_clear:
        findings.append(
            Finding("warning", f"the password crosses the network in clear text ({facts.url})", "Use the cluster's https:// address.")
        )
    return findings


def settings_that_mend(findings: list[Finding]) -> dict[str, bool | int | str]:
    """Return the cluster settings that would lift the stops, with their full names."""
    return {f"{ML_PREFIX}{name}": value for finding in findings if finding.level == "stop" for name, value in finding.settings.items()}


def apply_settings(cluster: Cluster, settings: dict[str, bool | int | str]) -> None:
    """Put persistent cluster settings.

    Raises:
        ClusterError: the cluster refuses, or the user may not.
    """
    cluster.request("PUT", "/_cluster/settings", {"persistent": settings})


def _version(facts: ClusterFacts) -> Finding:
    numbers = tuple(int(part) for part in facts.version.split("-")[0].split(".")[:2])
    if numbers < OLDEST_VERSION:
        return Finding("stop", f"OpenSearch {facts.version} is too old; 2.19 is the oldest that is supported", "Update the cluster.")
    return Finding("fine", f"OpenSearch {facts.version}, {len(facts.nodes)} node{'s' if len(facts.nodes) != 1 else ''}")


def _plugins(facts: ClusterFacts) -> list[Finding]:
    findings = []
    for plugin, purpose in NEEDED_PLUGINS.items():
        lacking = [node.name for node in facts.nodes if plugin not in node.plugins]
        if lacking:
            where = "" if len(lacking) == len(facts.nodes) else f" on {', '.join(lacking)}"
            findings.append(
                Finding(
                    "stop",
                    f"the plugin {plugin} ({purpose}) is not installed{where}",
                    "The full OpenSearch distribution has it, and so has: sparse-ko node start",
                )
            )
        else:
            findings.append(Finding("fine", f"plugin {plugin}"))
    return findings


def _settings(facts: ClusterFacts) -> list[Finding]:
    findings = []
    remedy = "Let this command set it for the whole cluster: sparse-ko deploy … --apply-settings"
    if facts.settings.get("local_model.enabled", "true") == "false":
        findings.append(
            Finding(
                "stop",
                "the cluster runs no models of its own (local_model.enabled is false, as managed services set it)",
                "Encode on this machine instead: sparse-ko index --encode client",
            )
        )
    if facts.settings.get("allow_registering_model_via_local_file", "false") != "true":
        findings.append(
            Finding(
                "stop",
                "models may not be uploaded (allow_registering_model_via_local_file is false)",
                remedy,
                {"allow_registering_model_via_local_file": True},
            )
        )
    ml_nodes = [node.name for node in facts.nodes if "ml" in node.roles]
    if facts.settings.get("only_run_on_ml_node", "true") == "true" and not ml_nodes:
        findings.append(
            Finding(
                "stop",
                "models run on nodes of the role ml only, and there is none (only_run_on_ml_node is true)",
                remedy,
                {"only_run_on_ml_node": False},
            )
        )
    return findings or [Finding("fine", "settings of ML Commons")]


def _model_nodes(facts: ClusterFacts) -> list[NodeFacts]:
    if facts.settings.get("only_run_on_ml_node", "true") == "true":
        return [node for node in facts.nodes if "ml" in node.roles] or list(facts.nodes)
    return [node for node in facts.nodes if node.holds_data] or list(facts.nodes)


def _heap(facts: ClusterFacts, archive: ModelArchive) -> list[Finding]:
    needed = HEAP_PER_ARCHIVE_BYTE * archive.size_bytes
    small = [node for node in _model_nodes(facts) if 0 < node.heap_bytes < needed]
    if not small:
        return [Finding("fine", "heap")]
    node = min(small, key=lambda node: node.heap_bytes)
    return [
        Finding(
            "stop",
            f"the node {node.name} has {node.heap_bytes / GIB:.1f} GiB of heap; an archive of {archive.size_bytes / 1e6:,.0f} MB needs "
            f"{needed / GIB:.1f} GiB, or its circuit breaker makes it unusable",
            f"Give it more heap (sparse-ko node start --heap {math.ceil(needed / GIB)}g), or export a smaller model.",
        )
    ]


def _disk(facts: ClusterFacts, archive: ModelArchive) -> list[Finding]:
    reserve = _bytes(facts.settings.get("disk_free_space_threshold", "5368709120b"))
    needed = DISK_PER_ARCHIVE_BYTE * archive.size_bytes
    full = [node for node in _model_nodes(facts) if node.free_disk_bytes and node.free_disk_bytes < reserve + needed]
    if not full:
        return [Finding("fine", "disk")]
    node = min(full, key=lambda node: node.free_disk_bytes)
    return [
        Finding(
            "stop",
            f"the node {node.name} has {node.free_disk_bytes / GIB:.1f} GiB of free disk; this model needs {needed / GIB:.1f} GiB and "
            f"ML Commons keeps {reserve / GIB:.1f} GiB free (disk_free_space_threshold)",
            "Free some space on that node.",
        )
    ]


def _memory(facts: ClusterFacts) -> list[Finding]:
    limit = int(float(facts.settings.get("native_memory_threshold", "90")))
    full = [node for node in _model_nodes(facts) if limit < 100 and node.used_memory_percent > limit]
    return [
        Finding(
            "warning",
            f"the node {node.name} uses {node.used_memory_percent} % of its memory (page cache included), more than ML Commons allows: "
            f"native_memory_threshold is {limit}, and the deploy may end with 'Native Memory Circuit Breaker is open'",
            "If it does, raise plugins.ml_commons.native_memory_threshold (100 turns the check off) in the cluster's settings.",
        )
        for node in full
    ]


def _bytes(setting: str) -> int:
    units = {"tb": 1024**4, "gb": GIB, "mb": 1024**2, "kb": 1024, "b": 1}
    text = setting.strip().lower()
    for unit, factor in units.items():
        if text.endswith(unit):
            return int(float(text.removesuffix(unit)) * factor)
    return int(float(text or 0))
