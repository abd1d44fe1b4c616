"""`scripts/embedding_recall.py`: the vectors of a run in a kNN index, compared with the exact search."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from dense_ko.embedding import write_embeddings
from opensearch_ko.cluster import connect

ROOT = Path(__file__).resolve().parent.parent.parent
PASSAGES, QUERIES, DIMENSIONS = 400, 30, 16


def save(path, count, dimensions=DIMENSIONS, length=1.0):
    vectors = np.random.default_rng(count).normal(size=(count, dimensions)).astype(np.float32)
    vectors *= length / np.linalg.norm(vectors, axis=1, keepdims=True)
    ids = [f"LAW_{place}_제1조" for place in range(count)]
    write_embeddings([path], lambda: [(ids, vectors)], count=count, longest_id=max(map(len, ids)), dimensions=dimensions)
    return path


def call(*arguments):
    return subprocess.run(
        [sys.executable, ROOT / "scripts" / "embedding_recall.py", *map(str, arguments)],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=300,
    )


@pytest.mark.node
def test_a_small_graph_finds_nearly_all_and_leaves_nothing_behind(tmp_path, node_url):
    passages, queries = save(tmp_path / "passages.npz", PASSAGES), save(tmp_path / "queries.npz", QUERIES)
    done = call("--passages", passages, "--queries", queries, "--cluster", node_url, "--ef-search", 200)
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert (report["passages"], report["queries"], report["hnsw"]["engine"]) == (PASSAGES, QUERIES, "lucene")
    by_k, wider = report["hnsw"]["searches"]
    assert wider["recall@10"] >= by_k["recall@10"] > 0.8
    assert by_k["recall@100"] > 0.95
    assert report["exact"]["p50_ms"] > 0
    assert not [row for row in connect(node_url).request("GET", "/_cat/indices", params={"format": "json"}) if "recall" in row["index"]]


@pytest.mark.parametrize(
    ("queries", "complaint"),
    [({"dimensions": 8}, "Passages have 16 dimensions, queries 8"), ({"length": 2.0}, "A query vector has the length 2.000, not 1")],
)
def test_vectors_that_cannot_be_compared_are_refused(tmp_path, queries, complaint):
    done = call("--passages", save(tmp_path / "passages.npz", 20), "--queries", save(tmp_path / "queries.npz", 5, **queries))
    assert done.returncode == 1
    assert complaint in done.stderr
