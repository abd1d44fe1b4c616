"""Measure how fast passages go into an index: encoded here by torch and by onnxruntime (fp32, int8), and in the cluster.

python scripts/bench_ingest.py --cluster http://127.0.0.1:9200 --passages 1200

An untrained encoder of four layers of 256 dimensions on the sample's vocabulary; the sample's passages, repeated. The ways take turns in
one run, so what else the machine does falls on all of them. Everything that is made on the cluster is deleted again.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

from opensearch_ko.cluster import Cluster, connect
from opensearch_ko.encoding import PassageEncoder, load_encoder
from opensearch_ko.export import export_model
from opensearch_ko.index_meta import IndexMeta, ModelReference
from opensearch_ko.indexes import IndexPlan
from opensearch_ko.ingest import index_collection
from opensearch_ko.models import delete, ensure_deployed
from opensearch_ko.pipelines import ensure_pipeline, pipeline_name
from retrieval_ko.collection import Collection, sample_folder, texts_of
from retrieval_ko.records import Passage
from retrieval_ko.terminal import exit_on_error, notes, print_json
from retrieval_ko.terms import Tokenization, terms_of_many
from sparse_ko.building import build_encoder
from sparse_ko.settings import TrainSettings

WARM_UP = 32
"""Passages of the first turn, which is not counted."""
SETTINGS = {
    "name": "bench-ingest",
    "vocabulary": {"size": 8000},
    "model": {"body": "transformer", "layers": 4, "dimensions": 256, "heads": 4, "max_tokens": 256, "neighbour_pull": 0.0},
}


def main() -> None:
    """Measure and print."""
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--cluster", help="address or profile; else the running embedded node")
    arguments.add_argument("--passages", type=int, default=1200)
    arguments.add_argument("--repeats", type=int, default=3)
    arguments.add_argument("--workers", type=int, default=1, help="processes for Kiwi")
    options = arguments.parse_args()
    with exit_on_error(), tempfile.TemporaryDirectory() as folder:
        print_json(measure(connect(options.cluster), Path(folder), options.passages, options.repeats, options.workers))


def measure(cluster: Cluster, folder: Path, count: int, repeats: int, workers: int) -> dict[str, Any]:
    """Return docs/s of every stage alone and of every way into the index, and ratios: the best of the repeats, since noise only slows."""
    collection = Collection.read(sample_folder())
    passages = list(islice(repeated(list(collection.passages.values())), count))
    build_encoder(TrainSettings.model_validate(SETTINGS), collection).save(folder / "model")
    archives = {}
    for precision in ("fp32", "int8"):
        notes.print(f"exporting {precision}")
        archives[precision] = export_model(folder / "model", folder, model_format="onnx", precision=precision, name=new_name()).encoder
    encoders = {
        "torch": load_encoder(folder / "model"),
        "onnx": load_encoder(archives["fp32"].path),
        "onnx int8": load_encoder(archives["int8"].path),
    }
    traced = export_model(folder / "model", folder, name=new_name()).encoder
    deployed = {"cluster torchscript": traced, "cluster onnx int8": archives["int8"]}
    ids = {way: ensure_deployed(cluster, archive).model_id for way, archive in deployed.items()}
    cards = {way: archive.card for way, archive in deployed.items()}
    ways: dict[str, Callable[[list[Passage]], float]] = {"kiwi alone": lambda some: speed(lambda: terms(texts_of(some), workers), some)}
    for name, encoder in encoders.items():
        ways[f"encode alone, {name}"] = lambda some, encoder=encoder: speed(lambda: encoder.sparse(texts_of(some)), some)
        meta = IndexMeta(encoder=ModelReference.of(cards["cluster torchscript"], ""))
        ways[f"index, client {name}"] = lambda some, encoder=encoder, meta=meta: filled(cluster, meta, some, workers, encoder)
    for way in deployed:
        meta = IndexMeta(encoder=ModelReference.of(cards[way], ids[way]))
        ways[f"index, {way}"] = lambda some, meta=meta: filled(cluster, meta, some, workers, None)
    found: dict[str, list[float]] = {name: [] for name in ways}
    try:
        for turn in range(repeats + 1):
            for name, way in ways.items():
                docs_per_second = way(passages if turn else passages[:WARM_UP])
                notes.print(f"{'warm-up' if turn == 0 else f'turn {turn}'}  {name}: {docs_per_second:.1f} docs/s")
                if turn:
                    found[name].append(docs_per_second)
    finally:
        for model_id in ids.values():
            delete(cluster, model_id)
    best = {name: max(speeds) for name, speeds in found.items()}
    reference = best["index, client torch"]
    return {
        "passages": count,
        "characters": round(statistics.mean(map(len, texts_of(passages)))),
        "docs_per_second": {name: round(value, 1) for name, value in best.items()},
        "times_client_torch": {name: round(value / reference, 2) for name, value in best.items() if name.startswith("index")},
    }


def new_name() -> str:
    """Return a name that no other model on the cluster has."""
    return f"bench-ingest-{uuid.uuid4().hex[:8]}"


def repeated(passages: list[Passage]) -> Iterator[Passage]:
    """Yield the passages again and again, each time under new ids."""
    turn = 0
    while True:
        yield from (passage.model_copy(update={"id": f"{passage.id}-{turn}"}) for passage in passages)
        turn += 1


def terms(texts: list[str], workers: int) -> None:
    """Cut the texts as the ingest does."""
    for _ in terms_of_many(texts, Tokenization.KIWI_CONTENT, workers=workers):
        pass


def speed(work: Callable[[], object], passages: list[Passage]) -> float:
    """Return passages a second."""
    begin = time.perf_counter()
    work()
    return len(passages) / (time.perf_counter() - begin)


def filled(cluster: Cluster, meta: IndexMeta, passages: list[Passage], workers: int, encoder: PassageEncoder | None) -> float:
    """Fill a new index and return passages a second."""
    index = f"bench-{uuid.uuid4().hex[:8]}"
    ensure_pipeline(cluster, index, meta)
    cluster.request("PUT", f"/{index}", IndexPlan(index, meta).body())
    try:
        report = index_collection(
            cluster, index, passages, workers=workers, encode="client" if encoder else "cluster", encoder=encoder, on_step=notes.print
        )
        assert report.indexed == len(passages)
        return report.docs_per_second
    finally:
        cluster.request("DELETE", f"/{index}")
        cluster.request("DELETE", f"/_ingest/pipeline/{pipeline_name(index)}")


if __name__ == "__main__":
    main()
