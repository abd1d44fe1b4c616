"""`make report` measures what it is told, and its page says how."""

import argparse
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


def test_a_model_is_evaluated_everywhere_or_in_the_section_it_names(script):
    models = ["runs/a/model", "legal-cite=runs/b/model", "legal-cite@case-dev=runs/c/model"]
    options = argparse.Namespace(split="dev")

    def models_of(collection, split):
        return script.Asked(Path("data") / collection, split, options).named_here(models)

    assert models_of("legal-cite", "dev") == ["runs/a/model", "runs/b/model"]
    assert models_of("legal-cite", "case-dev") == ["runs/a/model", "runs/c/model"]
    assert models_of("wiki-ko", "dev") == ["runs/a/model"]


def test_a_loss_says_which_terms_decided(script):
    def side(role, title, *terms):
        return {"role": role, "id": role, "title": title, "score": sum(a * b for _, a, b in terms), "terms": [list(term) for term in terms]}

    relevant = side("relevant", "퇴직금", ("고용", 5.0, 0.5), ("지급", 3.0, 1.0))
    rival = side("rival", "보수", ("고용", 5.0, 1.5), ("보수", 4.0, 1.0), ("지급", 3.0, 0.5))
    case = {
        "query": "고용 보수 지급",
        "query_id": "q",
        "ndcg@10": {"sparse-a": 0.0, "bm25-kiwi": 1.0},
        "top": {},
        "terms": [relevant, rival],
    }
    text = script._losses("sparse-a", {"against": "bm25-kiwi", "losses": [case], "wins": []})
    assert "| 고용 보수 지급 | 퇴직금 | 보수 | 0.00 / 1.00 | `고용` +5.0, `보수` +4.0 (not in the answer) |" in text


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
    assert "(page/small-dev.png)" in text
    assert (tmp_path / "page" / "small-dev.png").read_bytes()[:4] == b"\x89PNG"
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
