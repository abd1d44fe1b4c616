"""The pinned list: every file a node is made of, where it goes, and the SHA-256 it must have."""

from __future__ import annotations

import hashlib
import platform
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from opensearch_ko.node.errors import NodeError
from retrieval_ko.files import read_lines, sha256

TORCH_FOLDER = "torch"
"""Destination of the native libraries; the only one that depends on the platform."""


@dataclass(frozen=True)
class Artifact:
    """Maven coordinates of one file."""

    group: str
    name: str
    version: str
    packaging: str = "jar"
    classifier: str = ""

    @classmethod
    def parse(cls, coordinates: str) -> Artifact:
        """Read `group:artifact:version[:packaging[:classifier]]`."""
        parts = coordinates.split(":")
        if not 3 <= len(parts) <= 5 or not all(parts):
            raise ValueError(f"expected group:artifact:version[:packaging[:classifier]], found {coordinates!r}")
        return cls(*parts)

    @property
    def coordinates(self) -> str:
        """The shortest form that `parse` reads back."""
        tail = f":{self.packaging}:{self.classifier}" if self.classifier else "" if self.packaging == "jar" else f":{self.packaging}"
        return f"{self.group}:{self.name}:{self.version}{tail}"

    @property
    def file_name(self) -> str:
        """The name that Maven gives the file."""
        return f"{self.name}-{self.version}{'-' + self.classifier if self.classifier else ''}.{self.packaging}"

    @property
    def repository_path(self) -> str:
        """Where Maven keeps the file inside its local repository."""
        return f"{self.group.replace('.', '/')}/{self.name}/{self.version}/{self.file_name}"


@dataclass(frozen=True)
class PinnedArtifact:
    """One line of the list."""

    sha256: str
    destination: str
    """Folder inside the assembly. A jar is put there, a zip unpacked there, `torch` gets the libraries inside the jar."""
    artifact: Artifact

    @property
    def download_name(self) -> str:
        """A name that no other artifact has; Maven's own is unique only together with the group."""
        return f"{self.artifact.group}.{self.artifact.file_name}"

    def verify(self, file: Path) -> None:
        """Compare `file` with the pin.

        Raises:
            NodeError: the SHA-256 differs; names the artifact and both sums.
        """
        found = sha256(file)
        if found != self.sha256:
            raise NodeError(
                f"{self.artifact.coordinates} is refused: its SHA-256 is {found}, the pinned list says {self.sha256}. "
                "The copy in Maven's local repository is damaged, or the repository serves another file.",
                f"Delete it and start again: rm ~/.m2/repository/{self.artifact.repository_path}",
            )


@dataclass(frozen=True)
class PinnedList:
    """All files of one OpenSearch version."""

    version: str
    artifacts: Sequence[PinnedArtifact]

    @classmethod
    def read(cls, source: Path, version: str) -> PinnedList:
        """Read a list that `python -m opensearch_ko.node.pin` wrote.

        Raises:
            NodeError: a line has not the three columns.
        """
        pins = []
        for number, line in read_lines(source):
            content = line.partition("#")[0].split()
            if not content:
                continue
            try:
                digest, destination, coordinates = content
                pins.append(PinnedArtifact(digest, destination, Artifact.parse(coordinates)))
            except ValueError as failure:
                raise NodeError(
                    f"{source}, line {number}: {failure}.", "Restore the file, or write it anew: python -m opensearch_ko.node.pin"
                ) from failure
        return cls(version, tuple(pins))

    @classmethod
    def of_version(cls, version: str) -> PinnedList:
        """Read the list that this package ships.

        Raises:
            NodeError: there is none for `version`; names those that exist.
        """
        source = list_file(version)
        if not source.is_file():
            known = sorted(file.stem.removeprefix("artifacts-") for file in source.parent.glob("artifacts-*.txt"))
            raise NodeError(f"OpenSearch {version} is not pinned here; there is: {', '.join(known)}.", f"Use: --version {known[-1]}")
        return cls.read(source, version)

    def for_platform(self, classifier: str) -> PinnedList:
        """Leave out native libraries made for another platform than `classifier` (as `platform_classifier` gives it)."""
        kept = [pin for pin in self.artifacts if pin.destination != TORCH_FOLDER or pin.artifact.classifier in ("", classifier)]
        return PinnedList(self.version, tuple(kept))

    def has_torch(self) -> bool:
        """Tell whether libtorch is among the files: `pytorch-native-cpu` is made for some platforms only."""
        return any(pin.destination == TORCH_FOLDER and pin.artifact.classifier for pin in self.artifacts)

    @property
    def fingerprint(self) -> str:
        """SHA-256 over the list, so that an assembly made from another list is seen as another one."""
        lines = [f"{pin.sha256} {pin.destination} {pin.artifact.coordinates}\n" for pin in self.artifacts]
        return hashlib.sha256("".join(sorted(lines)).encode()).hexdigest()


def list_file(version: str) -> Path:
    """Return where the pinned list of `version` is kept."""
    return Path(__file__).with_name(f"artifacts-{version}.txt")


def platform_classifier() -> str:
    """Return this machine's platform as DJL names it: `linux-x86_64`, `osx-aarch64`, ..."""
    system = {"darwin": "osx", "win32": "win"}.get(sys.platform, sys.platform)
    machine = {"amd64": "x86_64", "arm64": "aarch64"}.get(platform.machine().lower(), platform.machine().lower())
    return f"{system}-{machine}"
