"""`sparse-ko demo`: the whole story on the sample collection, from text to a ranking that a real OpenSearch computed."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.markup import escape

from retrieval_ko.collection import Collection, sample_folder
from retrieval_ko.errors import RetrievalError
from retrieval_ko.evaluation.comparison import as_json as comparison_json
from retrieval_ko.evaluation.comparison import bm25_baselines
from retrieval_ko.files import folder_sha256
from retrieval_ko.records import Hit
from retrieval_ko.runs import Run
from retrieval_ko.terminal import exit_on_error, notes, out, print_json, progress_bar
from sparse_ko.settings import read_settings
from sparse_ko_cli.demo_report import Example, write_report
from sparse_ko_cli.evaluate import comparison_table
from sparse_ko_cli.requirement import need_torch
from sparse_ko_cli.train import find_config, run_training

if TYPE_CHECKING:
    from opensearch_ko.export import ModelArchive
    from sparse_ko.model import SparseEncoder

INDEX = "demo"
EXAMPLES = ("월세 두 달 밀리면 집주인이 나가라고 할 수 있나요", "failover 안 될 때", "해열제 먹어도 열나는 아기")
"""An everyday word for an official one, English for Korean, and a word that stands in the passage itself."""


def demo(
    folder: Annotated[Path, typer.Option("--out", metavar="DIR", help="Folder for the model, the zip and the report.")] = Path("runs/demo"),
    stop_node: Annotated[bool, typer.Option("--stop-node", help="Stop the embedded node at the end, if this command started it.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Train, export, start a node, deploy, index, search, measure: the whole story on bundled Korean data.

    Takes about six minutes on two cores the first time; a second run takes up the trained model. Without a JDK ≥ 21 and Maven
    it does all but the node's part.
    """
    began = time.monotonic()
    with exit_on_error():
        need_torch("sparse-ko demo")
        from opensearch_ko.node import explain_missing_requirements

        collection = Collection.read(sample_folder())
        _say(f"1  train an encoder on {len(collection.passages)} Korean passages")
        run = _trained(folder)
        _say("2  export it for ML Commons, and check that the graph answers as the model does")
        archive = _exported(run)
        from sparse_ko.model import SparseEncoder

        encoder = SparseEncoder.load(run.folder / "model", device="cpu")
        _say("3  compare it with BM25 in process")
        evaluation = _compared(encoder, collection)
        out.print(comparison_table(evaluation))
        missing = explain_missing_requirements()
        if missing:
            examples, benchmark, times = _in_process_examples(encoder, collection), None, None
        else:
            examples, benchmark, times = _on_node(archive, collection, encoder, stop_node=stop_node)
        _show_examples(examples)
        report = folder / "report" / "demo.html"
        write_report(report, collection, run, evaluation, benchmark, times, examples)
        seconds = time.monotonic() - began
        if as_json:
            result = {"seconds": round(seconds, 1), "model": str(run.folder / "model"), "archive": str(archive.path)}
            print_json(result | {"report": str(report), "evaluation": evaluation, "benchmark": benchmark})
        _say(f"Done in {seconds:.0f} s. The report: {report}")
        if missing:
            notes.print(f"To see it inside OpenSearch: {escape(missing)}")
        elif not stop_node:
            notes.print('Try: sparse-ko search --cluster --index demo --explain "전세금 안 돌려주는 집주인"')
            notes.print("The node keeps running; stop it with: sparse-ko node stop")


def _say(text: str) -> None:
    notes.print(f"[bold]{escape(text)}[/]")


def _trained(folder: Path) -> Run:
    settings = read_settings(find_config("demo"))
    run = Run(folder)
    if (folder / "metadata.json").exists():
        known = run.metadata()
        same_data = known["data"] == {Collection.read(sample_folder()).name: folder_sha256(sample_folder())}
        if known["state"] == "finished" and same_data and _same_settings(folder, settings.model_dump(mode="json")):
            notes.print(f"  already trained: {escape(str(folder / 'model'))}")
            return run
        return run_training(settings, folder, resume=True).run
    return run_training(settings, folder).run


def _same_settings(folder: Path, settings: dict[str, Any]) -> bool:
    import yaml

    return bool(yaml.safe_load((folder / "config.yaml").read_text(encoding="utf-8")) == settings)


def _exported(run: Run) -> ModelArchive:
    from opensearch_ko.export import export_model

    archive = export_model(run.folder / "model", run.folder / "export", on_step=lambda step: notes.print(f"  {step}")).encoder
    parity = archive.card.parity
    notes.print(f"  {archive.path.name}: {parity['texts']} texts, largest difference {parity['largest_difference']:.1e}")
    return archive


def _compared(encoder: SparseEncoder, collection: Collection) -> dict[str, Any]:
    from sparse_ko.evaluation import evaluate_encoder

    results = [*bm25_baselines(collection, "test"), evaluate_encoder(encoder, "sparse-demo", collection, "test")]
    by_kind = {
        result.system: {
            kind: sum(values) / len(values)
            for kind in ("everyday", "english", "plain")
            if (values := [v for q, v in result.scores.by_query["ndcg@10"].items() if collection.queries[q].metadata.get("kind") == kind])
        }
        for result in results
    }
    return comparison_json(collection, "test", results) | {"ndcg@10_by_kind": by_kind}


