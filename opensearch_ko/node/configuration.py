"""The folders, configuration files and command line of one node."""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import yaml

from opensearch_ko.node.java import Jdk
from opensearch_ko.node.machine import LOOPBACK
from opensearch_ko.node.modules import TORCH_FLAVOR, TORCH_VERSION
from opensearch_ko.node.record import NodeProcess
from retrieval_ko.files import write_text

CLUSTER_NAME = "sparse-ko"

LOG4J2 = """\
status = error
appender.rolling.type = RollingFile
appender.rolling.name = rolling
appender.rolling.fileName = ${sys:opensearch.logs.base_path}/node.log
appender.rolling.filePattern = ${sys:opensearch.logs.base_path}/node-%i.log
appender.rolling.layout.type = PatternLayout
appender.rolling.layout.pattern = [%d{ISO8601}][%-5p][%-25c{1.}] [%node_name]%marker %m%n
appender.rolling.policies.type = Policies
appender.rolling.policies.size.type = SizeBasedTriggeringPolicy
appender.rolling.policies.size.size = 20MB
appender.rolling.strategy.type = DefaultRolloverStrategy
appender.rolling.strategy.max = 2
rootLogger.level = info
rootLogger.appenderRef.rolling.ref = rolling
"""
"""At most 60 MB of log for each node."""


@dataclass(frozen=True)
class NodeFolder:
    """What one node may write to."""

    path: Path

    @property
    def config(self) -> Path:
        """Written at each start."""
        return self.path / "config"

    @property
    def data(self) -> Path:
        """Indexes and models: survives a restart."""
        return self.path / "data"

    @property
    def logs(self) -> Path:
        """Holds `node.log` and `console.log`."""
        return self.path / "logs"

    @property
    def temporary(self) -> Path:
        """For the JVM."""
        return self.path / "tmp"

    @property
    def log(self) -> Path:
        """What OpenSearch logs."""
        return self.logs / "node.log"

    @property
    def console(self) -> Path:
        """What the JVM itself says, e.g. why it could not start; begun anew at each start."""
        return self.logs / "console.log"

    def prepare(self, node: NodeProcess, peers: Sequence[NodeProcess]) -> None:
        """Make the folders and write the configuration of `node` in a cluster of `peers` (itself among them)."""
        shutil.rmtree(self.temporary, ignore_errors=True)
        if self.log.exists():  # so that an old death is not taken for the cause of a new one
            self.log.replace(self.log.with_name("node-before.log"))
        for folder in (self.config, self.data, self.logs, self.temporary):
            folder.mkdir(parents=True, exist_ok=True)
        write_text(self.config / "opensearch.yml", yaml.safe_dump(self._settings(node, peers), sort_keys=False))
        write_text(self.config / "log4j2.properties", LOG4J2)
        write_text(self.config / "jvm.options", "")  # OpenSearch wants the file; the command line says it all

    def _settings(self, node: NodeProcess, peers: Sequence[NodeProcess]) -> dict[str, object]:
        return {
            "cluster.name": CLUSTER_NAME,
            "node.name": node.name,
            "network.host": LOOPBACK,
            "http.port": node.http_port,
            "transport.port": node.transport_port,
            "discovery.seed_hosts": [f"{LOOPBACK}:{peer.transport_port}" for peer in peers if peer != node],
            "cluster.initial_cluster_manager_nodes": [peer.name for peer in peers],
            "path.data": str(self.data),
            "path.logs": str(self.logs),
            # A developer's disk is often fuller than 90 %, where a server would refuse to make an index.
            "cluster.routing.allocation.disk.threshold_enabled": False,
            "plugins.ml_commons.disk_free_space_threshold": "1gb",
            "plugins.ml_commons.only_run_on_ml_node": False,
            # The share of used memory counts the page cache, so that small machines would refuse every model.
            "plugins.ml_commons.native_memory_threshold": 100,
            "plugins.ml_commons.jvm_heap_memory_threshold": 100,
            "plugins.ml_commons.allow_registering_model_via_url": True,
            "plugins.ml_commons.allow_registering_model_via_local_file": True,
            "plugins.ml_commons.model_access_control_enabled": False,
        }


def command_line(jdk: Jdk, software: Path, folder: NodeFolder, heap: str, mark: str) -> list[str]:
    """Return the command that runs a node; `mark` is the argument by which its process is known again."""
    agent = next((software / "agent").glob("opensearch-agent-[0-9]*.jar"))
    return [
        str(jdk.command),
        mark,
        f"-javaagent:{agent}",
        f"-Xms{heap}",
        f"-Xmx{heap}",
        # as the distribution's own jvm.options: collect early, so that garbage is not taken for a heap that is full
        "-XX:+UseG1GC",
        "-XX:G1ReservePercent=25",
        "-XX:InitiatingHeapOccupancyPercent=30",
        "--add-modules=jdk.incubator.vector",
        "--enable-native-access=ALL-UNNAMED",
        f"-Djava.io.tmpdir={folder.temporary}",
        f"-XX:ErrorFile={folder.logs}/jvm-crash.log",
        "-Djava.locale.providers=SPI,CLDR",
        "-Dlog4j.shutdownHookEnabled=false",
        "-Dlog4j2.disable.jmx=true",
        f"-Dopensearch.path.home={software}",
        f"-Dopensearch.path.conf={folder.config}",
        "-Dopensearch.distribution.type=tar",
        "-cp",
        f"{software}/lib/*",
        "org.opensearch.bootstrap.OpenSearch",
    ]


def environment(jdk: Jdk, software: Path, folder: NodeFolder) -> dict[str, str]:
    """Return all that the node sees of the environment: nothing of the user's, so no token can leak into it."""
    return {
        "PATH": os.defpath,
        "LANG": "C.UTF-8",
        "HOME": str(folder.path),
        "TMPDIR": str(folder.temporary),
        "OPENSEARCH_JAVA_HOME": str(jdk.home),
        # The Deep Java Library would otherwise download libtorch and report where it runs (contract, 1.7).
        "PYTORCH_LIBRARY_PATH": str(software / "torch"),
        "PYTORCH_VERSION": TORCH_VERSION,
        "PYTORCH_FLAVOR": TORCH_FLAVOR,
        "DJL_OFFLINE": "true",
        "OPT_OUT_TRACKING": "true",
    }
