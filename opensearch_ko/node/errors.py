"""What the embedded node says when it cannot do what it was asked."""

from __future__ import annotations

from retrieval_ko.errors import RetrievalError


class NodeError(RetrievalError):
    """The node cannot be assembled, started or stopped: says why, and the command that mends it."""