def _in_process_examples(encoder: SparseEncoder, collection: Collection) -> list[Example]:
    from sparse_ko.retrieval import SparseIndex

    index = SparseIndex(encoder, collection.passages.values())
    examples = []
    for query in EXAMPLES:
        hits = []
        for passage, score in index.rank(query, 3):
            found = collection.passages[passage]
            terms = {match.token: match.contribution for match in encoder.explain(query, found.passage_text)}
            hits.append(Hit(id=passage, score=score, title=found.title, text=found.text, terms=terms))
        examples.append(_example(query, hits, encoder))
    return examples


def _example(query: str, hits: list[Hit], encoder: SparseEncoder) -> Example:
    asked = set(encoder.tokenizer.tokenize(query))
    return Example(query, hits, [frozenset(asked.intersection(encoder.tokenizer.tokenize(f"{hit.title}\n{hit.text}"))) for hit in hits])


def _on_node(
    archive: ModelArchive, collection: Collection, encoder: SparseEncoder, *, stop_node: bool
) -> tuple[list[Example], dict[str, Any], dict[str, list[float]]]:
    from opensearch_ko.benchmark.settings import BenchmarkSettings
    from opensearch_ko.cluster import connect
    from opensearch_ko.deployment import deploy_archive
    from opensearch_ko.ingest import index_collection
    from opensearch_ko.queries import search
    from retrieval_ko.text import content_terms
    from sparse_ko_cli.benchmark import benchmark_table, measure

    _say("4  start OpenSearch (the first time its software is fetched from Maven Central, 700 MB)")
    node, url = _running_node()
    try:
        cluster = connect(url)
        _say("5  deploy the model, make the pipeline and the index")
        _free_index(cluster, archive)
        done = deploy_archive(cluster, archive, INDEX, apply_needed_settings=True, on_step=lambda step: notes.print(f"  {step}"))
        notes.print(f"  the node's weights differ from the model's by at most {done.largest_difference:.1e}")
        _say("6  index the passages; the node encodes them")
        report = index_collection(cluster, INDEX, collection.passages.values(), content_terms=content_terms)
        if report.failed:
            raise RetrievalError(f"{report.failed} passages were refused; why: {report.failures}")
        _say("7  measure both modes on the node")
        measured = measure(cluster, INDEX, collection, "test", BenchmarkSettings())
        out.print(benchmark_table(measured.report))
        examples = []
        for query in EXAMPLES:
            answer = search(cluster, INDEX, query, "sparse", content_terms=content_terms, size=3)
            examples.append(_example(query, list(answer.hits), encoder))
    finally:
        if node is not None and stop_node:
            node.stop()
    times = {mode: [timing.service_ms for timing in timings] for mode, timings in measured.timings.items()}
    return examples, measured.report, times


def _running_node() -> tuple[Any, str]:
    from opensearch_ko.node import EmbeddedNode, NodeSettings, find_running_node

    if url := find_running_node():
        notes.print(f"  running already: {escape(url)}")
        return None, url
    from opensearch_ko.node.machine import is_free

    node = EmbeddedNode(NodeSettings(port=9200 if is_free(9200) else 0))
    with progress_bar("files") as bar:
        task = bar.add_task("starting", total=None)
        status = node.start(lambda what, done, total: bar.update(task, description=what, completed=done, total=total or None))
    notes.print(f"  {escape(str(status.url))}, home {escape(str(status.home))}")
    return node, str(status.url)


def _free_index(cluster: Any, archive: ModelArchive) -> None:  # noqa: ANN401  a Cluster; its module is loaded late
    """Delete the demo's own index where it belongs to an older demo model. No other index is ever touched."""
    from opensearch_ko.indexes import card_fingerprint, read_meta

    meta = read_meta(cluster, INDEX) if cluster.find(f"/{INDEX}") is not None else None
    if meta and meta.encoder.name == archive.card.name and meta.encoder.fingerprint != card_fingerprint(archive.card):
        notes.print("  the index of an older demo model is replaced")
        cluster.request("DELETE", f"/{INDEX}")


def _show_examples(examples: list[Example]) -> None:
    for example in examples:
        out.print(f"\n[bold]{escape(example.query)}[/]")
        for hit, literal in zip(example.hits[:1], example.literal, strict=False):
            terms = [
                f"{escape(token)} {added:.2f}" if token in literal else f"[yellow]{escape(token)}[/] {added:.2f}"
                for token, added in sorted(hit.terms.items(), key=lambda term: -term[1])[:8]
            ]
            out.print(f"  {hit.score:.2f}  {escape(hit.title)}   {'  '.join(terms)}")
    out.print("[dim]Yellow: matches that the encoder made; the word is missing in the query or in the passage.[/]\n")
