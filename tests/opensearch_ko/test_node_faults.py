"""Each thing that can go wrong with a node has one clear message, and `stop` never ends a stranger."""

import errno
import hashlib
import json
import os
import socket
import subprocess
import sys
import time

import psutil
import pytest
from typer.testing import CliRunner

from opensearch_ko.node import EmbeddedNode, NodeError, NodeSettings, artifacts, find_running_node
from opensearch_ko.node.artifacts import PinnedList
from opensearch_ko.node.assembly import assemble
from opensearch_ko.node.machine import free_port_range, free_ports
from opensearch_ko.node.places import assembly_folder
from opensearch_ko.node.record import NodeProcess, Record, record_file
from sparse_ko_cli.node import app

DYING_JAVA = """#!/bin/sh
case "$1" in --list-modules) for module in java.base jdk.localedata jdk.incubator.vector; do echo $module@21.0.1; done; exit;; esac
echo "[INFO ] all is well"
echo "[ERROR][o.o.b.Bootstrap] {last_words}"
echo "        at java.base/java.lang.Thread.run(Thread.java:1)"
exit 1
"""


@pytest.fixture
def dying_java(open_folder, monkeypatch):
    """A JDK whose programs die with an error in the log, and a tiny assembly for it to run."""
    jar = b"agent"
    pins = open_folder / "artifacts.txt"
    pins.write_text(f"{hashlib.sha256(jar).hexdigest()}  agent  org.opensearch:opensearch-agent:3.6.0\n")
    monkeypatch.setattr(artifacts, "list_file", lambda version: pins)
    monkeypatch.setenv("SPARSE_KO_CACHE", str(open_folder / "cache"))
    pinned = PinnedList.of_version("3.6.0")
    assemble(pinned, assembly_folder("3.6.0"), lambda *_: None, lambda pins, into, _: (into / pins[0].download_name).write_bytes(jar))
    program = open_folder / "jdk/bin/java"
    program.parent.mkdir(parents=True)

    def says(last_words):
        program.write_text(DYING_JAVA.replace("{last_words}", last_words))
        program.chmod(0o755)

    says("something broke")
    monkeypatch.setenv("JAVA_HOME", str(open_folder / "jdk"))
    return says


@pytest.fixture
def settings(open_folder):
    return NodeSettings(port=0, home=open_folder / "home", heap="256m")


@pytest.mark.parametrize(
    ("last_words", "remedy"),
    [
        ("something broke", "sparse-ko node logs"),
        ("java.net.BindException: Address already in use", "--port 0"),
        ("java.io.IOException: No space left on device", "df -h"),
    ],
)
def test_a_node_that_dies_at_the_start_shows_its_last_error_and_what_mends_it(dying_java, settings, last_words, remedy):
    dying_java(last_words)
    with pytest.raises(NodeError, match=last_words) as failure:
        EmbeddedNode(settings).start()
    assert "all is well" not in failure.value.problem
    assert "java.base" not in failure.value.problem
    assert remedy in failure.value.remedy
    assert not EmbeddedNode(settings).status().running


@pytest.mark.usefixtures("dying_java")
def test_a_taken_port_names_its_holder(settings):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(NodeError, match=rf"Port {port} on 127\.0\.0\.1 is taken.*pid {os.getpid()}") as failure:
            EmbeddedNode(settings.model_copy(update={"port": port})).start()
    assert "--port 0" in failure.value.remedy


@pytest.mark.usefixtures("dying_java")
def test_too_little_memory_is_said_with_a_heap_that_fits(settings, monkeypatch):
    with pytest.raises(NodeError, match=r"9 node\(s\) with a heap of 900\.0 GiB"):
        EmbeddedNode(settings.model_copy(update={"nodes": 9, "heap": "900g"})).start()
    memory = psutil.virtual_memory()
    monkeypatch.setattr(psutil, "virtual_memory", lambda: memory._replace(available=1000 * 2**20))
    with pytest.raises(NodeError, match=r"1\.0 GiB are free") as failure:
        EmbeddedNode(settings.model_copy(update={"heap": "1g"})).start()
    assert "--heap 488m" in failure.value.remedy  # 1000 MiB less the 512 that a JVM takes besides


@pytest.mark.usefixtures("dying_java")
def test_a_home_that_holds_something_else_is_refused(settings):
    settings.home.mkdir()
    (settings.home / "thesis.txt").write_text("precious")
    with pytest.raises(NodeError, match=r"holds other files \(thesis\.txt\)"):
        EmbeddedNode(settings.model_copy(update={"fresh": True})).start()
    assert (settings.home / "thesis.txt").read_text() == "precious"


