"""What a node needs is found where it lies, and named when it is missing."""

import pytest

from opensearch_ko.node import NodeError, explain_missing_requirements
from opensearch_ko.node import java as java_search
from opensearch_ko.node.java import find_jdk
from opensearch_ko.node.maven import require_maven

WHOLE = ("java.base", "jdk.localedata", "jdk.incubator.vector")


def fake_java(home, version, modules=WHOLE):
    """A program that answers `--list-modules` as a JVM does."""
    program = home / "bin" / "java"
    program.parent.mkdir(parents=True)
    program.write_text("#!/bin/sh\n" + "".join(f"echo {module}@{version}.0.1\n" for module in modules))
    program.chmod(0o755)
    return home


@pytest.fixture
def nothing_installed(tmp_path, monkeypatch):
    monkeypatch.delenv("JAVA_HOME", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path / "empty"))
    monkeypatch.setenv("SPARSE_KO_CACHE", str(tmp_path / "cache"))


@pytest.mark.usefixtures("nothing_installed")
def test_no_java_is_said_with_the_command_that_installs_one():
    with pytest.raises(NodeError, match=r"A full JDK, version 21 or newer, is missing\. No Java was found") as failure:
        find_jdk(folders=())
    assert "apt-get install openjdk-21-jdk" in failure.value.remedy


@pytest.mark.usefixtures("nothing_installed")
def test_no_maven_is_said_with_the_command_that_installs_it():
    with pytest.raises(NodeError, match="Maven is missing") as failure:
        require_maven()
    assert "apt-get install maven" in failure.value.remedy


@pytest.mark.usefixtures("nothing_installed")
def test_what_is_missing_is_one_line_for_the_summary_of_a_test_run(open_folder, monkeypatch):
    monkeypatch.setattr(java_search.find_jdk, "__defaults__", ((),))
    assert "JDK" in explain_missing_requirements()
    monkeypatch.setenv("JAVA_HOME", str(fake_java(open_folder / "jdk", 21)))
    assert "Maven" in explain_missing_requirements()
    assert "\n" not in explain_missing_requirements()


@pytest.mark.usefixtures("nothing_installed")
def test_an_old_java_and_a_bare_jre_are_passed_over_and_named(open_folder, monkeypatch):
    monkeypatch.setenv("JAVA_HOME", str(fake_java(open_folder / "old", 17)))
    fake_java(open_folder / "jvm/jre", 25, modules=("java.base", "jdk.incubator.vector"))
    with pytest.raises(NodeError, match=r"old is Java 17; .*jre lacks jdk\.localedata"):
        find_jdk(folders=(f"{open_folder}/jvm/*",))


@pytest.mark.usefixtures("nothing_installed")
def test_java_home_comes_first_then_the_path_then_the_newest(open_folder, monkeypatch):
    jvms = (f"{open_folder}/jvm/*",)
    fake_java(open_folder / "jvm/a", 25)
    fake_java(open_folder / "jvm/b", 21)
    assert find_jdk(jvms).version == 25
    monkeypatch.setenv("PATH", str(fake_java(open_folder / "on-path", 22) / "bin"))
    # `sh` is gone from this PATH, the interpreter line of the script is absolute
    assert find_jdk(jvms).version == 22
    monkeypatch.setenv("JAVA_HOME", str(fake_java(open_folder / "chosen", 23)))
    assert find_jdk(jvms).version == 23
