"""Whether an embedded node can be had on this machine, without trying."""

from __future__ import annotations

from opensearch_ko.node.artifacts import PinnedList, platform_classifier
from opensearch_ko.node.assembly import is_complete
from opensearch_ko.node.errors import NodeError
from opensearch_ko.node.java import find_jdk
from opensearch_ko.node.maven import require_maven
from opensearch_ko.node.places import assembly_folder
from opensearch_ko.node.settings import DEFAULT_VERSION


def explain_missing_requirements() -> str | None:
    """Return one line that says what is missing and how to get it, None when a node can be started.

    A JDK is always needed, Maven only as long as the software is not assembled.
    """
    try:
        find_jdk()
        if not is_complete(PinnedList.of_version(DEFAULT_VERSION).for_platform(platform_classifier()), assembly_folder(DEFAULT_VERSION)):
            require_maven()
    except NodeError as missing:
        return f"{missing.problem} {missing.remedy}"
    return None
