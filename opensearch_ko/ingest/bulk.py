"""One bulk request at a time, until every passage in it is in or refused for a reason of its own.

Writing under an id is idempotent, so whatever may have been lost is sent again: a full queue (HTTP 429, of the request or of an item),
a connection that broke before or after the cluster read the request, an answer that is none, a node that is gone for a while.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from opensearch_ko.cluster import Cluster
from opensearch_ko.errors import ClusterError
from opensearch_ko.ingest.documents import Action, Chunk

REQUEST_SECONDS = 300
"""For one request whose passages the node encodes; a client's takes less than a second."""
PASSING = frozenset({429, 502, 503, 504})
TOO_LARGE = 413

_MODEL_SIGNS = ("Model not ready", "model is not deployed", "No eligible node", "Failed to find model")
_PASSING_SIGNS = ("rejected_execution_exception", "circuit_breaking_exception", "Circuit Breaker is open")
"""Reasons that pass whatever the status: a processor's failure comes as 400 or 500, a node short of memory too."""
_WRONG_FOR_ALL = ("cluster_block_exception", "index_not_found_exception", "index_closed_exception", "pipeline with id [")
"""Reasons that have nothing to do with the passage: listing a hundred thousand of them would help nobody."""


@dataclass(frozen=True)
class Patience:
    """How long a cluster that takes nothing is waited for."""

    seconds: float = 300
    """From the last passage that it took. A node that is restarted needs one to two minutes, its models included."""
    first_pause: float = 1
    """Each pause is twice the one before."""
    longest_pause: float = 30


@dataclass
class Outcome:
    """What became of a chunk."""

    accepted: set[int] = field(default_factory=set)
    """Places of passages that are in, in every index they belong to."""
    refused: dict[int, dict[str, Any]] = field(default_factory=dict)
    """Place → {"_id", "_index", "status", "reason"}."""


