"""Measure the figures that README.md and docs/demo-results.md show, and write them there: `make bench`.

Everything is measured in one run on this machine: BM25, encoders before and after training (three seeds), both forms, and, where a
JDK and Maven are, the two modes inside OpenSearch. Settings were chosen on dev; every figure is of test.
"""

from __future__ import annotations

import argparse
import os
import platform
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from retrieval_ko.collection import Collection, sample_folder
from retrieval_ko.evaluation.comparison import SystemResult, bm25_baselines
from retrieval_ko.evaluation.significance import paired_p_value
from retrieval_ko.files import folder_sha256, read_json, write_json, write_text
from retrieval_ko.terminal import log_to_terminal
from sparse_ko.building import build_encoder
from sparse_ko.evaluation import evaluate_encoder
from sparse_ko.model import SparseEncoder
from sparse_ko.settings import TrainSettings, read_settings
from sparse_ko.training import train
from sparse_ko_cli.train import find_config

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "docs" / "demo-results.json"
SPLIT = "test"
SEEDS = (13, 14, 15)
KINDS = ("everyday", "english", "plain")
MARKS = ("<!-- figures: make bench -->\n", "<!-- end of figures -->")


def main() -> None:
    """Measure, print, and write the documents."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--no-node", action="store_true", help="leave out what runs inside OpenSearch")
    arguments.add_argument("--node-only", type=Path, metavar="MODEL", help="measure only inside OpenSearch, with the demo's model folder")
    options = arguments.parse_args()
    log_to_terminal()
    collection = Collection.read(sample_folder())
    if options.node_only:
        known = read_json(RESULTS)
        _write(known["quality"], known["conditions"], _on_node(options.node_only, collection))
        return
    with tempfile.TemporaryDirectory(prefix="sparse-ko-bench-") as folder:
        rows = bm25_baselines(collection, SPLIT)
        rows += _untrained(collection)
        trained, model = _trained(collection, Path(folder), "demo", SEEDS)
        transformer, _ = _trained(collection, Path(folder), "demo-transformer", SEEDS[:1])
        node = {} if options.no_node else _on_node(model, collection)
    _write(_quality_table(rows, trained, transformer, collection).splitlines(), _conditions(), node)


def _write(table: list[str], conditions: str, node: dict[str, Any]) -> None:
    node_table = _node_table(node)
    if node:
        node_table += f"\n\nOpenSearch {node['conditions']['opensearch']}, {_conditions()}"
    short = "\n".join([*table[:2], *(line for line in table[2:] if _belongs_in_readme(line))])
    write_text(ROOT / "docs" / "demo-results.md", _document("\n".join(table), node_table, conditions))
    _into_readme(f"{short}\n\n`make bench`, {conditions}\n\n{node_table}\n")
    write_json(RESULTS, {"conditions": conditions, "quality": table, "node": node})
    sys.stdout.write("\n".join([*table, conditions, "", node_table, ""]))


def _untrained(collection: Collection) -> list[SystemResult]:
    settings = read_settings(find_config("demo"))
    variants = {
        "before training, lexical only": {"synonym_pull": 0.0, "neighbour_pull": 0.0},
        "before training, + Kiwi's neighbours": {"synonym_pull": 0.0},
        "before training, + synonym pairs": {"neighbour_pull": 0.0},
        "before training, + both": {},
    }
    return [
        evaluate_encoder(
            build_encoder(settings.model_copy(update={"model": settings.model.model_copy(update=changes)}), collection),
            name,
            collection,
            SPLIT,
        )
        for name, changes in variants.items()
    ]


def _trained(collection: Collection, folder: Path, config: str, seeds: tuple[int, ...]) -> tuple[list[SystemResult], Path]:
    results, model = [], folder
    for seed in seeds:
        settings: TrainSettings = read_settings(find_config(config), [f"training.seed={seed}"])
        began = time.monotonic()
        trained = train(settings, collection, folder / f"{config}-{seed}", data_hash=folder_sha256(sample_folder()))
        result = evaluate_encoder(SparseEncoder.load(trained.model_folder, device="cpu"), settings.model.body, collection, SPLIT)
        results.append(SystemResult(result.system, result.scores, {**result.facts, "seconds": time.monotonic() - began}))
        model = trained.model_folder if seed == seeds[0] else model
    return results, model


def _on_node(model: Path, collection: Collection) -> dict[str, Any]:
    from opensearch_ko.benchmark.measure import run_benchmark
    from opensearch_ko.cluster import connect
    from opensearch_ko.deployment import deploy_archive
    from opensearch_ko.export import export_model
    from opensearch_ko.ingest import index_collection
    from opensearch_ko.node import EmbeddedNode, NodeSettings, explain_missing_requirements
    from retrieval_ko.text import content_terms

    if missing := explain_missing_requirements():
        sys.stderr.write(f"Nothing is measured inside OpenSearch: {missing}\n")
        return {}
    with tempfile.TemporaryDirectory(prefix="sparse-ko-bench-node-") as home:
        Path(home).chmod(0o755)
        node = EmbeddedNode(NodeSettings(port=0, home=Path(home) / "node"))
        try:
            cluster = connect(node.start().url)
            deploy_archive(
                cluster, export_model(model, Path(home) / "export").encoder, "bench", apply_needed_settings=True, on_step=lambda _: None
            )
            index_collection(cluster, "bench", collection.passages.values(), content_terms=content_terms)
            report = run_benchmark(cluster, "bench", collection, SPLIT).report
        finally:
            node.stop()
    return report


def _quality_table(rows: list[SystemResult], trained: list[SystemResult], transformer: list[SystemResult], collection: Collection) -> str:
    header = "| system | nDCG@10 | everyday | english | plain | MRR@10 | Recall@100 | dims a passage | dims a query | p against BM25 |"
    lines = [header, "|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|"]
    baseline = rows[0]
    for row in rows:
        lines.append(_line(row.system, [row], baseline, collection))
    lines.append(_line(f"**trained, static** ({len(trained)} seeds, ± standard deviation)", trained, baseline, collection))
    lines.append(_line(f"trained, transformer of 2 layers ({len(transformer)} seed)", transformer, baseline, collection))
    return "\n".join(lines)


def _line(name: str, runs: list[SystemResult], baseline: SystemResult, collection: Collection) -> str:
    def mean(values: list[float], digits: int = 3) -> str:
        spread = f" ± {np.std(values, ddof=1):.{digits}f}" if len(values) > 1 and digits else ""
        return f"{np.mean(values):.{digits}f}{spread}"

    def of_kind(run: SystemResult, kind: str) -> float:
        by_query = run.scores.by_query["ndcg@10"]
        return float(np.mean([value for query, value in by_query.items() if collection.queries[query].metadata["kind"] == kind]))

    cells = [mean([run.scores.mean["ndcg@10"] for run in runs])]
    cells += [f"{np.mean([of_kind(run, kind) for run in runs]):.3f}" for kind in KINDS]
    cells += [f"{np.mean([run.scores.mean[metric] for run in runs]):.3f}" for metric in ("mrr@10", "recall@100")]
    cells += [mean([run.facts[fact] for run in runs], 0) if fact in runs[0].facts else "" for fact in ("doc_dims", "query_dims")]
    worst = max(paired_p_value(run.scores.by_query["ndcg@10"], baseline.scores.by_query["ndcg@10"]) for run in runs)
    cells.append("" if runs[0] is baseline else "< 0.001" if worst < 0.001 else f"{worst:.3f}")
    return f"| {name} | {' | '.join(cells)} |"


def _belongs_in_readme(line: str) -> bool:
    return "bm25" in line or "trained, static" in line or "transformer" in line


def _node_table(node: dict[str, Any]) -> str:
    if not node:
        return "Inside OpenSearch: not measured on this machine."
    lines = ["| inside OpenSearch | nDCG@10 | p50 ms | p90 ms | encode ms | queries/s | bytes a passage |", "|---|--:|--:|--:|--:|--:|--:|"]
    for row in node["modes"]:
        times = " | ".join(f"{row['service_ms'][share]:.1f}" for share in ("p50", "p90"))
        quality = f"{row['ndcg@10']:.3f}"
        lines.append(
            f"| {row['mode']} | {quality} | {times} | {row['encode_ms']['p50']:.1f} | {row['qps']:.0f} | {row['bytes_per_document']:.0f} |"
        )
    return "\n".join(lines)


def _conditions() -> str:
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], cwd=ROOT, capture_output=True, text=True, check=False).stdout.strip()
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return f"commit {commit or 'unknown'}, {cores} cores ({platform.machine()}), Python {platform.python_version()}."


def _document(table: str, node_table: str, conditions: str) -> str:
    return f"""# What the demo shows

