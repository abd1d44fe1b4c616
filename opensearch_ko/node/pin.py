"""Write the pinned list of an OpenSearch version: `python -m opensearch_ko.node.pin 3.6.0`.

Resolves the dependencies with Maven (the only place that does), downloads every file and writes its SHA-256.
Read the difference to the list before (`git diff`) and start a node before you commit it.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from opensearch_ko.node.artifacts import TORCH_FOLDER, Artifact, PinnedArtifact, list_file
from opensearch_ko.node.maven import fetch_with_maven, runtime_dependencies
from opensearch_ko.node.modules import (
    LOG4J_CORE_VERSION,
    MODULES,
    PLUGIN_GROUP,
    PLUGINS,
    TORCH_JNI,
    TORCH_NATIVE,
    TORCH_PLATFORMS,
)
from retrieval_ko.files import sha256, write_text
from retrieval_ko.terminal import exit_on_error, notes

HEADER = """\
# What an embedded OpenSearch {version} node is made of: SHA-256, folder in the assembly, Maven coordinates.
# Made by: python -m opensearch_ko.node.pin {version}   (Maven resolves the dependencies and fetches each file, which is then hashed;
# a jar that a parent class loader already has is left out). An assembly takes these files and no others.
"""


def destinations(version: str) -> Iterator[tuple[str, Artifact]]:
    """Yield (folder in the assembly, artifact) for everything that a node of `version` needs."""
    core = "org.opensearch"
    library = runtime_dependencies(
        [
            Artifact(core, "opensearch", version),
            Artifact(core, "opensearch-plugin-classloader", version),
            Artifact("org.apache.logging.log4j", "log4j-core", LOG4J_CORE_VERSION),
        ]
    )
    yield from (("lib", artifact) for artifact in library)
    agent = runtime_dependencies([Artifact(core, "opensearch-agent", version), Artifact(core, "opensearch-agent-bootstrap", version)])
    yield from (("agent", artifact) for artifact in agent)
    of_module: dict[str, set[str]] = {"": {artifact.file_name for artifact in library}}
    for module in MODULES:
        resolved = runtime_dependencies([Artifact(PLUGIN_GROUP, module.artifact, version)])
        inherited = of_module[""] | of_module[module.extends]
        own = [artifact for artifact in resolved if artifact.file_name not in inherited]
        of_module[module.folder] = {artifact.file_name for artifact in own}
        yield from ((f"modules/{module.folder}", artifact) for artifact in own)
    for folder, artifact_name in PLUGINS.items():
        yield f"plugins/{folder}", Artifact(PLUGIN_GROUP, artifact_name, f"{version}.0", "zip")
    yield TORCH_FOLDER, TORCH_JNI
    for platform in TORCH_PLATFORMS:
        yield TORCH_FOLDER, replace(TORCH_NATIVE, classifier=platform)


def write_list(version: str) -> Path:
    """Write the list of `version` and return its path."""
    pins = [PinnedArtifact("", destination, artifact) for destination, artifact in destinations(version)]
    with tempfile.TemporaryDirectory() as folder:
        fetch_with_maven(list({pin.download_name: pin for pin in pins}.values()), Path(folder), lambda *_: None)
        lines = [f"{sha256(Path(folder) / pin.download_name)}  {pin.destination:<32}  {pin.artifact.coordinates}\n" for pin in pins]
    target = list_file(version)
    write_text(target, HEADER.format(version=version) + "".join(lines))
    return target


if __name__ == "__main__":
    with exit_on_error():
        notes.print(f"Wrote {write_list(sys.argv[1])}")
