"""ARCHITECTURE.md's arrows, held against the imports."""

import ast
import re
import subprocess
import sys
from itertools import chain
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
ORDER = ["retrieval_ko", "training_ko", "sparse_ko", "dense_ko", "opensearch_ko", "sparse_ko_cli"]
ALLOWED = {
    "retrieval_ko": set(),
    "training_ko": {"retrieval_ko"},
    "sparse_ko": {"retrieval_ko", "training_ko"},
    "dense_ko": {"retrieval_ko", "training_ko"},
    "opensearch_ko": {"retrieval_ko", "training_ko", "sparse_ko", "dense_ko"},
    "sparse_ko_cli": {"retrieval_ko", "training_ko", "sparse_ko", "dense_ko", "opensearch_ko"},
}
SOURCES = [source for package in ORDER for source in sorted((ROOT / package).rglob("*.py"))]


def imported_modules(source):
    for node in ast.walk(ast.parse(source.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from ((alias.name, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield from ((node.module, alias.name) for alias in node.names)


@pytest.mark.parametrize("source", SOURCES, ids=lambda source: str(source.relative_to(ROOT)))
def test_imports_point_upwards_and_at_nothing_private(source):
    package = source.relative_to(ROOT).parts[0]
    for module, name in imported_modules(source):
        target = module.split(".")[0]
        if target not in ORDER or target == package:
            continue
        assert target in ALLOWED[package], f"{package} must not import {module}"
        assert not name.startswith("_"), f"{module}.{name} is private to {target}"


@pytest.mark.parametrize(
    "module", ["retrieval_ko.bm25", "opensearch_ko.deployment", "opensearch_ko.queries", "opensearch_ko.ingest", "sparse_ko_cli.sparse"]
)
def test_a_machine_that_only_talks_to_a_cluster_loads_no_torch(module):
    code = (
        f"import sys, {module}; sys.exit(sorted({{'torch', 'transformers', 'sentence_transformers', 'datasets'}} & set(sys.modules)) or 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr


def test_every_library_that_is_imported_is_declared():
    import tomllib

    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = [names for extra, names in project["optional-dependencies"].items() if extra != "test"]
    declared = {
        re.split(r"[<>=\[]", requirement)[0].strip().lower().replace("_", "-")
        for requirement in [*project["dependencies"], *chain.from_iterable(extras)]
    }
    names = {
        "yaml": "pyyaml",
        "opensearchpy": "opensearch-py",
        "sentence_transformers": "sentence-transformers",
        "huggingface_hub": "huggingface-hub",
        "ir_measures": "ir-measures",
    }
    for source in SOURCES:
        for module, _ in imported_modules(source):
            top = module.split(".")[0]
            if top not in ORDER and top not in sys.stdlib_module_names:
                assert names.get(top, top) in declared, f"{source.relative_to(ROOT)} imports {top}, which pyproject.toml does not name"


def test_what_a_package_remarks_is_heard_on_the_terminal():
    code = "import logging, sys\nfrom retrieval_ko.terminal import log_to_terminal\nlog_to_terminal()\n"
    code += "sys.exit([name for name in sys.argv[1:] if not logging.getLogger(name).handlers] or 0)"
    done = subprocess.run(
        [sys.executable, "-c", code, *ORDER[:-1]], capture_output=True, text=True, timeout=60
    )  # the commands print themselves
    assert done.returncode == 0, done.stderr