Written by `make bench`; do not edit. {conditions}

The sample collection (`retrieval_ko/sample/README.md`): 300 passages, 225 test queries of three kinds about passages that no training
query was about. Exact search in process; p-values by a paired randomisation test on nDCG@10 against BM25 on Kiwi morphemes (the
largest, where there are several seeds).

{table}

{node_table}

One client on the node's own machine, request cache off, one merged segment, three rounds. `encode` is Kiwi on the client for BM25; the
encoder reads the query within the node, inside p50 and p90. Bytes a passage: the Lucene files of the mode's own
field, stored fields left out.

How to read it:

- *english* is the synonym dictionary: BM25 with the same pairs gains there too. The pairs were written together with the queries, so a
  dictionary of yours will cover less.
- *everyday* is where understanding would show, and a model that was built from 300 passages has little of it. What there is comes from
  Kiwi's morpheme embeddings and from training.
- *plain* is where BM25 is at home; a WordPiece vocabulary is no better than morphemes there.
"""


def _into_readme(figures: str) -> None:
    readme = ROOT / "README.md"
    text = readme.read_text(encoding="utf-8")
    begin, end = text.index(MARKS[0]) + len(MARKS[0]), text.index(MARKS[1])
    write_text(readme, text[:begin] + figures + text[end:])


if __name__ == "__main__":
    main()
