"""Can this cluster take these models? Asked before anything is written to it; what a setting mends, says which."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

from opensearch_ko.cluster import Cluster
from opensearch_ko.cluster_facts import ML_PREFIX, ClusterFacts, probe
from opensearch_ko.export.archive import ModelArchive

__all__ = ["ML_PREFIX", "Finding", "Needs", "apply_settings", "preflight", "probe", "settings_that_mend"]

OLDEST_VERSION = (2, 19)
SEISMIC_VERSION = (3, 3)
TOKEN_ID_VERSION = (3, 2)
NEEDED_PLUGINS = {
    "opensearch-ml": "ML Commons, which runs models",
    "opensearch-neural-search": "the ingest processor and the neural_sparse query",
}
KNN_PLUGIN = ("opensearch-knn", "the field type of a dense model's vectors")
HEAP_PER_ARCHIVE_BYTE = 2
"""A 1 GiB heap breaks under an archive of 540 MB and 2 GiB hold it (run on 3.6.0): the chunks pass through the heap twice."""
DISK_PER_ARCHIVE_BYTE = 4
"""The chunks in their index (base64, while merging twice), the zip put together again, the files unpacked."""
LEAST_FREE_DISK = 1024**3
"""Below this we do not offer to lower ML Commons' own reserve."""
GIB = 1024**3
APPLY = "Let this command set it for the whole cluster: sparse-ko deploy … --apply-settings"

Level = Literal["stop", "warning", "fine"]


@dataclass(frozen=True)
class Finding:
    """One thing looked at: whether it stops a deploy, and what mends it."""

    level: Level
    what: str
    remedy: str = ""
    settings: dict[str, bool | int | str] = field(default_factory=dict)
    """Persistent cluster settings that would mend it; `--apply-settings` puts them."""


@dataclass(frozen=True)
class Needs:
    """What a deploy asks of a cluster.

    Args:
        archives: all zips that the index needs.
        to_load: those of them that do not run there yet; None: all.
        seismic: whether a companion index with a `sparse_vector` field is wanted.
        url: where the nodes fetch the zips; None: they are sent in chunks.
    """

    archives: Sequence[ModelArchive]
    to_load: Sequence[ModelArchive] | None = None
    seismic: bool = False
    url: str | None = None

    @property
    def loading(self) -> Sequence[ModelArchive]:
        """The zips that have to be registered or loaded."""
        return self.archives if self.to_load is None else self.to_load

    @property
    def largest_bytes(self) -> int:
        """Size of the largest zip to load: they pass through the heap one after the other."""
        return max((archive.size_bytes for archive in self.loading), default=0)


def preflight(facts: ClusterFacts, needs: Needs) -> list[Finding]:
    """Judge whether a deploy can succeed; a finding of level "stop" means it cannot.

    Args:
        facts: what `probe` found.
        needs: what is to be deployed. Where all of it runs already, neither room nor the right to upload is asked for.
    """
    findings = [_version(facts), *_plugins(facts, needs), *_abilities(facts, needs)]
    if needs.loading and not any(finding.level == "stop" for finding in findings):
        findings += [
            *_switches(facts),
            *_right_to_register(facts, needs.url),
            _room_for_models(facts, len(needs.loading)),
            _heap(facts, needs.largest_bytes),
            _disk(facts, sum(archive.size_bytes for archive in needs.loading)),
            _native_memory(facts),
        ]
    if facts.password_in_clear:
        findings.append(
            Finding("warning", f"the password crosses the network in clear text ({facts.url})", "Use the cluster's https:// address.")
        )
    return findings


def settings_that_mend(findings: list[Finding], *, warnings_too: bool = False) -> dict[str, bool | int | str]:
    """Return the cluster settings that would lift the stops, and on request the warnings, with their full names."""
    levels = {"stop", "warning"} if warnings_too else {"stop"}
    return {f"{ML_PREFIX}{name}": value for finding in findings if finding.level in levels for name, value in finding.settings.items()}


