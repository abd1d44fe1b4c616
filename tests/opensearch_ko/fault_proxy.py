"""A proxy on the loopback address that forwards every request, but for those that a rule lets go wrong."""

import json
import re
import socket
import threading
from collections.abc import Callable
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Literal
from urllib.parse import urlsplit

HOP_BY_HOP = {"connection", "keep-alive", "transfer-encoding", "te", "trailer", "upgrade", "proxy-connection"}
UPSTREAM_SECONDS = 120


@dataclass
class Rule:
    """What goes wrong with the next `times` requests of this kind.

    Args:
        path: a regular expression that is found anywhere in the path, query string included.
        method: of the request; None: any.
        action: "status": answer `status` and `body` without forwarding. "cut": close the connection without forwarding.
            "cut-after": forward, then close it without answering. "swallow": answer 200 and {} without forwarding.
            "corrupt": forward with the middle byte of the body flipped.
        status: of the answer.
        body: of the answer, or what makes it from the request's body; empty: an error as OpenSearch writes it.
        times: so often; None: always.
        skip: so many such requests pass before.
    """

    path: str
    method: str | None = "POST"
    action: Literal["status", "cut", "cut-after", "swallow", "corrupt"] = "status"
    status: int = 429
    body: bytes | Callable[[bytes], bytes] = b""
    times: int | None = 1
    skip: int = 0

    def takes(self, method: str, path: str) -> bool:
        """Whether this request is to go wrong; counts it."""
        if self.times == 0 or (self.method not in (None, method)) or not re.search(self.path, path):
            return False
        if self.skip:
            self.skip -= 1
            return False
        if self.times is not None:
            self.times -= 1
        return True

    def answer(self, body: bytes) -> bytes:
        """Return what a request with this body is told."""
        if callable(self.body):
            return self.body(body)
        reason = {"type": "rejected_execution_exception" if self.status == 429 else "injected_fault", "reason": "a fault of the proxy"}
        return self.body or json.dumps({"error": reason, "status": self.status}).encode()


@dataclass(frozen=True)
class Request:
    """A request that arrived: `action` is the rule's, "forward" where none took it."""

    method: str
    path: str
    body: bytes
    action: str


class FaultProxy:
    """Stands before a cluster: `with FaultProxy(url) as proxy: Cluster(ClusterProfile(url=proxy.url))`.

    Rules are tried in the order they were added; requests are counted under one lock, so that the first N of a kind are the first N
    that arrived.
    """

    def __init__(self, upstream_url: str) -> None:
        parts = urlsplit(upstream_url)
        assert parts.scheme == "http"
        assert parts.hostname
        self.upstream = (parts.hostname, parts.port or 80)
        self.requests: list[Request] = []
        self._rules: list[Rule] = []
        self._lock = threading.Lock()
        proxy = self

        class Handler(_Handler):
            owner = proxy

        class Server(ThreadingHTTPServer):
            daemon_threads = True
            block_on_close = False

        self._server = Server(("127.0.0.1", 0), Handler)

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self._server.server_port}"

    def add(self, rule: Rule) -> None:
        """Let requests go wrong from now on."""
        with self._lock:
            self._rules.append(rule)

    def clear(self) -> None:
        """Forward everything again."""
        with self._lock:
            self._rules.clear()

    def seen(self, path: str, action: str | None = None) -> list[Request]:
        """Return the requests whose path holds the expression `path`, in the order they arrived."""
        with self._lock:
            return [r for r in self.requests if re.search(path, r.path) and action in (None, r.action)]

    def rule_for(self, method: str, path: str, body: bytes) -> Rule | None:
        """Take note of a request; return the rule that it falls under."""
        with self._lock:
            rule = next((rule for rule in self._rules if rule.takes(method, path)), None)
            self.requests.append(Request(method, path, body, rule.action if rule else "forward"))
            return rule

    def __enter__(self) -> "FaultProxy":
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()


class _Handler(BaseHTTPRequestHandler):
    owner: FaultProxy
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def respond(self) -> None:
        body = self._body()
        rule = self.owner.rule_for(self.command, self.path, body)
        action = rule.action if rule else "forward"
        if rule and action == "status":
            self._answer(rule.status, [("content-type", "application/json")], rule.answer(body))
        elif action == "swallow":
            self._answer(200, [("content-type", "application/json")], b"{}")
        elif action == "cut":
            self._hang_up()
        else:
            self._forward(self._damaged(body) if action == "corrupt" else body, answers=action != "cut-after")

    do_GET = do_POST = do_PUT = do_DELETE = do_HEAD = respond  # noqa: N815  names that http.server looks for

    def _body(self) -> bytes:
        if "chunked" in self.headers.get("transfer-encoding", ""):
            parts = []
            while size := int(self.rfile.readline().split(b";")[0], 16):
                parts.append(self.rfile.read(size))
                self.rfile.readline()
            while self.rfile.readline().strip():  # trailers
                pass
            return b"".join(parts)
        return self.rfile.read(int(self.headers.get("content-length") or 0))

    def _damaged(self, body: bytes) -> bytes:
        middle = len(body) // 2
        return body[:middle] + bytes([body[middle] ^ 0xFF]) + body[middle + 1 :] if body else body

    def _forward(self, body: bytes, answers: bool) -> None:
        headers = {name: value for name, value in self.headers.items() if name.lower() not in HOP_BY_HOP | {"host", "content-length"}}
        if body or self.command in ("POST", "PUT"):
            headers["content-length"] = str(len(body))
        # One connection a request: a kept one that the upstream has closed would be a fault that nobody asked for.
        upstream = HTTPConnection(*self.owner.upstream, timeout=UPSTREAM_SECONDS)
        try:
            upstream.request(self.command, self.path, body or None, headers)
            answer = upstream.getresponse()
            payload, status, given = answer.read(), answer.status, answer.getheaders()
        except (OSError, HTTPException):
            self._hang_up()  # as the upstream did
            return
        finally:
            upstream.close()
        if answers:
            self._answer(status, [(n, v) for n, v in given if n.lower() not in HOP_BY_HOP | {"content-length"}], payload)
        else:
            self._hang_up()

    def _answer(self, status: int, headers: list[tuple[str, str]], payload: bytes) -> None:
        self.send_response_only(status)
        for name, value in headers:
            self.send_header(name, value)
        self.send_header("content-length", str(len(payload)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(payload)

    def _hang_up(self) -> None:
        self.close_connection = True
        self.connection.shutdown(socket.SHUT_RDWR)

    def log_message(self, *_: object) -> None:
        pass