@pytest.mark.usefixtures("dying_java")
def test_data_of_a_larger_cluster_is_not_started_as_a_smaller_one(settings):
    with pytest.raises(NodeError, match="died"):
        EmbeddedNode(settings.model_copy(update={"nodes": 2})).start()
    with pytest.raises(NodeError, match="data of a cluster of 2") as failure:
        EmbeddedNode(settings).start()
    assert "--fresh" in failure.value.remedy


@pytest.mark.parametrize("fresh", [True, False])
def test_fresh_empties_the_data_and_nothing_else_does(dying_java, settings, fresh):
    with pytest.raises(NodeError, match="died"):
        EmbeddedNode(settings).start()
    kept = settings.home / "nodes/n1/data/segment"
    kept.write_text("documents")
    with pytest.raises(NodeError, match="died"):
        EmbeddedNode(settings.model_copy(update={"fresh": fresh})).start()
    assert kept.exists() is not fresh


@pytest.mark.usefixtures("dying_java")
def test_a_full_disk_is_said_before_a_process_is_started(settings, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(NodeError, match="the disk is full") as failure:
        EmbeddedNode(settings).start()
    assert "--home DIR" in failure.value.remedy


@pytest.mark.usefixtures("dying_java")
def test_only_the_dead_node_of_a_cluster_is_started_again_and_the_living_ones_are_spared_when_that_fails(settings):
    with stand_in("lives") as living:
        alive, dead = (NodeProcess(name=f"n{number}", http_port=port, transport_port=port) for number, port in enumerate(free_ports(2), 1))
        alive.token = "lives"
        alive.adopt(psutil.Process(living.pid))
        settings.home.mkdir()
        Record(version="3.6.0", heap="256m", nodes=[alive, dead]).save(settings.home)
        wait_until(lambda: EmbeddedNode(settings).status().pids == [living.pid])
        with pytest.raises(NodeError, match="Node n2 died"):
            EmbeddedNode(settings).start()
        assert not (settings.home / "nodes/n1").exists()
        assert living.poll() is None
        living.kill()


def a_record_of(process, home, **changes):
    node = NodeProcess(name="n1", http_port=free_port_range(1)[0], transport_port=1, **changes)
    if process:
        node.adopt(psutil.Process(process.pid))
    home.mkdir(exist_ok=True)
    Record(version="3.6.0", heap="1g", nodes=[node]).save(home)
    return node


def test_stop_spares_a_process_that_has_the_pid_of_a_dead_node(settings):
    with subprocess.Popen(["sleep", "600"]) as innocent:
        a_record_of(innocent, settings.home)
        node = EmbeddedNode(settings)
        assert not node.status().running
        assert node.stop() is False
        assert find_running_node(settings.home) is None
        assert innocent.poll() is None
        innocent.kill()


def wait_until(condition):
    """A fresh process has the command line of its parent until it has become itself."""
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def stand_in(token):
    """A process that carries a node's mark on its command line."""
    return subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)", f"-Dsparse_ko.node={token}"])


def test_stop_spares_a_process_that_started_at_another_time(settings):
    with stand_in("abc") as process:
        node = a_record_of(process, settings.home, token="abc")
        node.process_started -= 3600
        Record(version="3.6.0", heap="1g", nodes=[node]).save(settings.home)
        assert EmbeddedNode(settings).stop() is False
        assert process.poll() is None
        process.kill()


def test_a_node_whose_starter_died_before_it_wrote_the_pid_is_found_and_stopped(settings):
    with stand_in("found-by-its-mark") as process, stand_in("another-home") as other:
        a_record_of(None, settings.home, token="found-by-its-mark")
        wait_until(lambda: EmbeddedNode(settings).status().pids == [process.pid])
        assert EmbeddedNode(settings).stop() is True
        assert process.wait(timeout=10) is not None
        assert other.poll() is None
        other.kill()


def test_a_damaged_record_is_named(settings):
    settings.home.mkdir()
    record_file(settings.home).write_text("{")
    with pytest.raises(NodeError, match=r"node\.json is not readable"):
        EmbeddedNode(settings).status()


def test_wrong_options_end_with_code_2_and_name_the_option():
    result = CliRunner().invoke(app, ["start", "--heap", "lots"])
    assert result.exit_code == 2
    assert "--heap: write the heap as megabytes or gigabytes" in result.stderr


def test_status_and_stop_of_a_home_that_never_had_a_node(open_folder):
    home = str(open_folder / "none")
    status = CliRunner().invoke(app, ["status", "--home", home, "--json"])
    assert (status.exit_code, json.loads(status.stdout)["running"]) == (0, False)
    assert "No node of" in CliRunner().invoke(app, ["stop", "--home", home]).stdout
    assert not (open_folder / "none").exists()
