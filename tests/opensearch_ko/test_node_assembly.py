"""The software is assembled from pinned files only, whole or not at all."""

import errno
import hashlib
import io
import os
import shutil
import subprocess
import sys
import zipfile

import pytest

from opensearch_ko.node import NodeError, NodeSettings
from opensearch_ko.node.artifacts import Artifact, PinnedArtifact, PinnedList, platform_classifier
from opensearch_ko.node.assembly import assemble, ensure_assembled, is_complete


def zipped(files):
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return packed.getvalue()


HERE = platform_classifier()
CONTENT = {
    ("lib", "org.example:core:1.0"): b"a jar",
    ("modules/transport-netty4", "org.example:netty:1.0"): b"another jar",
    ("plugins/search", "org.example:search:1.0:zip"): zipped({"plugin-descriptor.properties": "name=search", "search.jar": "x"}),
    ("torch", f"org.example:torch:1.0:jar:{HERE}"): zipped({f"pytorch/cpu/{HERE}/libtorch.so": "native", "README": "not a library"}),
}
PINS = {
    PinnedArtifact(hashlib.sha256(content).hexdigest(), destination, Artifact.parse(coordinates)): content
    for (destination, coordinates), content in CONTENT.items()
}
PINNED = PinnedList("1.0", tuple(PINS))


def silent(*_):
    return None


class Repository:
    """Stands for Maven; remembers what it was asked for and can be made to serve something else or to break off."""

    def __init__(self, replaced=None, breaks_off_after=None):
        self.replaced = replaced or {}
        self.breaks_off_after = breaks_off_after
        self.asked = []

    def __call__(self, pins, into, progress):
        for pin in pins:
            if len(self.asked) == self.breaks_off_after:
                (into / pin.download_name).write_bytes(PINS[pin][:3])
                raise KeyboardInterrupt
            self.asked.append(pin.artifact.name)
            (into / pin.download_name).write_bytes(self.replaced.get(pin.artifact.name, PINS[pin]))


def test_each_file_goes_where_the_list_says_and_the_second_time_nothing_is_fetched(tmp_path):
    repository = Repository()
    folder = assemble(PINNED, tmp_path / "node", silent, repository)
    assert (folder / "lib/core-1.0.jar").read_bytes() == b"a jar"
    assert (folder / "plugins/search/search.jar").read_text() == "x"
    assert [path.name for path in (folder / "torch").iterdir()] == ["libtorch.so"]
    assert "SocketPermission" in (folder / "modules/transport-netty4/plugin-security.policy").read_text()
    assemble(PINNED, tmp_path / "node", silent, repository)
    assert len(repository.asked) == len(PINNED.artifacts)
    assert [path.name for path in tmp_path.iterdir() if not path.name.startswith(".")] == ["node"]


def test_a_file_that_differs_is_refused_by_name_and_nothing_is_assembled(tmp_path):
    with pytest.raises(NodeError, match=r"org\.example:netty:1\.0 is refused") as refusal:
        assemble(PINNED, tmp_path / "node", silent, Repository(replaced={"netty": b"something else"}))
    assert hashlib.sha256(b"something else").hexdigest() in refusal.value.problem
    assert "rm ~/.m2/repository/org/example/netty/1.0/netty-1.0.jar" in refusal.value.remedy
    assert not (tmp_path / "node").exists()
    repository = Repository()
    assert is_complete(PINNED, assemble(PINNED, tmp_path / "node", silent, repository))
    assert repository.asked == ["netty"]


def test_an_interrupted_assembly_is_completed_without_fetching_again_what_had_arrived(tmp_path):
    with pytest.raises(KeyboardInterrupt):
        assemble(PINNED, tmp_path / "node", silent, Repository(breaks_off_after=2))
    assert not (tmp_path / "node").exists()
    (tmp_path / ".node.0badcafe.unfinished").mkdir()  # what `kill -9` leaves while unpacking
    repository = Repository()
    assert is_complete(PINNED, assemble(PINNED, tmp_path / "node", silent, repository))
    assert repository.asked == ["search", "torch"]
    assert not list(tmp_path.glob("*.unfinished"))


