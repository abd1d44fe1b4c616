"""What README.md and the pages under docs/ tell a reader to type."""

import re
import shlex
from pathlib import Path

import pytest
import typer

from sparse_ko_cli import lexdpr, sparse

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
PROGRAMS = {"sparse-ko": sparse.app, "lex-dpr": lexdpr.app}


def commands_in(document):
    """Commands as they stand in indented lines, remarks and redirections behind them left out, lines that end in a backslash joined."""
    lines = re.sub(r"\\\n\s*", "", document.read_text(encoding="utf-8")).splitlines()
    found = [re.split(r"  #| > ", line)[0].strip().removeprefix("$ ") for line in lines if re.match(r"\s+(\$ )?(sparse-ko|lex-dpr) ", line)]
    return [(document.name, command) for command in found if "…" not in command]


COMMANDS = [pair for document in (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))) for pair in commands_in(document)]


@pytest.mark.parametrize(("document", "command"), COMMANDS)
def test_every_command_of_the_documents_parses(document, command):
    words = shlex.split(command)
    group = root = typer.main.get_command(PROGRAMS[words.pop(0)])
    context = typer.Context(group)
    while hasattr(group, "commands") and words and words[0] in group.commands:
        group = group.get_command(context, words.pop(0))
    assert group is not root, command
    group.make_context(command, words)  # a group whose first command may go unnamed parses the rest itself


def test_the_readme_shows_commands():
    assert {command.split()[0] for document, command in COMMANDS if document == "README.md"} == set(PROGRAMS)
    assert len(COMMANDS) >= 30


@pytest.mark.parametrize("target", ["demo", "test", "setup", "lint", "bench"])
def test_every_make_target_is_there(target):
    assert re.search(rf"^{target}:", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)


def test_the_python_example_runs(tmp_path, monkeypatch, capsys):
    from retrieval_ko.collection import Collection, sample_folder
    from sparse_ko.building import build_encoder
    from sparse_ko.settings import TrainSettings

    settings = TrainSettings.model_validate({"name": "readme", "model": {"dimensions": 64, "neighbour_pull": 0}})
    build_encoder(settings, Collection.read(sample_folder())).save(tmp_path / "runs" / "first" / "model")
    monkeypatch.chdir(tmp_path)
    [code] = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    exec(compile(code, "README.md", "exec"), {})
    printed = capsys.readouterr().out
    assert "보증금" in printed
    assert "TokenMatch" in printed


def test_every_link_of_the_documents_leads_somewhere():
    for document in [*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")]:
        for target in re.findall(r"\]\((?!http)([^)#]+)", document.read_text(encoding="utf-8")):
            assert (document.parent / target).exists(), f"{document.name} links to {target}"
