"""What `sparse-ko node` promises about the life of a real node."""

import json
import signal
import subprocess
import sys
import time
import urllib.request

import psutil
import pytest
from typer.testing import CliRunner

from opensearch_ko.node import EmbeddedNode, NodeError, NodeSettings, find_running_node
from sparse_ko_cli.node import app

pytestmark = pytest.mark.node

PATIENCE_SECONDS = 120


def ask(url, path, body=None, method="GET"):
    data = None if body is None else json.dumps(body, ensure_ascii=False).encode()
    request = urllib.request.Request(url + path, data=data, method=method, headers={"Content-Type": "application/json"})
    with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=60) as response:
        return json.load(response)


def wait_for(condition):
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not (value := condition()):
        assert time.monotonic() < deadline, "gave up waiting"
        time.sleep(0.1)
    return value


def run_node(*arguments):
    result = CliRunner().invoke(app, list(map(str, arguments)))
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def test_a_killed_starter_leaves_a_node_that_is_found_and_kept_and_its_data_survives_a_restart(open_folder):
    home = open_folder / "home"
    node = EmbeddedNode(NodeSettings(home=home))
    command = "from sparse_ko_cli.node import app; app()"
    starter = subprocess.Popen([sys.executable, "-c", command, "start", "--port", "0", "--home", home], stderr=subprocess.DEVNULL)
    try:
        pids = wait_for(lambda: node.status().pids)
        starter.send_signal(signal.SIGKILL)
        starter.wait()

        status = run_node("start", "--home", home, "--json")  # finds the orphan, waits for it, starts no second one
        assert status["pids"] == pids
        assert status["running"]
        url = find_running_node(home)
        assert url == status["url"]
        ask(url, "/memory/_doc/1?refresh=true", {"text": "한국어 검색"}, method="PUT")

        with pytest.raises(NodeError, match="is running"):
            EmbeddedNode(NodeSettings(home=home, fresh=True)).start()
        assert run_node("stop", "--home", home, "--json")["stopped"]
        assert not psutil.pid_exists(pids[0])
        assert find_running_node(home) is None
        assert not run_node("stop", "--home", home, "--json")["stopped"]

        url = run_node("start", "--home", home, "--port", 0, "--json")["url"]
        assert ask(url, "/memory/_count")["count"] == 1
    finally:
        node.stop()


def test_three_nodes_become_one_green_cluster(open_folder):
    node = EmbeddedNode(NodeSettings(nodes=3, port=0, heap="512m", home=open_folder / "home"))
    try:
        status = node.start()
        assert len(set(status.pids)) == 3
        first_port = int(status.url.rpartition(":")[2])
        for port in range(first_port, first_port + 3):
            health = ask(f"http://127.0.0.1:{port}", "/_cluster/health?wait_for_status=green&timeout=60s")
            assert (health["status"], health["number_of_nodes"]) == ("green", 3)
    finally:
        node.stop()
    assert not any(psutil.pid_exists(pid) for pid in status.pids)


def test_the_node_listens_on_loopback_only(embedded_node):
    process = psutil.Process(embedded_node.status().pids[0])
    listening = [each.laddr.ip for each in process.net_connections(kind="tcp") if each.status == psutil.CONN_LISTEN]
    assert listening
    assert all(address in ("127.0.0.1", "::ffff:127.0.0.1") for address in listening)


def test_logs_are_shown(embedded_node):
    result = CliRunner().invoke(app, ["logs", "--home", str(embedded_node.home), "--lines", "500"])
    assert "started" in result.stdout
