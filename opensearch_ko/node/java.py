"""Finding a JDK that OpenSearch 3 runs on: 21 or newer, and whole."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from opensearch_ko.node.errors import NodeError
from opensearch_ko.node.places import is_root, unreachable_folders

MINIMUM_JAVA = 21

NEEDED_MODULES = {
    "jdk.localedata": "Thai segmentation, without which no index can be made",
    "jdk.incubator.vector": "the vector instructions that Lucene uses",
}

INSTALL_JDK = (
    "Install one, e.g. `apt-get install openjdk-21-jdk-headless`, `dnf install java-21-openjdk-devel` or `brew install openjdk@21`; "
    "or set JAVA_HOME to one that is not on the PATH."
)

# Where distributions, vendors and version managers put JVMs.
_FOLDERS = (
    "/usr/lib/jvm/*",
    "/usr/java/*",
    "/opt/java/*",
    "/opt/*jdk*",
    "/usr/local/openjdk*",
    "/Library/Java/JavaVirtualMachines/*/Contents/Home",
    "/opt/homebrew/opt/openjdk*/libexec/openjdk.jdk/Contents/Home",
    "~/.sdkman/candidates/java/*",
    "~/.jdks/*",
)


@dataclass(frozen=True)
class Jdk:
    """One Java installation and what is known of it."""

    home: Path
    version: int
    modules: frozenset[str]

    @property
    def command(self) -> Path:
        """The program that starts it."""
        return self.home / "bin" / "java"

    def defect(self) -> str | None:
        """Say why OpenSearch cannot use it, None when it can."""
        if self.version < MINIMUM_JAVA:
            return f"is Java {self.version}"
        if missing := [f"{module} ({purpose})" for module, purpose in NEEDED_MODULES.items() if module not in self.modules]:
            return f"lacks {', '.join(missing)}"
        if is_root() and (closed := unreachable_folders(self.home)):
            return f"lies in {closed[0]}, which is closed to the account that the node runs under"
        return None


def find_jdk(folders: tuple[str, ...] = _FOLDERS) -> Jdk:
    """Return the first usable JDK: `$JAVA_HOME`, the `java` on the PATH, then the newest of the usual folders.

    Raises:
        NodeError: none is usable; names those that were found and what each lacks.
    """
    defects = []
    for jdk in _candidates(folders):
        defect = jdk.defect()
        if defect is None:
            return jdk
        defects.append(f"{jdk.home} {defect}")
    found = f"Found: {'; '.join(defects)}." if defects else "No Java was found."
    raise NodeError(f"A full JDK, version {MINIMUM_JAVA} or newer, is missing. {found}", INSTALL_JDK)


def inspect_java(home: Path) -> Jdk | None:
    """Ask the Java in `home` for its version and modules, None when there is none or it is older than 9."""
    try:
        answer = subprocess.run([home / "bin" / "java", "--list-modules"], capture_output=True, text=True, timeout=30, check=True).stdout
    except (OSError, subprocess.SubprocessError):
        return None
    modules = dict(re.findall(r"^([\w.]+)@(\d+)", answer, flags=re.MULTILINE))
    return Jdk(home, int(modules["java.base"]), frozenset(modules)) if "java.base" in modules else None


def _candidates(folders: tuple[str, ...]) -> Iterator[Jdk]:
    first = []
    if chosen := os.environ.get("JAVA_HOME"):
        first.append(Path(chosen).expanduser().resolve())
    if on_path := shutil.which("java"):
        first.append(Path(on_path).resolve().parent.parent)
    seen = set(first)
    yield from filter(None, map(inspect_java, dict.fromkeys(first)))
    others = {
        home.resolve()
        for pattern in folders
        for home in _matches(pattern)
        if (home / "bin" / "java").is_file() and home.resolve() not in seen
    }
    inspected = [jdk for jdk in map(inspect_java, sorted(others)) if jdk]
    yield from sorted(inspected, key=lambda jdk: jdk.version, reverse=True)


def _matches(pattern: str) -> Iterator[Path]:
    expanded = Path(pattern).expanduser()
    anchor = Path(expanded.anchor)
    return anchor.glob(str(expanded.relative_to(anchor)))