class BulkSender:
    """Sends chunks; several threads may share one.

    Args:
        cluster: where.
        parameters: of each request.
        patience: how long to wait for a cluster that takes nothing.
        revive: brings the models back that the pipeline needs; called at most once a standstill. None: no model is needed.
        on_step: told in a few words what is waited for.
    """

    def __init__(
        self,
        cluster: Cluster,
        *,
        parameters: Mapping[str, str] | None = None,
        patience: Patience | None = None,
        revive: Callable[[], None] | None = None,
        on_step: Callable[[str], None] | None = None,
    ) -> None:
        self.cluster = cluster
        self.parameters = dict(parameters or {})
        self.patience = patience or Patience()
        self.stopped = threading.Event()
        """Set it to end all waiting: another thread has failed."""
        self._revive = revive
        self._reviving = threading.Lock()
        self._revived_at = float("-inf")
        self._on_step = on_step or (lambda _: None)

    def send(self, chunk: Chunk) -> Outcome:
        """Send a chunk and return what became of it.

        Raises:
            ClusterError: the cluster takes nothing for longer than patience allows, or refuses for a reason that is no passage's own.
        """
        outcome = Outcome(refused=dict(chunk.refused))
        self._send(chunk.actions, outcome)
        outcome.accepted = chunk.places - outcome.refused.keys()
        return outcome

    def _send(self, actions: Sequence[Action], outcome: Outcome) -> None:
        standstill = _Standstill(self)
        while actions:
            begun = time.monotonic()
            try:
                answer = self.cluster.request(
                    "POST",
                    "/_bulk",
                    b"".join(action.lines for action in actions),
                    params=self.parameters,
                    timeout_seconds=REQUEST_SECONDS,
                )
            except ClusterError as failure:
                if failure.status == TOO_LARGE:
                    self._halve(actions, outcome, failure)
                    return
                if failure.status is not None and failure.status not in PASSING:
                    raise
                standstill.wait(failure)
                continue
            items = answer.get("items") if isinstance(answer, dict) else None
            if not isinstance(items, list) or len(items) != len(actions):
                standstill.wait(self._senseless(answer))
                continue
            remaining, cause = self._sort(actions, items, outcome)
            if len(remaining) < len(actions):
                standstill.over()
            if cause is not None:
                if _is_the_models(cause.reason):
                    self._bring_back(cause, begun)
                standstill.wait(cause)
            actions = remaining

    def _sort(
        self, actions: Sequence[Action], items: Sequence[Mapping[str, Any]], outcome: Outcome
    ) -> tuple[list[Action], ClusterError | None]:
        """Note what was refused; return what is to be sent again, and why: the models' failure where there is one."""
        again: list[Action] = []
        failure: ClusterError | None = None
        for action, item in zip(actions, items, strict=True):
            result = next(iter(item.values()))
            status = int(result["status"])
            if status < 300:
                continue
            reason = _words(result.get("error", {}))
            if _is_the_models(reason) and self._revive is not None:
                again.append(action)
                if failure is None or not _is_the_models(failure.reason):
                    failure = self._explained(action, status, reason)
            elif status in PASSING or any(sign in reason for sign in _PASSING_SIGNS):
                again.append(action)
                failure = failure or self._explained(action, status, reason)
            elif any(sign in reason for sign in _WRONG_FOR_ALL):
                raise self._explained(action, status, reason)
            else:
                row = {"_id": action.passage_id, "_index": action.index, "status": status, "reason": reason}
                outcome.refused.setdefault(action.place, row)
        return again, failure

    def _bring_back(self, failure: ClusterError, begun: float) -> None:
        """Bring the models back, unless another thread has done so since this request was `begun`.

        Raises:
            ClusterError: they were brought back, and the node still says the same.
        """
        assert self._revive is not None
        with self._reviving:
            if self._revived_at > begun:
                return
            self._on_step(f"a model does not answer: {failure.reason[:120]}")
            self._revive()
            self._revived_at = time.monotonic()

    def _halve(self, actions: Sequence[Action], outcome: Outcome, failure: ClusterError) -> None:
        if len(actions) == 1:
            [action] = actions
            reason = f"the request is too large for {self.cluster.url}: {failure.reason or 'HTTP 413'}"
            outcome.refused.setdefault(
                action.place, {"_id": action.passage_id, "_index": action.index, "status": TOO_LARGE, "reason": reason}
            )
            return
        middle = len(actions) // 2
        self._send(actions[:middle], outcome)
        self._send(actions[middle:], outcome)

    def _explained(self, action: Action, status: int, reason: str) -> ClusterError:
        remedies = {
            "cluster_block_exception": "The cluster blocks writing, most often because its disk is nearly full: free some space on the "
            "node, then run the same command again.",
            "pipeline with id [": f"Its ingest pipeline was deleted. Put it back: sparse-ko deploy --model DIR|ZIP --index {action.index}",
            "rejected_execution_exception": "The cluster is overloaded: run the same command again later.",
            "ircuit": "The node is short of memory: give it more heap, or let this machine encode: --encode client --model DIR|ZIP",
            "index_not_found_exception": f"Make it: sparse-ko deploy --model DIR|ZIP --index {action.index}",
        }
        remedy = next((remedy for sign, remedy in remedies.items() if sign in reason), "Mend that, then run the same command again.")
        return ClusterError(
            f"{self.cluster.url} does not take the passage {action.passage_id}, nor any other (HTTP {status}): {reason}",
            remedy,
            status=status,
            reason=reason,
        )

    def _senseless(self, answer: object) -> ClusterError:
        return ClusterError(
            f"{self.cluster.url} answered POST /_bulk without saying what became of each passage ({str(answer)[:80]}).",
            "Is there a proxy before the cluster? It must pass /_bulk on.",
        )


class _Standstill:
    """A time in which the cluster takes nothing: pauses that double, up to a deadline."""

    def __init__(self, sender: BulkSender) -> None:
        self._sender = sender
        self.over()

    def over(self) -> None:
        self._since = time.monotonic()
        self._pause = self._sender.patience.first_pause

    def wait(self, failure: ClusterError) -> None:
        """Wait before the next attempt.

        Raises:
            ClusterError: `failure`, since patience has come to its end.
        """
        patience, sender = self._sender.patience, self._sender
        waited = time.monotonic() - self._since
        if waited + self._pause > patience.seconds:
            raise failure
        if self._pause > patience.first_pause:  # the first pause is not worth a word
            sender._on_step(f"waiting {self._pause:g} s: {failure.problem[:200]}")
        if sender.stopped.wait(self._pause):
            raise failure
        self._pause = min(2 * self._pause, patience.longest_pause)


def _is_the_models(reason: str) -> bool:
    return any(sign in reason for sign in _MODEL_SIGNS)


def _words(error: Any) -> str:  # noqa: ANN401  any JSON value
    words = []
    cause = error
    while isinstance(cause, dict):
        words.append(": ".join(str(cause[part]) for part in ("type", "reason") if cause.get(part)))
        cause = cause.get("caused_by")
    return " ← ".join(words) or str(error)
