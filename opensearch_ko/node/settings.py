"""What is asked of the node, and what is known of it."""

from __future__ import annotations

import re
from datetime import datetime
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, field_validator

from opensearch_ko.node.places import node_home

DEFAULT_VERSION = "3.6.0"


class NodeSettings(BaseModel):
    """How a node, or a cluster of several on this machine, is to be started."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    nodes: int = Field(default=1, ge=1, le=9)
    port: int = Field(default=9200, ge=0, le=65535)
    """HTTP port of the first node, the next ones follow it; 0: free ones are chosen."""
    heap: str = "1g"
    """Java heap of each node. 1g carries indexes and small models; a BERT-base model of 540 MB needs 2g."""
    version: str = DEFAULT_VERSION
    home: Path | None = None
    """Folder of data, logs and state; None: `$SPARSE_KO_NODE_HOME`, else one in the user's data folder."""
    fresh: bool = False
    """Empty the data before the start."""

    @field_validator("heap")
    @classmethod
    def _check_heap(cls, value: str) -> str:
        if not re.fullmatch(r"[1-9]\d*[mg]", value.lower()):
            raise ValueError("write the heap as megabytes or gigabytes, e.g. 512m or 2g")
        if parse_heap(value.lower()) < 256 * 2**20:
            raise ValueError("OpenSearch needs a heap of 256m or more")
        return value.lower()

    @property
    def home_folder(self) -> Path:
        """The home as an absolute path."""
        return node_home(self.home)

    @property
    def heap_bytes(self) -> int:
        """The heap of one node in bytes."""
        return parse_heap(self.heap)


class NodeStatus(BaseModel):
    """What is known of the node of one home."""

    running: bool
    """All its processes are alive."""
    url: str | None = None
    """Address of the first node, None when nothing runs."""
    pids: list[int] = []
    version: str | None = None
    nodes: int = 0
    """How many nodes the cluster is made of, alive or not."""
    heap: str | None = None
    started_at: datetime | None = None
    home: Path


def parse_heap(text: str) -> int:
    """Return the bytes that `512m` or `2g` stands for."""
    return int(text[:-1]) * {"m": 2**20, "g": 2**30}[text[-1]]
