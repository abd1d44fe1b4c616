"""A cluster that cannot be used says so in one message, and no message holds a secret."""

import base64
import json
import logging
import socket
import ssl
import subprocess
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from typer.testing import CliRunner

from opensearch_ko import profile as profiles
from opensearch_ko.cluster import Cluster, connect
from opensearch_ko.errors import ClusterError
from opensearch_ko.profile import ClusterProfile, resolve_profile
from retrieval_ko.errors import DataError, RetrievalError, UsageError
from sparse_ko_cli.cluster import complete_cluster
from sparse_ko_cli.sparse import app

SECRET = "비밀-hunter2"
BANNER = {"name": "n", "version": {"distribution": "opensearch", "number": "3.6.0"}, "tagline": "The OpenSearch Project"}


@pytest.fixture(autouse=True)
def no_environment(monkeypatch, tmp_path):
    for variable in (
        profiles.CLUSTER_VARIABLE,
        profiles.USER_VARIABLE,
        profiles.PASSWORD_VARIABLE,
        profiles.CA_VARIABLE,
        profiles.CONFIG_VARIABLE,
    ):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))


@contextmanager
def server(answer, certificate=None):
    """Serve `answer(method, path, headers, body) -> (status, content type, text)` on 127.0.0.1 and yield the address."""

    class Handler(BaseHTTPRequestHandler):
        def respond(self):
            body = self.rfile.read(int(self.headers.get("content-length") or 0))
            status, content_type, text = answer(self.command, self.path, self.headers, body)
            payload = text.encode()
            self.send_response(status)
            self.send_header("content-type", content_type)
            self.send_header("content-length", str(len(payload)))
            self.end_headers()
            self.wfile.write(payload)

        do_GET = do_POST = do_PUT = do_DELETE = respond  # noqa: N815  names that http.server looks for

        def log_message(self, *args):
            pass

    httpd = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    if certificate:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*certificate)
        httpd.socket = context.wrap_socket(httpd.socket, server_side=True)
    thread = threading.Thread(target=httpd.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield f"{'https' if certificate else 'http'}://127.0.0.1:{httpd.server_port}"
    finally:
        httpd.shutdown()
        httpd.server_close()


def always(status, value, content_type="application/json"):
    text = value if isinstance(value, str) else json.dumps(value)
    return lambda method, path, headers, body: (status, content_type, text)


def free_port():
    with socket.socket() as probe_socket:
        probe_socket.bind(("127.0.0.1", 0))
        return probe_socket.getsockname()[1]


# --- profiles -------------------------------------------------------------------------------------------------------------------


def test_an_address_is_a_profile():
    profile = resolve_profile("http://127.0.0.1:9200/")
    assert (profile.url, profile.user, profile.password) == ("http://127.0.0.1:9200", None, None)


def test_the_environment_names_cluster_and_login(monkeypatch):
    monkeypatch.setenv(profiles.CLUSTER_VARIABLE, "https://search.example:9200")
    monkeypatch.setenv(profiles.USER_VARIABLE, "indexer")
    monkeypatch.setenv(profiles.PASSWORD_VARIABLE, SECRET)
    profile = resolve_profile("")
    assert (profile.url, profile.user) == ("https://search.example:9200", "indexer")
    assert profile.password is not None
    assert profile.password.get_secret_value() == SECRET


def test_a_named_profile_comes_from_the_file(monkeypatch, tmp_path):
    file = tmp_path / "clusters.yaml"
    file.write_text(f"prod:\n  url: https://search.example\n  user: indexer\n  password: {SECRET}\n", encoding="utf-8")
    file.chmod(0o600)
    monkeypatch.setenv(profiles.CONFIG_VARIABLE, str(file))
    assert resolve_profile("prod").user == "indexer"
    with pytest.raises(UsageError, match="no profile 'test'; it has: prod"):
        resolve_profile("test")


def test_a_profile_file_that_others_can_read_is_refused(monkeypatch, tmp_path):
    file = tmp_path / "clusters.yaml"
    file.write_text(f"prod:\n  url: https://search.example\n  user: indexer\n  password: {SECRET}\n", encoding="utf-8")
    file.chmod(0o644)
    monkeypatch.setenv(profiles.CONFIG_VARIABLE, str(file))
    with pytest.raises(DataError, match="other users of this machine can read it") as refusal:
        resolve_profile("prod")
    assert f"chmod 600 {file}" in refusal.value.remedy
    assert SECRET not in str(refusal.value)


@pytest.mark.parametrize(
    "text",
    [f"prod:\n  url: 'unclosed\n  password: {SECRET}\n", f"- {SECRET}\n", f"prod:\n  url: x\n  user: a\n  password: {SECRET}\n  hots: b\n"],
)
def test_a_damaged_profile_file_is_named_without_quoting_it(monkeypatch, tmp_path, text):
    file = tmp_path / "clusters.yaml"
    file.write_text(text, encoding="utf-8")
    file.chmod(0o600)
    monkeypatch.setenv(profiles.CONFIG_VARIABLE, str(file))
    with pytest.raises(DataError, match=r"clusters\.yaml") as refusal:
        resolve_profile("prod")
    assert SECRET not in str(refusal.value)


@pytest.mark.parametrize("address", [f"http://me:{SECRET}@127.0.0.1:9200", f"me:{SECRET}@127.0.0.1"])
def test_a_password_in_the_address_is_refused_and_not_repeated(address):
    with pytest.raises(UsageError) as refusal:
        resolve_profile(address)
    assert SECRET not in str(refusal.value)
    assert refusal.value.exit_code == 2


def test_an_address_without_its_password_variable_is_refused(monkeypatch):
    monkeypatch.setenv(profiles.USER_VARIABLE, "indexer")
    with pytest.raises(UsageError, match="password is missing"):
        resolve_profile("http://127.0.0.1:9200")


@pytest.mark.parametrize("value", ["ftp://x", "http://", "http://h:port", "localhost:9200", "질의"])
def test_what_is_no_address_is_wrong_use(value):
    with pytest.raises(UsageError):
        resolve_profile(value)


def test_a_missing_certificate_file_is_named(monkeypatch, tmp_path):
    monkeypatch.setenv(profiles.CA_VARIABLE, str(tmp_path / "ca.pem"))
    with pytest.raises(UsageError, match=r"no certificate file .*ca\.pem"):
        resolve_profile("https://127.0.0.1:9200")


def test_a_password_without_tls_is_remarked_upon_beyond_this_machine():
    login = {"user": "a", "password": SECRET}
    assert ClusterProfile(url="http://search.example", **login).sends_password_in_clear
    assert not ClusterProfile(url="https://search.example", **login).sends_password_in_clear
    assert not ClusterProfile(url="http://127.0.0.1:9200", **login).sends_password_in_clear


# --- secrets --------------------------------------------------------------------------------------------------------------------


def test_the_password_reaches_the_node_and_nothing_else(caplog):
    seen = []

    def refuse(method, path, headers, body):
        seen.append(headers["authorization"])
        return 401, "text/plain", "Unauthorized"

    caplog.set_level(logging.DEBUG)
    with server(refuse) as url:
        cluster = Cluster(ClusterProfile(url=url, user="indexer", password=SECRET))
        with pytest.raises(ClusterError) as refusal:
            cluster.check_identity()
    encoded = seen[0].removeprefix("Basic ")
    assert base64.b64decode(encoded).decode() == f"indexer:{SECRET}"
    chain, link = [], refusal.value
    while link is not None:
        chain.append(f"{link!r} {link}")
        link = link.__cause__ or link.__context__
    shown = " ".join([*chain, repr(cluster), repr(cluster.profile), cluster.profile.model_dump_json(), caplog.text])
    assert SECRET not in shown
    assert encoded not in shown
    assert "does not accept the password of the user indexer" in refusal.value.problem


# --- what can be wrong ----------------------------------------------------------------------------------------------------------


def test_nothing_listening():
    with pytest.raises(ClusterError, match="nothing listens there") as refusal:
        connect(f"http://127.0.0.1:{free_port()}")
    assert "sparse-ko node start" in refusal.value.remedy


def test_a_login_is_wanted():
    with server(always(401, "Unauthorized", "text/plain")) as url, pytest.raises(ClusterError, match="wants a user") as refusal:
        connect(url)
    assert profiles.USER_VARIABLE in refusal.value.remedy


def test_a_user_without_the_right():
    words = "no permissions for [cluster:monitor/main] and User [name=reader]"
    error = {"error": {"type": "security_exception", "reason": words}, "status": 403}
    with server(always(403, error)) as url, pytest.raises(ClusterError, match="may not do this") as refusal:
        connect(url)
    assert words in refusal.value.problem


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (always(200, {"version": {"number": "8.15.0"}, "tagline": "You Know, for Search"}), "calls itself Elasticsearch 8.15.0"),
        (always(200, "<html>hello</html>", "text/html"), "is not an OpenSearch cluster"),
        (always(200, {"hello": "world"}), "names no version"),
        (always(404, "<html>not here</html>", "text/html"), "HTTP 404 and no JSON"),
        (always(302, "", "text/html"), "HTTP 302 and no JSON"),
        (always(502, "Bad gateway", "text/plain"), "HTTP 502 and no JSON: Bad gateway"),
    ],
)
def test_something_that_is_not_opensearch(answer, words):
    with server(answer) as url, pytest.raises(ClusterError, match=words) as refusal:
        connect(url)
    assert url in refusal.value.problem


