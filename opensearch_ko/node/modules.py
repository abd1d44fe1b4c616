"""What a distribution of OpenSearch adds to the jars on Maven Central: which jars are modules, and their descriptors."""

from __future__ import annotations

from dataclasses import dataclass, field

from opensearch_ko.node.artifacts import Artifact

PLUGIN_GROUP = "org.opensearch.plugin"


@dataclass(frozen=True)
class Module:
    """A plugin that OpenSearch ships built in. Its jar is published, its descriptor and its policy are not."""

    folder: str
    artifact: str
    plugin_class: str
    extends: str = ""
    permissions: tuple[str, ...] = field(default=())

    def descriptor(self, version: str) -> str:
        """Return the text of `plugin-descriptor.properties`."""
        return (
            f"description={self.folder}\nversion={version}\nname={self.folder}\nclassname={self.plugin_class}\njava.version=21\n"
            f"opensearch.version={version}\nextended.plugins={self.extends}\nhas.native.controller=false\n"
        )

    def policy(self) -> str | None:
        """Return the text of `plugin-security.policy`, None where the module needs no permission."""
        if not self.permissions:
            return None
        return "grant {\n" + "".join(f"  permission {permission};\n" for permission in self.permissions) + "};\n"


MODULES = (
    Module(
        "transport-netty4",
        "transport-netty4-client",
        "org.opensearch.transport.Netty4ModulePlugin",
        # Without these the Java agent refuses the sockets between nodes, silently: they never find each other.
        permissions=('java.net.SocketPermission "*", "accept,connect,resolve"', 'java.lang.RuntimePermission "getClassLoader"'),
    ),
    Module("lang-painless", "lang-painless", "org.opensearch.painless.PainlessModulePlugin"),
    Module("analysis-common", "analysis-common", "org.opensearch.analysis.common.CommonAnalysisModulePlugin", extends="lang-painless"),
    Module("mapper-extras", "mapper-extras-client", "org.opensearch.index.mapper.MapperExtrasModulePlugin"),
    Module("ingest-common", "ingest-common", "org.opensearch.ingest.common.IngestCommonModulePlugin", extends="lang-painless"),
    Module("parent-join", "parent-join-client", "org.opensearch.join.ParentJoinModulePlugin"),
    Module("reindex", "reindex-client", "org.opensearch.index.reindex.ReindexModulePlugin"),
    Module("transport-grpc", "transport-grpc", "org.opensearch.transport.grpc.GrpcPlugin"),  # k-NN and neural-search extend it
)

PLUGINS = {
    "opensearch-job-scheduler": "opensearch-job-scheduler",
    "opensearch-knn": "opensearch-knn",  # the published zip has no native faiss: its Lucene engine works
    "opensearch-neural-search": "neural-search",
    "opensearch-ml": "opensearch-ml-plugin",
}
"""Folder of each plugin: the artifact whose zip is unpacked there."""

TORCH_VERSION = "2.5.1"
"""The libtorch that ML Commons 3.6 loads; its code sets it, no configuration changes it."""
TORCH_FLAVOR = "cpu"
DJL_VERSION = "0.31.1"
"""The Deep Java Library inside ML Commons 3.6; it looks its JNI library up under this version."""
TORCH_PLATFORMS = ("linux-x86_64", "osx-aarch64")
"""The platforms for which libtorch 2.5.1 is on Maven Central."""
TORCH_NATIVE = Artifact("ai.djl.pytorch", "pytorch-native-cpu", TORCH_VERSION)
TORCH_JNI = Artifact("ai.djl.pytorch", "pytorch-jni", f"{TORCH_VERSION}-0.32.0")  # there is no 2.5.1-0.31.1; this one fits
LOG4J_CORE_VERSION = "2.25.3"
"""An optional dependency of OpenSearch's own POM, without which the node has no log."""
