"""The one adapter to opensearch-py: sends a request, and says in one sentence what went wrong and what mends it."""

from __future__ import annotations

import base64
import json
import re
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

from opensearchpy import OpenSearch
from opensearchpy.exceptions import (
    AuthenticationException,
    ConnectionTimeout,
    ImproperlyConfigured,
    SerializationError,
    SSLError,
    TransportError,
)
from opensearchpy.exceptions import ConnectionError as NoAnswer
from urllib3.exceptions import ConnectTimeoutError, NewConnectionError

from opensearch_ko.errors import ClusterError
from opensearch_ko.profile import CA_VARIABLE, LOGIN_REMEDY, PASSWORD_VARIABLE, USER_VARIABLE, ClusterProfile, resolve_profile

__all__ = ["Cluster", "ClusterProfile", "connect", "resolve_profile"]

CONNECTIONS = 16
"""Kept open to one node: more threads than that speak to it only in a benchmark, where each has a Cluster of its own."""
_READING = re.compile(r"/_(search|msearch|count|predict|explain|analyze|simulate)\b")
"""POST requests that change nothing."""
BREAKER_PAUSES = (0.5, 1.0, 2.0, 4.0)
"""Seconds between tries where a node's memory breaker has turned a request away unread: most often garbage that is not collected yet."""

START_REMEDY = "Start a node on this machine: sparse-ko node start    or name another cluster: --cluster URL"


