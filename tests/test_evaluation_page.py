"""`make report` measures what it is told, and its page says how."""

import importlib.util
import json
import subprocess
import sys
from pathlib import Path

import pytest

from retrieval_ko.collection import Collection
from retrieval_ko.records import Passage, Query

SCRIPT = Path(__file__).resolve().parent.parent / "scripts" / "report.py"


@pytest.fixture(scope="module")
def script():
    spec = importlib.util.spec_from_file_location("report_script", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_a_model_is_evaluated_everywhere_or_on_the_collection_it_names(script):
    models = ["runs/a/model", "legal-cite=runs/b/model"]
    assert script.models_of("legal-cite", models) == ["runs/a/model", "runs/b/model"]
    assert script.models_of("wiki-ko", models) == ["runs/a/model"]


def test_the_page_holds_table_command_commit_and_hashes(tmp_path):
    passages = {f"p{number}": Passage(id=f"p{number}", text=f"보증금 {number}") for number in range(3)}
    queries = {"q": Query(id="q", text="보증금 2")}
    Collection("small", passages, queries, {"dev": {"q": {"p2": 1}}}).write(tmp_path / "small")
    page, work = tmp_path / "page.md", tmp_path / "work"
    options = ["--collection", tmp_path / "small", "--work", work, "--page", page]
    environment = {"SPARSE_KO_CACHE": str(tmp_path / "cache"), "PATH": "/usr/bin:/bin"}
    done = subprocess.run([sys.executable, SCRIPT, *map(str, options)], env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    text = page.read_text(encoding="utf-8")
    measured = json.loads((work / "small-dev" / "evaluation.json").read_text(encoding="utf-8"))
    assert [row["system"] for row in measured["systems"] if f"| {row['system']} |" not in text] == []
    assert "sparse-ko evaluate --collection small --split dev" in text
    assert str(tmp_path) not in text
    assert measured["data"]["corpus"][:16] in text
    assert f"Commit `{measured['conditions']['git_commit']}`" in text
    failing = subprocess.run(
        [sys.executable, SCRIPT, "--collection", str(tmp_path / "none"), "--page", str(page), "--work", str(work)],
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert failing.returncode == 1
    assert "There is no collection folder" in failing.stderr
    assert page.read_text(encoding="utf-8") == text