@pytest.mark.parametrize("damage", [lambda file: file.unlink(), lambda file: file.write_bytes(b"a")], ids=["lost", "cut short"])
def test_an_assembly_that_lost_a_file_is_not_used(tmp_path, damage):
    folder = assemble(PINNED, tmp_path / "node", silent, Repository())
    damage(folder / "lib/core-1.0.jar")
    assert not is_complete(PINNED, folder)
    assemble(PINNED, folder, silent, Repository())
    assert (folder / "lib/core-1.0.jar").read_bytes() == b"a jar"


def test_an_assembly_of_another_list_is_not_used(tmp_path):
    folder = assemble(PINNED, tmp_path / "node", silent, Repository())
    assert not is_complete(PinnedList("1.0", PINNED.artifacts[:-1]), folder)


def test_a_full_disk_is_said_and_leaves_nothing_half_made(tmp_path, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patched:
        patched.setattr(shutil, "copyfile", full)
        with pytest.raises(NodeError, match="the disk is full") as failure:
            assemble(PINNED, tmp_path / "node", silent, Repository())
    assert "df -h" in failure.value.remedy
    assert not (tmp_path / "node").exists()
    repository = Repository()
    assert is_complete(PINNED, assemble(PINNED, tmp_path / "node", silent, repository))
    assert repository.asked == []


def test_too_little_space_is_said_before_anything_is_fetched(tmp_path, monkeypatch):
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=1_000_000))
    repository = Repository()
    with pytest.raises(NodeError, match=r"0\.0 GB are free"):
        assemble(PINNED, tmp_path / "node", silent, repository)
    assert repository.asked == []


def test_two_assemblies_at_once_wait_for_each_other(tmp_path):
    holder = (
        "import sys, pathlib; from opensearch_ko.node.assembly import lock\n"
        "with lock(pathlib.Path(sys.argv[1]), 'nobody'):\n print('held', flush=True); sys.stdin.read()"
    )
    other = subprocess.Popen(
        [sys.executable, "-c", holder, tmp_path / ".node.lock"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert other.stdout.readline() == "held\n"
    mine = "import sys, pathlib; from opensearch_ko.node.assembly import lock\nwith lock(pathlib.Path(sys.argv[1]), 'x'): pass"
    waiting = subprocess.Popen([sys.executable, "-c", mine, tmp_path / ".node.lock"])
    with pytest.raises(subprocess.TimeoutExpired):
        waiting.wait(timeout=1)
    other.kill()  # the system lets go of a dead holder's lock
    assert waiting.wait(timeout=30) == 0
    other.communicate()


def test_an_unknown_version_names_the_pinned_ones():
    with pytest.raises(NodeError, match=r"OpenSearch 9\.9\.9 is not pinned here; there is: 3\.6\.0"):
        ensure_assembled("9.9.9", silent)


def test_a_damaged_list_names_its_line(tmp_path):
    (tmp_path / "list.txt").write_text("# a comment\nabc lib\n")
    with pytest.raises(NodeError, match=r"list\.txt, line 2"):
        PinnedList.read(tmp_path / "list.txt", "1.0")


def test_the_shipped_list_pins_every_file_by_sha256_and_has_torch_for_known_platforms_only():
    pinned = PinnedList.of_version(NodeSettings().version)
    assert all(len(pin.sha256) == 64 and int(pin.sha256, 16) >= 0 for pin in pinned.artifacts)
    assert all(Artifact.parse(pin.artifact.coordinates) == pin.artifact for pin in pinned.artifacts)
    assert pinned.for_platform("linux-x86_64").has_torch()
    assert not pinned.for_platform("linux-aarch64").has_torch()