def test_a_cluster_without_ml_commons():
    def answer(method, path, headers, body):
        if path == "/":
            return 200, "application/json", json.dumps(BANNER)
        return 400, "application/json", json.dumps({"error": f"no handler found for uri [{path}] and method [{method}]"})

    with server(answer) as url:
        cluster = connect(url)
        with pytest.raises(ClusterError, match="has no ML Commons") as refusal:
            cluster.request("POST", "/_plugins/_ml/models/_search", {})
    assert "opensearch-ml" in refusal.value.remedy


def test_a_node_that_does_not_answer_in_time():
    release = threading.Event()

    def hang(method, path, headers, body):
        release.wait(10)
        return 200, "application/json", "{}"

    with server(hang) as url:
        with pytest.raises(ClusterError, match=r"did not answer GET / in time \(0\.2 s"):
            Cluster(ClusterProfile(url=url, timeout_seconds=0.2)).check_identity()
        release.set()


def test_the_nodes_own_words_and_their_causes_are_shown():
    error = {"error": {"type": "a", "reason": "first", "caused_by": {"type": "b", "reason": "second"}}, "status": 400}
    with server(always(400, error)) as url, pytest.raises(ClusterError, match="a: first ← b: second") as refusal:
        Cluster(ClusterProfile(url=url)).request("PUT", "/x", {})
    assert refusal.value.status == 400


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tls")
    certificate, key = folder / "ca.pem", folder / "key.pem"
    subject = ["-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1"]
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1", "-keyout", str(key), "-out", str(certificate)]
    subprocess.run([*command, *subject], check=True, capture_output=True)
    return certificate, key