def apply_settings(cluster: Cluster, settings: dict[str, bool | int | str]) -> None:
    """Put persistent cluster settings.

    Raises:
        ClusterError: the cluster refuses, or the user may not.
    """
    cluster.request("PUT", "/_cluster/settings", {"persistent": settings})


def _version(facts: ClusterFacts) -> Finding:
    if facts.version_numbers < OLDEST_VERSION:
        return Finding("stop", f"OpenSearch {facts.version} is too old; 2.19 is the oldest that is supported", "Update the cluster.")
    return Finding("fine", f"OpenSearch {facts.version}, {len(facts.nodes)} node{'s' if len(facts.nodes) != 1 else ''}")


def _plugins(facts: ClusterFacts, needs: Needs) -> list[Finding]:
    wanted = dict(NEEDED_PLUGINS)
    if any(archive.card.role == "dense" for archive in needs.archives):
        wanted |= dict([KNN_PLUGIN])
    findings = []
    for plugin, purpose in wanted.items():
        lacking = facts.nodes_without(plugin)
        where = "" if len(lacking) == len(facts.nodes) else f" on {', '.join(lacking)}"
        if lacking:
            remedy = "The full OpenSearch distribution has it, and so has: sparse-ko node start"
            findings.append(Finding("stop", f"the plugin {plugin} ({purpose}) is not installed{where}", remedy))
        else:
            findings.append(Finding("fine", f"plugin {plugin}"))
    if facts.has_nori:
        findings.append(Finding("fine", "plugin analysis-nori: a new index gets a field for it"))
    return findings


def _abilities(facts: ClusterFacts, needs: Needs) -> list[Finding]:
    """What only newer versions can do."""
    if needs.seismic and facts.version_numbers < SEISMIC_VERSION:
        return [Finding("stop", f"OpenSearch {facts.version} has no SEISMIC; 3.3 is the first that has", "Leave --seismic out.")]
    by_id = [archive.card.name for archive in needs.archives if archive.card.probe_by_id]
    if by_id and facts.version_numbers < TOKEN_ID_VERSION:
        what = f"{', '.join(by_id)} answers by token ids, which OpenSearch {facts.version} cannot do; 3.2 is the first that can"
        return [Finding("stop", what, "Encode on this machine instead: sparse-ko index --encode client")]
    return []


def _switches(facts: ClusterFacts) -> list[Finding]:
    findings = []
    if not facts.is_on("local_model.enabled", True):
        what = "the cluster runs no models of its own (local_model.enabled is false, as managed services set it)"
        findings.append(Finding("stop", what, "Encode on this machine instead: sparse-ko index --encode client"))
    if facts.is_on("only_run_on_ml_node", True) and not any("ml" in node.roles for node in facts.nodes):
        what = "models run on nodes of the role ml only, and there is none (only_run_on_ml_node is true)"
        findings.append(Finding("stop", what, APPLY, {"only_run_on_ml_node": False}))
    return findings or [Finding("fine", "models may run")]


def _right_to_register(facts: ClusterFacts, url: str | None) -> list[Finding]:
    name = "allow_registering_model_via_url" if url else "allow_registering_model_via_local_file"
    findings = []
    if not facts.is_on(name, False):
        what = f"models may not be {'fetched from an address' if url else 'uploaded'} ({name} is false)"
        findings.append(Finding("stop", what, APPLY, {name: True}))
    trusted = facts.settings.get("trusted_url_regex")
    if url and trusted and not re.fullmatch(trusted, url):
        what = f"the cluster does not trust the address {url} (trusted_url_regex is {trusted})"
        findings.append(Finding("stop", what, "Use an address that it admits, or send the zip from here: leave --via-url out."))
    return findings or [Finding("fine", "models may be registered")]


