"""The one adapter to opensearch-py: sends a request, and says in one sentence what went wrong and what mends it."""

from __future__ import annotations

import base64
import json
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

from opensearch_ko.errors import ClusterError
from opensearch_ko.profile import CA_VARIABLE, LOGIN_REMEDY, PASSWORD_VARIABLE, USER_VARIABLE, ClusterProfile, resolve_profile

__all__ = ["Cluster", "ClusterProfile", "connect", "resolve_profile"]

START_REMEDY = "Start a node on this machine: sparse-ko node start    or name another cluster: --cluster URL"


class Cluster:
    """A connection to one OpenSearch cluster.

    Args:
        profile: where it is and how one logs in.
    """

    def __init__(self, profile: ClusterProfile) -> None:
        self.profile = profile
        parts = urlsplit(profile.url)
        secure = parts.scheme == "https"
        headers = {}
        if profile.user is not None and profile.password is not None:
            login = f"{profile.user}:{profile.password.get_secret_value()}".encode()  # opensearch-py's own way fails beyond Latin-1
            headers["authorization"] = f"Basic {base64.b64encode(login).decode()}"
        try:
            self.client = OpenSearch(
                hosts=[
                    {"host": profile.host, "port": parts.port or (443 if secure else 9200), "use_ssl": secure, "url_prefix": parts.path}
                ],
                headers=headers,
                timeout=profile.timeout_seconds,
                max_retries=0,
                **({"ca_certs": str(profile.ca_file)} if profile.ca_file else {}),
            )
        except (ImproperlyConfigured, OSError) as failure:
            raise ClusterError(f"Cannot set up TLS for {profile.url}: {failure}.", f"Check {CA_VARIABLE}: a PEM file.") from None

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
            return self.client.transport.perform_request(
                method, path, params=dict(params or {}), body=body, timeout=timeout_seconds or self.profile.timeout_seconds
            )

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
    return cluster


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