class Cluster:
    """A connection to one OpenSearch cluster.

    Where more than one of its addresses is known (`profile.other_urls`, `learn_addresses`) and a node is gone, requests go on to another:
    those that never arrived, and those that only read. A write that broke off half-way is the caller's to repeat.

    Args:
        profile: where it is and how one logs in.
    """

    def __init__(self, profile: ClusterProfile) -> None:
        self.profile = profile
        self._lock = threading.Lock()
        self._clients: dict[str, OpenSearch] = {}
        self.addresses = [profile.url, *profile.other_urls]
        """Of the same cluster; the first is the one that was named."""
        self.address = profile.url
        """The one in use."""
        self._open(profile.url)

    def _open(self, address: str) -> OpenSearch:
        with self._lock:
            if address not in self._clients:
                self._clients[address] = self._client_for(address)
            return self._clients[address]

    def _client_for(self, address: str) -> OpenSearch:
        profile = self.profile
        parts = urlsplit(address)
        secure = parts.scheme == "https"
        headers = {}
        if profile.user is not None and profile.password is not None:
            login = f"{profile.user}:{profile.password.get_secret_value()}".encode()  # opensearch-py's own way fails beyond Latin-1
            headers["authorization"] = f"Basic {base64.b64encode(login).decode()}"
        try:
            return OpenSearch(
                hosts=[
                    {"host": parts.hostname, "port": parts.port or (443 if secure else 9200), "use_ssl": secure, "url_prefix": parts.path}
                ],
                headers=headers,
                timeout=profile.timeout_seconds,
                max_retries=0,
                pool_maxsize=CONNECTIONS,
                **({"ca_certs": str(profile.ca_file)} if profile.ca_file else {}),
            )
        except (ImproperlyConfigured, OSError) as failure:
            raise ClusterError(f"Cannot set up TLS for {address}: {failure}.", f"Check {CA_VARIABLE}: a PEM file.") from None

    @property
    def client(self) -> OpenSearch:
        """opensearch-py's client of the address in use."""
        return self._open(self.address)

    def __repr__(self) -> str:
        return f"Cluster({self.profile.url})"

    @property
    def url(self) -> str:
        """The cluster's address."""
        return self.profile.url

    def request(
        self,
        method: str,
        path: str,
        body: Mapping[str, Any] | list[Any] | bytes | str | None = None,
        *,
        params: Mapping[str, str] | None = None,
        timeout_seconds: float | None = None,
    ) -> Any:  # noqa: ANN401  any JSON value
        """Send one request and return the JSON of the answer.

        Raises:
            ClusterError: no answer came, or the answer was a refusal; `status` and `reason` hold the node's own.
        """
        with self.explained(f"{method} {path}"):
            return self._perform(
                method, path, params=dict(params or {}), body=body, timeout=timeout_seconds or self.profile.timeout_seconds
            )

    def _perform(self, method: str, path: str, **settings: Any) -> Any:  # noqa: ANN401  any JSON value
        address = self.address
        first: NoAnswer | None = None
        tried: set[str] = set()
        pauses = iter(BREAKER_PAUSES)
        while True:
            try:
                answer = self._open(address).transport.perform_request(method, path, **settings)
            except NoAnswer as failure:
                first = first or failure
                tried.add(address)
                others = [other for other in self.addresses if other not in tried]
                if not others or not (_never_arrived(failure) or _may_be_repeated(method, path, failure)):
                    raise first from None
                address = others[0]
            except TransportError as failure:
                pause = next(pauses, None) if _turned_away_unread(failure) else None
                if pause is None:
                    raise
                time.sleep(pause)
            else:
                self.address = address
                return answer

    def learn_addresses(self) -> None:
        """Ask the cluster for its nodes' addresses, so that requests go on when the one that was named is gone.

        They are taken only where the address that was named is one of them: behind a proxy, a container's port or another network the
        nodes' own addresses lead nowhere, or past what stands before them on purpose.
        """
        parts = urlsplit(self.url)
        if parts.path:
            return
        try:
            answer = self.request("GET", "/_nodes/http")
        except ClusterError:
            return  # a user may search without the right to ask that
        nodes = answer.get("nodes", {}) if isinstance(answer, dict) else {}
        published = [str(node.get("http", {}).get("publish_address", "")) for node in nodes.values()]
        # "127.0.0.1:9200", or "name/10.0.0.1:9200" where the node was given a name
        found = [re.sub(r"^([^/]+)/.*(:\d+)$", r"\1\2", address) for address in published if address]
        hosts = {"127.0.0.1", "localhost"} if parts.hostname == "localhost" else {parts.hostname}
        named = {f"{host}:{parts.port or 9200}" for host in hosts}
        if named & set(found):
            others = [f"{parts.scheme}://{address}" for address in sorted(found) if address not in named]
            self.addresses += [address for address in others if address not in self.addresses]

    def find(self, path: str) -> Any | None:  # noqa: ANN401  any JSON value
        """GET `path`; None where the cluster says 404."""
        try:
            return self.request("GET", path)
        except ClusterError as failure:
            if failure.status == 404:
                return None
            raise

    @contextmanager
    def explained(self, action: str) -> Iterator[None]:
        """Turn opensearch-py's exceptions inside the block into a `ClusterError` about `action`."""
        try:
            yield
        except (TransportError, SerializationError) as failure:
            raise self._explain(failure, action) from failure

    def check_identity(self) -> dict[str, Any]:
        """Ask `GET /` who answers, and return it.

        Raises:
            ClusterError: it is not OpenSearch (Elasticsearch, a web server, a proxy).
        """
        answer = self.request("GET", "/")
        version = answer.get("version") if isinstance(answer, dict) else None
        if not isinstance(version, dict) or "number" not in version:
            raise self._not_opensearch("its answer to GET / names no version")
        if version.get("distribution") != "opensearch":
            raise self._not_opensearch(
                f"it calls itself Elasticsearch {version['number']}" if "tagline" in answer else "another program answers"
            )
        return dict(answer)

    def _not_opensearch(self, why: str) -> ClusterError:
        return ClusterError(f"{self.url} is not an OpenSearch cluster: {why}.", f"Check the address and the port. {START_REMEDY}")

    def _explain(self, failure: TransportError | SerializationError, action: str) -> ClusterError:
        if isinstance(failure, SerializationError):
            return self._not_opensearch(f"it answered {action} with something other than JSON")
        if isinstance(failure, NoAnswer):
            return self._explain_silence(failure, action)
        if isinstance(failure, AuthenticationException):
            return self._explain_login(failure)
        status, reason = int(failure.status_code), _reason_of(failure)
        if "no handler found for uri" in reason and "/_plugins/_ml" in reason:
            return ClusterError(
                f"{self.url} has no ML Commons, so no model can run in it.",
                "Install the plugins opensearch-ml and opensearch-neural-search on every node, or: sparse-ko node start",
                status=status,
                reason=reason,
            )
        if "security_exception" in reason or "no permissions" in reason:
            user = self.profile.user or "anonymous"
            return ClusterError(
                f"{self.url}: the user {user} may not do this ({action}): {reason}",
                f"Ask for a role with this right, or log in as another user ({USER_VARIABLE}, {PASSWORD_VARIABLE}).",
                status=status,
                reason=reason,
            )
        if not isinstance(failure.info, dict):
            return ClusterError(
                f"{self.url} answered {action} with HTTP {status} and no JSON: {reason[:200] or 'an empty page'}",
                f"Is this OpenSearch, or a proxy before it? {START_REMEDY}",
                status=status,
                reason=reason,
            )
        return ClusterError(f"{self.url} refused {action} (HTTP {status}): {reason}", _remedy_for(reason), status=status, reason=reason)

    def _explain_login(self, failure: TransportError) -> ClusterError:
        if self.profile.user is None:
            return ClusterError(f"{self.url} wants a user and a password.", LOGIN_REMEDY, status=401, reason=_reason_of(failure))
        return ClusterError(
            f"{self.url} does not accept the password of the user {self.profile.user} (HTTP 401).",
            f"Check {USER_VARIABLE} and {PASSWORD_VARIABLE}, or the profile's user and password.",
            status=401,
            reason=_reason_of(failure),
        )

    def _explain_silence(self, failure: NoAnswer, action: str) -> ClusterError:
        text = f"{failure.error} {failure.info}"
        if "WRONG_VERSION_NUMBER" in text or "record layer failure" in text:
            return ClusterError(f"{self.url} does not speak TLS.", "Write http:// instead of https://.")
        if isinstance(failure, SSLError) or "CERTIFICATE_VERIFY_FAILED" in text or "SSLError" in text:
            why = "its certificate is signed by an authority that this machine does not know" if "CERTIFICATE_VERIFY" in text else text
            if "ostname mismatch" in text or "not valid for" in text or "doesn't match" in text:
                why = f"its certificate was made for another host than {self.profile.host}"
            return ClusterError(
                f"{self.url}: the TLS connection failed: {why}.",
                f"Name the PEM file of the cluster's own authority: export {CA_VARIABLE}=/path/to/root-ca.pem",
            )
        if isinstance(failure, ConnectionTimeout) or "timed out" in text:
            return ClusterError(
                f"{self.url} did not answer {action} in time ({self.profile.timeout_seconds:g} s for an ordinary request).",
                "The cluster may be busy or out of memory: look at its log, then run the command again.",
            )
        if "Failed to resolve" in text or "Name or service not known" in text or "getaddrinfo" in text:
            return ClusterError(f"{self.url}: there is no host named {self.profile.host}.", f"Check the address. {START_REMEDY}")
        if "Connection refused" in text:
            return ClusterError(f"{self.url}: nothing listens there (connection refused).", START_REMEDY)
        if "without response" in text or "Connection aborted" in text or "Connection reset" in text or "BadStatusLine" in text:
            remedy = "If it speaks TLS, write https:// instead of http://." if self.url.startswith("http://") else START_REMEDY
            return ClusterError(f"{self.url} closed the connection without an answer to {action}.", remedy)
        return ClusterError(f"{self.url} cannot be reached: {failure.error}", START_REMEDY)