def _room_for_models(facts: ClusterFacts, new: int) -> Finding:
    limit = int(float(facts.settings.get("max_model_on_node", "10")))
    fullest = max(facts.model_nodes, key=lambda node: node.loaded_models)
    if fullest.loaded_models + new <= limit:
        return Finding("fine", f"models: {fullest.loaded_models} of {limit} on the fullest node")
    what = f"the node {fullest.name} holds {fullest.loaded_models} models and {new} are to come; max_model_on_node is {limit}"
    remedy = f"Take one out (sparse-ko deploy list; sparse-ko deploy undeploy --index NAME). Or: {APPLY}"
    return Finding("stop", what, remedy, {"max_model_on_node": fullest.loaded_models + new})


def _heap(facts: ClusterFacts, archive_bytes: int) -> Finding:
    needed = HEAP_PER_ARCHIVE_BYTE * archive_bytes
    small = [node for node in facts.model_nodes if 0 < node.heap_bytes < needed]
    if small:
        node = min(small, key=lambda node: node.heap_bytes)
        return Finding(
            "stop",
            f"the node {node.name} has {node.heap_bytes / GIB:.1f} GiB of heap; an archive of {archive_bytes / 1e6:,.0f} MB needs "
            f"{needed / GIB:.1f} GiB, or its circuit breaker makes it unusable",
            f"Give it more heap (sparse-ko node start --heap {math.ceil(needed / GIB)}g), or export a smaller model (--precision int8).",
        )
    limit = int(float(facts.settings.get("jvm_heap_memory_threshold", "85")))
    full = [node for node in facts.model_nodes if limit < 100 and node.used_heap_percent > limit]
    if full:
        return Finding(
            "warning",
            f"the node {full[0].name} uses {full[0].used_heap_percent} % of its heap, more than ML Commons allows "
            f"(jvm_heap_memory_threshold is {limit}), until it collects garbage: 'Memory Circuit Breaker is open' may follow",
            "If it does, run the command again, or give the node more heap.",
        )
    return Finding("fine", "heap")


def _disk(facts: ClusterFacts, archive_bytes: int) -> Finding:
    reserve = _bytes(facts.settings.get("disk_free_space_threshold", "5368709120b"))
    needed = DISK_PER_ARCHIVE_BYTE * archive_bytes
    full = [node for node in facts.model_nodes if node.free_disk_bytes and node.free_disk_bytes < reserve + needed]
    if not full:
        return Finding("fine", "disk")
    node = min(full, key=lambda node: node.free_disk_bytes)
    what = (
        f"the node {node.name} has {node.free_disk_bytes / GIB:.1f} GiB of free disk; these models need {needed / GIB:.1f} GiB and "
        f"ML Commons keeps {reserve / GIB:.1f} GiB free (disk_free_space_threshold)"
    )
    if node.free_disk_bytes - needed >= LEAST_FREE_DISK:
        return Finding("stop", what, f"Free some space on that node. Or lower the reserve: {APPLY}", {"disk_free_space_threshold": "1gb"})
    return Finding("stop", what, "Free some space on that node.")


def _native_memory(facts: ClusterFacts) -> Finding:
    limit = int(float(facts.settings.get("native_memory_threshold", "90")))
    full = [node for node in facts.model_nodes if limit < 100 and node.used_memory_percent > limit]
    if not full:
        return Finding("fine", "native memory")
    node = max(full, key=lambda node: node.used_memory_percent)
    return Finding(
        "warning",  # 3.6.0 let a deploy through at 69 % with a threshold of 10; older versions refuse (ml-commons #2308, #2465)
        f"the node {node.name} uses {node.used_memory_percent} % of its machine's memory, page cache included, more than ML Commons allows "
        f"(native_memory_threshold is {limit}): the deploy may end with 'Native Memory Circuit Breaker is open'",
        f"If it is only page cache (free -h), turn the check off. {APPLY}",
        {"native_memory_threshold": 100},
    )


def _bytes(setting: str) -> int:
    units = {"tb": 1024**4, "gb": GIB, "mb": 1024**2, "kb": 1024, "b": 1}
    text = setting.strip().lower()
    for unit, factor in units.items():
        if text.endswith(unit):
            return int(float(text.removesuffix(unit)) * factor)
    return int(float(text or 0))
