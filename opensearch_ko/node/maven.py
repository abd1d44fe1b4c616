"""Fetching files with `mvn`, the ordinary client, so that the user's mirrors, proxies and credentials apply."""

from __future__ import annotations

import re
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import IO
from xml.sax.saxutils import escape

from opensearch_ko.node.artifacts import Artifact, PinnedArtifact
from opensearch_ko.node.errors import NodeError

Progress = Callable[[str, int, int], None]
"""Told what is being done, how many files of it are done, and how many there are (0 where nothing is counted)."""

INSTALL_MAVEN = "Install Maven, e.g. `apt-get install maven`, `dnf install maven` or `brew install maven`, so that `mvn` is on the PATH."

# Pinned because the plugin that Maven 3.8 takes by itself (2.8) is of 2013; any 3.x does.
DEPENDENCY_PLUGIN = Artifact("org.apache.maven.plugins", "maven-dependency-plugin", "3.8.1")

_POM = (
    '<project xmlns="http://maven.apache.org/POM/4.0.0"><modelVersion>4.0.0</modelVersion>'
    "<groupId>sparse-ko</groupId><artifactId>node</artifactId><version>1</version><packaging>pom</packaging>{}</project>"
)


def find_maven() -> str | None:
    """Return the path of `mvn`, None when it is not on the PATH."""
    return shutil.which("mvn")


def require_maven() -> str:
    """Return the path of `mvn`.

    Raises:
        NodeError: there is none.
    """
    found = find_maven()
    if found is None:
        raise NodeError("Maven is missing: OpenSearch is assembled from Maven Central with `mvn`.", INSTALL_MAVEN)
    return found


def fetch_with_maven(pins: Sequence[PinnedArtifact], into: Path, progress: Progress) -> None:
    """Copy the files of `pins`, and nothing they depend on, into a folder under their `download_name`.

    Raises:
        NodeError: Maven is missing, cannot reach its repository, or the disk is full.
    """
    items = "".join(
        "<artifactItem>"
        f"{_coordinates_xml(pin.artifact)}<type>{pin.artifact.packaging}</type>"
        f"{f'<classifier>{pin.artifact.classifier}</classifier>' if pin.artifact.classifier else ''}"
        f"<destFileName>{escape(pin.download_name)}</destFileName></artifactItem>"
        for pin in pins
    )
    plugin = (
        f"<build><plugins><plugin>{_coordinates_xml(DEPENDENCY_PLUGIN)}<configuration><artifactItems>{items}</artifactItems>"
        f"<outputDirectory>{escape(str(into))}</outputDirectory><overWriteReleases>true</overWriteReleases>"
        "</configuration></plugin></plugins></build>"
    )
    file_names = {pin.artifact.file_name for pin in pins}
    fetched: set[str] = set()
    copied = 0
    for line in run_maven(_POM.format(plugin), "dependency:copy"):
        if size := re.match(r"Progress .*?: (.*)", line):
            progress(f"downloading {size[1].strip()}", len(fetched), len(pins))
        elif arrived := re.search(r"Downloaded .*/([^/ ]+) \(", line):
            fetched |= {arrived[1]} & file_names  # Maven also fetches its own plugins
            progress("downloading", len(fetched), len(pins))
        elif " Copying " in line:
            copied += 1
            progress("copying", copied, len(pins))


def runtime_dependencies(roots: Sequence[Artifact]) -> list[Artifact]:
    """Let Maven resolve what `roots` need at run time, themselves included. Used for pinning only.

    Raises:
        NodeError: Maven is missing or fails.
    """
    dependencies = "".join(f"<dependency>{_coordinates_xml(root)}</dependency>" for root in roots)
    with tempfile.TemporaryDirectory() as folder:
        listing = Path(folder) / "list.txt"
        pom = _POM.format(f"<dependencies>{dependencies}</dependencies>")
        for _ in run_maven(
            pom,
            f"{DEPENDENCY_PLUGIN.group}:{DEPENDENCY_PLUGIN.name}:{DEPENDENCY_PLUGIN.version}:list",
            *["-DincludeScope=runtime", f"-DoutputFile={listing}"],
        ):
            pass
        resolved = []
        for line in listing.read_text(encoding="utf-8").splitlines():
            match line.partition(" -- ")[0].strip().split(":"):
                case [group, name, packaging, version, _scope]:
                    resolved.append(Artifact(group, name, version, packaging))
                case [group, name, packaging, classifier, version, _scope]:
                    resolved.append(Artifact(group, name, version, packaging, classifier))
    return resolved


def run_maven(pom: str, *arguments: str) -> Iterator[str]:
    """Run one goal on a POM and yield its lines as they come.

    Raises:
        NodeError: Maven is missing or ends with an error; carries Maven's own words.
    """
    command = require_maven()
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "pom.xml"
        file.write_text(pom, encoding="utf-8")
        with subprocess.Popen(
            # Not `--batch-mode`: it would hide how far a download is. Nothing here asks a question.
            [command, "-f", str(file), *arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
        ) as process:
            said: list[str] = []
            assert process.stdout is not None
            try:
                for line in _lines(process.stdout):
                    if "ERROR" in line:
                        said.append(line)
                    yield line
            except BaseException:
                process.terminate()
                raise
        if process.returncode != 0:
            raise _explain_failure(said)


def _coordinates_xml(artifact: Artifact) -> str:
    return (
        f"<groupId>{escape(artifact.group)}</groupId><artifactId>{escape(artifact.name)}</artifactId>"
        f"<version>{escape(artifact.version)}</version>"
    )


def _lines(stream: IO[str]) -> Iterator[str]:
    """Split on line feeds (universal newlines make one of the carriage return that Maven's progress ends with)."""
    for line in stream:
        plain = re.sub(r"\x1b\[[0-9;]*m", "", line).strip()
        if plain:
            yield plain


def _explain_failure(said: Sequence[str]) -> NodeError:
    words = " ".join(line.removeprefix("[ERROR]").strip() for line in said)
    if "No space left on device" in words or "Disk quota exceeded" in words:
        return NodeError(
            "Maven could not write a file: the disk is full. What has arrived is kept.", "Free some space (`df -h`), then start again."
        )
    first = next((line.removeprefix("[ERROR]").strip() for line in said), "no message")
    return NodeError(
        f"Maven failed: {first[:600]}",
        "Check that `mvn` reaches its repository (~/.m2/settings.xml sets mirror and proxy), then start again: what has arrived is kept.",
    )
