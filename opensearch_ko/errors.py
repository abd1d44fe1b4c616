"""What can go wrong between us and a cluster, in the words of whoever refused."""

from __future__ import annotations

from retrieval_ko.errors import RetrievalError


class ClusterError(RetrievalError):
    """The cluster could not be reached, or would not do what was asked: names the host and, where there is one, the node's own reason.

    Args:
        problem: what happened, on which host.
        remedy: the command or change that mends it.
        status: the HTTP status of the refusal, None where no answer came.
        reason: the node's own words, without ours around them.
    """

    def __init__(self, problem: str, remedy: str = "", *, status: int | None = None, reason: str = "") -> None:
        self.status = status
        self.reason = reason
        super().__init__(problem, remedy)


class DeployError(ClusterError):
    """A model was registered but does not run, or does not answer what it answered when it was exported."""
