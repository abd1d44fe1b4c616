"""Under which conditions something was measured: all that a reader needs to judge a number, or to get it again."""

from __future__ import annotations

import os
import platform
from collections.abc import Mapping
from typing import Any

import psutil

from opensearch_ko.cluster import Cluster
from opensearch_ko.indexes import IndexMeta
from retrieval_ko.runs import git_commit, versions

LOOPBACK = {"localhost", "127.0.0.1", "::1"}


def cluster_conditions(cluster: Cluster) -> dict[str, Any]:
    """Return what the cluster is: versions, Java, heap, processors, memory, plugins; the first node's where there are several."""
    version = cluster.check_identity()["version"]["number"]
    nodes = list(cluster.request("GET", "/_nodes/jvm,os,plugins")["nodes"].values())
    memory = next(iter(cluster.request("GET", "/_nodes/stats/os")["nodes"].values()))["os"].get("mem", {})
    first = nodes[0]
    return {
        "opensearch": version,
        "nodes": len(nodes),
        "java": first["jvm"]["version"],
        "collector": ", ".join(first["jvm"].get("gc_collectors", ())),
        "heap_bytes": first["jvm"]["mem"]["heap_max_in_bytes"],
        "node_processors": first["os"].get("allocated_processors"),
        "node_memory_bytes": memory.get("total_in_bytes"),
        "node_system": first["os"].get("pretty_name", first["os"].get("name")),
        "plugins": sorted(plugin["name"] for plugin in first["plugins"]),
    }


def client_conditions(cluster: Cluster) -> dict[str, Any]:
    """Return what asked: where it ran, its processors and memory, its versions, how busy its machine was."""
    return {
        "client": "on the node's own machine" if cluster.profile.host in LOOPBACK else "on another machine than the node",
        "client_cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "client_memory_bytes": psutil.virtual_memory().total,
        "client_machine": platform.machine(),
        "versions": {name: number for name, number in versions().items() if name in ("python", "sparse-ko", "kiwipiepy", "numpy")},
        "git_commit": git_commit(),
    }


def load_average() -> float:
    """Return the processes that waited for a processor of this machine in the last minute; well above the cores, times are worth little."""
    return round(psutil.getloadavg()[0], 2)


def index_conditions(cluster: Cluster, index: str, meta: IndexMeta) -> dict[str, Any]:
    """Return the state of the index: documents, shards, replicas, segments, and the models it comes from."""
    [found] = cluster.request("GET", f"/{index}/_settings").values()
    settings = found["settings"]["index"]
    stats = cluster.request("GET", f"/{index}/_stats/segments,docs")["_all"]["primaries"]
    models = {name: getattr(meta, name) for name in ("encoder", "query", "dense")}
    return {
        "index": index,
        "documents": stats["docs"]["count"],
        "deleted_documents": stats["docs"]["deleted"],
        "shards": int(settings["number_of_shards"]),
        "replicas": int(settings["number_of_replicas"]),
        "segments": stats["segments"]["count"],
        "form": meta.form,
        "models": {name: f"{model.name} {model.version}" for name, model in models.items() if model},
        "pruning": f"{meta.pruning.type} {meta.pruning.ratio}",
        "seismic": meta.seismic.model_dump() if meta.seismic else None,
    }


def cache_hits(cluster: Cluster, indexes: list[str]) -> dict[str, int]:
    """Return how often the node's caches of requests and of filters have answered for these indexes so far."""
    stats = cluster.request("GET", f"/{','.join(indexes)}/_stats/request_cache,query_cache")["_all"]["total"]
    return {name: int(stats[name]["hit_count"]) for name in ("request_cache", "query_cache")}


def cache_hits_between(before: Mapping[str, int], after: Mapping[str, int]) -> dict[str, int]:
    """Return the hits that were added; 0 is what a benchmark wants."""
    return {name: after[name] - before[name] for name in before}
