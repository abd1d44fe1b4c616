"""The proxy that makes faults: it forwards faithfully, counts exactly, and goes wrong only where it was told to."""

import http.client
import json
import sys
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
from fault_proxy import FaultProxy, Rule


class Echo(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def respond(self):
        body = self.rfile.read(int(self.headers.get("content-length") or 0))
        self.server.received.append(body)
        payload = json.dumps({"method": self.command, "path": self.path, "body": body.decode("latin-1")}).encode()
        self.send_response(201)
        self.send_header("x-kept", "yes")
        self.send_header("content-length", str(len(payload)))
        self.end_headers()
        self.wfile.write(payload)

    do_GET = do_POST = respond  # noqa: N815  names that http.server looks for

    def log_message(self, *_):
        pass


@contextmanager
def echo():
    server = ThreadingHTTPServer(("127.0.0.1", 0), Echo)
    server.received = []
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()


@pytest.fixture
def upstream():
    with echo() as server:
        yield server


@pytest.fixture
def proxy(upstream):
    with FaultProxy(f"http://127.0.0.1:{upstream.server_port}") as proxy:
        yield proxy


@pytest.fixture
def connection(proxy):
    connection = http.client.HTTPConnection("127.0.0.1", int(proxy.url.rsplit(":", 1)[1]), timeout=10)
    yield connection
    connection.close()


def ask(connection, method="POST", path="/_bulk", body=b"line"):
    connection.request(method, path, body)
    answer = connection.getresponse()
    return answer.status, json.loads(answer.read()), answer.getheader("x-kept")


def test_what_no_rule_takes_is_forwarded_over_one_connection(proxy, connection):
    status, echoed, kept = ask(connection, path="/a/_bulk?refresh=true", body="전세".encode())
    first = connection.sock
    assert (status, kept, echoed["path"]) == (201, "yes", "/a/_bulk?refresh=true")
    assert echoed["body"].encode("latin-1").decode() == "전세"
    assert ask(connection, "GET", "/", None)[1]["method"] == "GET"
    assert connection.sock is first
    assert [request.action for request in proxy.requests] == ["forward", "forward"]


def test_a_rule_counts_what_it_skips_and_what_it_takes(proxy, connection, upstream):
    proxy.add(Rule(path=r"/_bulk", status=429, times=2, skip=1))
    assert [ask(connection)[0] for _ in range(5)] == [201, 429, 429, 201, 201]
    assert ask(connection, "GET")[0] == 201
    assert len(upstream.received) == 4
    assert [request.action for request in proxy.seen("/_bulk", "status")] == ["status"] * 2


def test_the_answer_of_a_rule_may_be_made_from_the_request(proxy, connection):
    proxy.add(Rule(path="/_bulk", status=503, body=lambda body: json.dumps({"size": len(body)}).encode()))
    assert ask(connection, body=b"1234")[:2] == (503, {"size": 4})


@pytest.mark.parametrize(("action", "forwarded"), [("cut", 0), ("cut-after", 1)])
def test_a_cut_connection_gives_no_answer_and_the_next_request_passes(proxy, connection, upstream, action, forwarded):
    proxy.add(Rule(path="/_bulk", action=action))
    with pytest.raises(http.client.RemoteDisconnected):
        ask(connection)
    assert len(upstream.received) == forwarded
    connection.close()
    assert ask(connection)[0] == 201


def test_a_swallowed_request_is_answered_and_lost(proxy, connection, upstream):
    proxy.add(Rule(path="/_bulk", action="swallow"))
    assert ask(connection)[:2] == (200, {})
    assert upstream.received == []


def test_a_corrupted_body_keeps_its_length_and_differs_in_one_byte(proxy, connection, upstream):
    proxy.add(Rule(path="/_bulk", action="corrupt"))
    ask(connection, body=b"0123456789")
    [received] = upstream.received
    assert [place for place in range(10) if received[place] != b"0123456789"[place]] == [5]


def test_an_upstream_that_is_gone_ends_the_connection(connection, upstream):
    upstream.shutdown()
    upstream.server_close()
    with pytest.raises(http.client.RemoteDisconnected):
        ask(connection)