def test_a_self_signed_certificate_is_refused_until_it_is_named(certificate, monkeypatch):
    with server(always(200, BANNER), certificate) as url:
        with pytest.raises(ClusterError, match="TLS connection failed") as refusal:
            connect(url)
        assert profiles.CA_VARIABLE in refusal.value.remedy
        monkeypatch.setenv(profiles.CA_VARIABLE, str(certificate[0]))
        assert connect(url).check_identity() == BANNER
        with pytest.raises(ClusterError, match="made for another host"):
            connect(url.replace("127.0.0.1", "localhost"))


def test_tls_spoken_to_a_plain_port_and_the_other_way_round(certificate):
    with server(always(200, BANNER)) as url, pytest.raises(ClusterError, match="does not speak TLS"):
        connect(url.replace("http", "https"))
    with server(always(200, BANNER), certificate) as url, pytest.raises(ClusterError) as refusal:
        connect(url.replace("https", "http"))
    assert "https://" in refusal.value.remedy


# --- the command line -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("typed", "understood"),
    [
        (["--cluster", "--index", "demo", "질의"], ["--cluster", "", "--index", "demo", "질의"]),
        (["--index", "demo", "--cluster", "질의"], ["--index", "demo", "--cluster", "", "질의"]),
        (["--index", "demo", "--cluster", "전세 보증금"], ["--index", "demo", "--cluster", "", "전세 보증금"]),
        (["질의", "--cluster"], ["질의", "--cluster", ""]),
        (["--cluster", "http://h:1", "질의"], ["--cluster", "http://h:1", "질의"]),
        (["--cluster=prod", "질의"], ["--cluster=prod", "질의"]),
        (["--cluster", "prod", "질의"], ["--cluster", "prod", "질의"]),
        (["--cluster", "", "질의"], ["--cluster", "", "질의"]),
        (["--", "--cluster"], ["--", "--cluster"]),
    ],
)
def test_cluster_may_stand_without_a_value(typed, understood):
    assert complete_cluster(typed) == understood


@pytest.mark.parametrize("arguments", [["list", "--cluster", "--json"], ["list", "--json", "--cluster"]])
def test_a_command_with_a_bare_cluster_option_is_parsed(monkeypatch, arguments):
    def respond(method, path, headers, body):
        return 200, "application/json", json.dumps(BANNER if path == "/" else {})

    with server(respond) as url:
        monkeypatch.setenv(profiles.CLUSTER_VARIABLE, url)
        result = CliRunner().invoke(app, ["deploy", *arguments])
    assert json.loads(result.stdout) == []


@pytest.mark.parametrize(("address", "exit_code"), [("http://127.0.0.1:{port}", 1), ("nonsense:", 2)])
def test_a_failure_ends_with_its_exit_code_and_no_traceback(address, exit_code):
    result = CliRunner().invoke(app, ["search", "--cluster", address.format(port=free_port()), "--index", "demo", "질의"])
    assert result.exit_code == exit_code
    assert isinstance(result.exception, SystemExit)


def test_every_error_here_is_one_for_people():
    assert issubclass(ClusterError, RetrievalError)