def connect(value: str | None = None) -> Cluster:
    """Open the cluster that `--cluster` means and make sure that it is OpenSearch.

    Raises:
        UsageError, DataError: as `resolve_profile`.
        ClusterError: it does not answer, refuses the login, or is something else.
    """
    cluster = Cluster(resolve_profile(value))
    cluster.check_identity()
    cluster.learn_addresses()
    return cluster


def _never_arrived(failure: NoAnswer) -> bool:
    return isinstance(failure.info, NewConnectionError | ConnectTimeoutError)


def _may_be_repeated(method: str, path: str, failure: NoAnswer) -> bool:
    """Whether a request changes nothing, so that it may be sent to another node; not after a timeout, which the other would share."""
    return not isinstance(failure, ConnectionTimeout) and (method in ("GET", "HEAD") or _READING.search(path) is not None)


def _turned_away_unread(failure: TransportError) -> bool:
    """Whether the node's breaker for the heap as a whole refused a request when it arrived, so that nothing of it was done."""
    return failure.status_code == 429 and "circuit_breaking_exception" in _reason_of(failure) and "<http_request>" in _reason_of(failure)


def _reason_of(failure: TransportError) -> str:
    """Return the node's own words: the type and reason of the error, and what caused it."""
    info = failure.info
    error = info.get("error", info) if isinstance(info, dict) else failure.error
    if not isinstance(error, dict):
        return str(error).strip()
    words = []
    cause: Any = error
    while isinstance(cause, dict):
        said = ": ".join(str(cause[part]) for part in ("type", "reason") if cause.get(part))
        if said and said not in words:
            words.append(said)
        cause = cause.get("caused_by")
    return " ← ".join(words) or json.dumps(error, ensure_ascii=False)


def _remedy_for(reason: str) -> str:
    remedies = {
        "circuit_breaking_exception": "The node is short of memory: give it more heap (sparse-ko node start --heap 2g), or delete a model.",
        "Circuit Breaker": "The node is short of memory or disk by its own settings: sparse-ko deploy … --dry-run shows which.",
        "cluster_block_exception": "The cluster blocks writing, most often because its disk is nearly full: free some space on the node.",
        "no_shard_available_action_exception": "The node is still starting up: run the command again in a few seconds.",
        "Model not ready yet": "The model is registered but not running: sparse-ko deploy --model … starts it again.",
        "No eligible node found": "No node may run models: sparse-ko deploy … --apply-settings lets data nodes do it.",
        "unknown query [neural_sparse]": "The cluster lacks the plugin opensearch-neural-search.",
        "No processor type exists with name [sparse_encoding]": "The cluster lacks the plugin opensearch-neural-search.",
        "too_many_clauses": "The query has more than 1,024 terms: shorten it.",
        "maxClauseCount": "The query has more than 1,024 terms: shorten it.",
    }
    return next((remedy for sign, remedy in remedies.items() if sign in reason), "")
