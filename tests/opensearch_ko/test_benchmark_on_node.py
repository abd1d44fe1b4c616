"""A benchmark on a real node: modes that need no model in the cluster, over an index that the test filled itself."""

import json
import math
import sys
import uuid
from base64 import b64decode
from collections import Counter
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from opensearch_ko.benchmark import inspection
from opensearch_ko.benchmark.engine_check import check_sparse
from opensearch_ko.benchmark.folder import check_benchmark_folder, write_progress, write_reports
from opensearch_ko.benchmark.growth import passages_of_index
from opensearch_ko.benchmark.measure import draw, run_benchmark
from opensearch_ko.benchmark.postings import document_frequencies, postings_per_query
from opensearch_ko.benchmark.scale import measure_growth
from opensearch_ko.benchmark.scale_folder import write_scale
from opensearch_ko.benchmark.settings import BenchmarkSettings
from opensearch_ko.benchmark.sweep import sweep
from opensearch_ko.cluster import Cluster, ClusterProfile
from opensearch_ko.errors import ClusterError
from opensearch_ko.index_meta import DenseReference, IndexMeta, ModelReference, SeismicSettings
from opensearch_ko.indexes import IndexPlan, seismic_name
from opensearch_ko.queries import MODES, open_context
from retrieval_ko.collection import Collection
from retrieval_ko.errors import UsageError
from retrieval_ko.records import Passage, Query
from retrieval_ko.text import content_terms
from sparse_ko_cli.sparse import app

sys.path.insert(0, str(Path(__file__).parent))
from fault_proxy import FaultProxy, Rule

pytestmark = pytest.mark.node

WORDS = [
    *("전세", "보증금", "임대차", "계약", "손해", "배상", "근로", "퇴직금", "이혼", "위자료"),
    *("상속", "세금", "주택", "소음", "층간", "해지", "월세", "연체", "통지", "청구"),
]
IDS = {word: number for number, word in enumerate(WORDS)}
ALL_MODES = ["bm25", "bm25-cjk", "sparse-tokens", "seismic-tokens", "knn", "dense-exact", "hybrid-bm25-sparse-minmax"]


def texts(count, length, seed):
    rng = np.random.default_rng(seed)
    shares = np.arange(len(WORDS), 0, -1) / sum(range(len(WORDS) + 1))
    return [" ".join(rng.choice(WORDS, size=length, p=shares)) for _ in range(count)]


PASSAGES = {f"p{place:02}": Passage(id=f"p{place:02}", text=text) for place, text in enumerate(texts(60, 9, seed=1))}
QUERIES = {f"q{place:02}": Query(id=f"q{place:02}", text=text) for place, text in enumerate(texts(12, 3, seed=2))}
RELEVANT = {query: {f"p{place * 5:02}": 1} for place, query in enumerate(QUERIES)}
COLLECTION = Collection("words", PASSAGES, QUERIES, {"test": RELEVANT})


def passage_weights(text):
    return {word: 1 + math.log(count) for word, count in Counter(text.split()).items()}


def vector(text):
    counts = Counter(text.split())
    return [0.1 + counts[word] for word in WORDS[:6]]


class Reader:
    """Stands in for a doc-only encoder's query table."""

    def weights(self, text):
        return {word: 1.0 + IDS[word] / 10 for word in set(text.split())}

    def ids(self, text):
        return {IDS[word]: weight for word, weight in self.weights(text).items()}

    def spelling(self, token_id):
        return WORDS[token_id]


@pytest.fixture(scope="module")
def index(cluster):
    name = f"test-benchmark-{uuid.uuid4().hex[:8]}"
    model = {"model_id": "", "name": "words", "version": "1", "fingerprint": "0" * 16}
    meta = IndexMeta(
        form="doc-only",
        encoder=ModelReference(**model),
        dense=DenseReference(**model, dimension=6),
        seismic=SeismicSettings(approximate_threshold=1_000_000),
    )
    plan = IndexPlan(name, meta)
    try:
        cluster.request("PUT", f"/{name}", plan.body())
        cluster.request("PUT", f"/{seismic_name(name)}", plan.seismic_body())
        lines = []
        for passage in PASSAGES.values():
            weights = passage_weights(passage.text)
            source = {"text": passage.text, "passage": passage.text, "morphemes": " ".join(content_terms(passage.text))}
            lines += [
                {"index": {"_index": name, "_id": passage.id, "pipeline": "_none"}},
                source | {"sparse": weights, "dense": vector(passage.text)},
                {"index": {"_index": seismic_name(name), "_id": passage.id}},
                {"text": passage.text, "sparse": {str(IDS[word]): weight for word, weight in weights.items()}},
            ]
        body = "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines)
        answer = cluster.request("POST", "/_bulk", body, params={"refresh": "true"})
        assert not answer["errors"], answer
        yield name
    finally:
        cluster.request("DELETE", f"/{name},{seismic_name(name)}", params={"ignore_unavailable": "true"})


@pytest.fixture(scope="module")
def context(cluster, index):
    return open_context(cluster, index, content_terms=content_terms, reader=Reader(), query_vector=vector)


@pytest.fixture(scope="module")
def benchmark_and_phases(cluster, index):
    phases = []
    settings = BenchmarkSettings(modes=tuple(ALL_MODES), rounds=3, clients=(1, 2), sweep_seconds=0.15)
    benchmark = run_benchmark(
        cluster,
        index,
        COLLECTION,
        "test",
        settings,
        reader=Reader(),
        query_vector=vector,
        on_phase=lambda so_far: phases.append(json.loads(json.dumps(so_far.report))),
    )
    return benchmark, phases


@pytest.fixture(scope="module")
def report(benchmark_and_phases):
    return benchmark_and_phases[0].report


def test_every_mode_is_judged_and_timed_on_the_same_queries(report, benchmark_and_phases):
    assert [row["mode"] for row in report["modes"]] == ALL_MODES
    for row in report["modes"]:
        assert row["samples"] == 3 * len(QUERIES)
        assert 0 <= row["ndcg@10"] <= row["ndcg@10_interval"][1] <= 1
        assert row["service_ms"]["p50"] <= row["service_ms"]["p90"]
        assert "p99" not in row["service_ms"]  # 36 samples carry none
    timings = benchmark_and_phases[0].timings
    asked = {mode: Counter(timing.query for timing in own) for mode, own in timings.items()}
    assert all(counts == dict.fromkeys(QUERIES, 3) for counts in asked.values())


def test_fewer_queries_are_drawn_and_judged_alone(cluster, index):
    few = BenchmarkSettings(modes=("bm25",), queries=4, rounds=1, checked_queries=0, sizes=False)
    benchmark = run_benchmark(cluster, index, COLLECTION, "test", few)
    assert benchmark.report["conditions"].items() >= {"queries": 4, "queries_of_the_split": len(QUERIES), "timed_queries": 4}.items()
    judged = set(benchmark.results[0].scores.by_query["ndcg@10"])  # the others have not failed
    assert set(draw(QUERIES, 2)) < judged == set(draw(QUERIES, 4)) == {timing.query for timing in benchmark.timings["bm25"]}


def test_exact_dense_search_agrees_with_brute_force_on_this_machine(report, context):
    mode, query = MODES["dense-exact"], QUERIES["q03"].text
    asked = np.array(vector(query))
    offered = {passage.id: np.array(vector(passage.text)) for passage in PASSAGES.values()}
    cosines = {name: float(asked @ other / np.linalg.norm(asked) / np.linalg.norm(other)) for name, other in offered.items()}
    found = mode.ask(mode.encode(query, context), context).ranking
    assert [cosines[passage] for passage, _ in found] == pytest.approx(sorted(cosines.values(), reverse=True)[: len(found)], abs=1e-5)


def test_the_tests_against_bm25_are_corrected_for_their_number(report):
    assert {row["metric"] for row in report["comparisons"]} == {"ndcg@10", "mrr@10", "recall@100"}
    assert {row["mode"] for row in report["comparisons"]} == set(ALL_MODES) - {"bm25"}
    assert all(row["p_value"] <= row["p_holm"] <= 1 for row in report["comparisons"])


def test_the_engine_ranks_as_the_stored_weights_and_lucenes_formula_say(report):
    for mode in ("bm25", "sparse-tokens"):
        check = report["engine_check"][mode]
        assert (check["equal"], check["queries"]) == (len(QUERIES), len(QUERIES)), check
        assert check["largest_difference"] < 1e-5


def test_the_engine_check_finds_a_planted_error(cluster, index, context):
    mode = MODES["sparse-tokens"]
    weights = {query.id: Reader().weights(query.text) for query in QUERIES.values()}
    rankings = {query: mode.ask(asked, context).ranking for query, asked in weights.items()}
    assert check_sparse(cluster, index, "sparse", weights, rankings)["equal"] == len(QUERIES)
    spoilt = rankings | {"q04": rankings["q04"][1:], "q07": [(passage, score * 1.002) for passage, score in rankings["q07"]]}
    check = check_sparse(cluster, index, "sparse", weights, spoilt)
    assert check["equal"] == len(QUERIES) - 2
    assert {row["query"] for row in check["unequal"]} == {"q04", "q07"}
    assert check["largest_difference"] >= 0.0019


def test_approximate_modes_are_compared_with_their_exact_ones(report):
    rows = {row["mode"]: row for row in report["approximation"]}
    assert {name: row["exact"] for name, row in rows.items()} == {"seismic-tokens": "sparse-tokens", "knn": "dense-exact"}
    assert rows["knn"]["recall@100"] == 1  # 60 passages, 100 neighbours
    assert 0.9 < rows["seismic-tokens"]["recall@100"] <= 1  # exact below its threshold, but for weights of eight bits


def test_postings_are_counted_as_by_hand(report, cluster, index):
    frequencies = Counter(word for passage in PASSAGES.values() for word in set(passage.text.split()))
    assert document_frequencies(cluster, index, "sparse", [*WORDS, "없는말"]) == {word: frequencies[word] for word in [*WORDS, "없는말"]}
    by_hand = [sum(frequencies[word] for word in set(query.text.split())) for query in QUERIES.values()]
    assert report["postings"]["sparse-tokens"]["mean"] == pytest.approx(np.mean(by_hand), abs=0.05)
    twice = postings_per_query(cluster, index, "morphemes", {"q": ["전세", "전세"]})
    assert twice["mean"] == document_frequencies(cluster, index, "morphemes", ["전세"])["전세"]


def test_bytes_are_those_of_the_fields_a_mode_needs(report, cluster, index):
    fields = report["sizes"]["fields"]
    assert set(fields) == {"morphemes", "passage.cjk", "sparse", "seismic:sparse", "dense"}
    rows = {row["mode"]: row for row in report["modes"]}
    assert rows["hybrid-bm25-sparse-minmax"]["bytes_per_document"] == pytest.approx(fields["morphemes"] + fields["sparse"])
    whole = report["sizes"]["index"]
    assert whole["excluded"] == ["sparse", "dense"]
    assert whole["vectors_derived"]
    assert 0 < whole["without_embeddings"] < whole["with_embeddings"]


def test_measuring_bytes_leaves_nothing_behind(cluster, index, report):
    names = {row["index"] for row in cluster.request("GET", f"/_cat/indices/{index}*", params={"format": "json"})}
    assert names == {index, seismic_name(index)}


def test_conditions_say_what_a_reader_needs(report):
    conditions = report["conditions"]
    for known in ("opensearch", "java", "heap_bytes", "node_processors", "shards", "replicas", "rounds", "size", "load_average_before"):
        assert conditions[known] is not None
    assert (conditions["segments"], conditions["documents"], conditions["deleted_documents"]) == (1, 60, 0)
    assert conditions["cache_hits"]["request_cache"] == 0
    assert conditions["client"] == "on the node's own machine"


def test_finished_phases_are_handed_out_as_they_come(benchmark_and_phases):
    _, phases = benchmark_and_phases
    assert [len(phase) for phase in phases] == sorted(len(phase) for phase in phases)
    assert "service_ms" not in phases[0]["modes"][0]
    assert "service_ms" in phases[1]["modes"][0]
    assert [phase["state"] for phase in phases] == ["running"] * (len(phases) - 1) + ["finished"]


class Page(HTMLParser):
    """Notes what a page is made of."""

    def __init__(self):
        super().__init__()
        self.tables, self.pictures, self.foreign, self.text, self.open = 0, [], [], "", []

    def handle_starttag(self, tag, attrs):
        self.tables += tag == "table"
        for name, value in attrs:
            if name in ("src", "href"):
                (self.pictures if value.startswith("data:image/png;base64,") else self.foreign).append(value)
        if tag not in ("meta", "img"):
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text += data


def test_the_folder_holds_a_page_that_needs_nothing_else(tmp_path, benchmark_and_phases):
    benchmark, _ = benchmark_and_phases
    folder = tmp_path / "out"
    write_progress(folder, benchmark)
    write_reports(folder, benchmark, "낱말, test")
    page = Page()
    page.feed((folder / "report.html").read_text(encoding="utf-8"))
    assert page.open == []
    assert (page.foreign, len(page.pictures)) == ([], 3)
    for picture in page.pictures:
        assert b64decode(picture.partition(",")[2]).startswith(b"\x89PNG")
    assert page.tables >= 6
    assert f"{len(QUERIES)} of {len(QUERIES)} queries equal" in page.text
    assert all(mode in page.text for mode in ALL_MODES)
    assert json.loads((folder / "benchmark.json").read_text(encoding="utf-8")) == json.loads(json.dumps(benchmark.report))
    assert "## Conditions" in (folder / "report.md").read_text(encoding="utf-8")
    lines = (folder / "times" / "bm25.tsv").read_text(encoding="utf-8").splitlines()
    assert len(lines) == 1 + 3 * len(QUERIES)
    check_benchmark_folder(folder)
    (folder / "mine.txt").write_text("", encoding="utf-8")
    with pytest.raises(UsageError, match=r"mine\.txt"):
        check_benchmark_folder(folder)


def test_clients_ask_over_connections_of_their_own_and_are_all_counted(report):
    for mode in ALL_MODES:
        steps = report["sweep"][mode]
        assert [step["clients"] for step in steps] == [1, 2]
        for step in steps:
            assert step["errors"] == 0
            assert step["qps"] == pytest.approx(step["requests"] / step["seconds"], rel=0.05)


def test_a_mode_that_fails_is_asked_by_no_more_clients(node_url, context):
    texts = {query.id: query.text for query in QUERIES.values()}
    with FaultProxy(node_url) as proxy:
        behind = replace(context, cluster=Cluster(ClusterProfile(url=proxy.url)))
        proxy.add(Rule(path="_search", action="status", status=429, times=5))
        steps = sweep({"bm25": MODES["bm25"]}, behind, texts, clients=(1, 2, 4), seconds=0.3)["bm25"]
        assert [step["clients"] for step in steps] == [1]
        [step] = steps
        assert step["errors"] == 5
        assert step["requests"] == len(proxy.seen("_search"))
        assert step["error_rate"] == pytest.approx(5 / step["requests"], abs=1e-5)
        assert "429" in step["reasons"][0]
        proxy.clear()
        proxy.add(Rule(path="_search", action="cut", times=3))
        [cut, *_] = sweep({"knn": MODES["knn"]}, behind, texts, clients=(2,), seconds=0.3)["knn"]
        assert cut["errors"] == 3


def test_a_mode_that_cannot_run_is_refused_or_left_out_with_the_reason(cluster, index):
    with pytest.raises(UsageError, match="sparse can't be measured here: no model of the cluster"):
        run_benchmark(cluster, index, COLLECTION, "test", BenchmarkSettings(modes=("bm25", "sparse")))
    few = BenchmarkSettings(modes=("all",), rounds=1, timed_queries=1, checked_queries=0, sizes=False)
    report = run_benchmark(cluster, index, COLLECTION, "test", few).report
    assert {row["mode"] for row in report["modes"]} == {"bm25", "bm25-cjk"}
    assert "sparse" in report["left_out"]
    assert all(report["left_out"].values())


def test_quality_on_an_index_that_lacks_passages_is_refused(cluster, index):
    larger = Collection("words", PASSAGES | {"more": Passage(id="more", text="전세")}, QUERIES, {"test": RELEVANT})
    settings = BenchmarkSettings(modes=("bm25",), rounds=1, timed_queries=1, checked_queries=0, sizes=False)
    with pytest.raises(UsageError, match="60 documents"):
        run_benchmark(cluster, index, larger, "test", settings)
    run_benchmark(cluster, index, larger, "test", settings.model_copy(update={"incomplete": True}))


def test_a_missing_index_is_named(cluster):
    with pytest.raises(ClusterError, match="has no index"):
        run_benchmark(cluster, "there-is-none", COLLECTION, "test")


def test_the_command_prints_what_it_measured_and_the_gate_decides_its_exit_code(node_url, index, tmp_path):
    COLLECTION.write(tmp_path / "words")
    few = ["--rounds", "1", "--no-sizes", "--json", "--modes", "bm25"]
    begin = ["benchmark", "--cluster", node_url, "--index", index, "--collection", str(tmp_path / "words")]
    done = CliRunner().invoke(app, [*begin, *few, "--out", str(tmp_path / "out")])
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout)["modes"][0]["mode"] == "bm25"
    assert (tmp_path / "out" / "report.html").is_file()
    gated = CliRunner().invoke(app, [*begin, *few, "--gate"])
    assert (gated.exit_code, "compares a doc-only mode" in gated.stderr) == (2, True)  # bm25 alone has nothing to be compared with
    wrong = CliRunner().invoke(app, [*begin, *few, "--clients", "4,2"])
    assert (wrong.exit_code, "ascend" in wrong.stderr) == (2, True)


def test_growth_is_measured_on_an_index_that_grows_and_is_gone_afterwards(cluster, index, context, tmp_path):
    modes = {name: MODES[name] for name in ("bm25", "sparse-tokens")}
    texts = {query.id: query.text for query in list(QUERIES.values())[:4]}
    real = passages_of_index(cluster, index, 1000)
    seen = []
    report = measure_growth(
        context, modes, real, texts, sizes=(40, 120, 200), rounds=2, on_size=lambda so_far: seen.append(len(so_far["sizes"]))
    )
    assert seen == [1, 2, 3, 3]
    assert [(row["passages"], row["synthetic"]) for row in report["sizes"]] == [(40, 0), (120, 60), (200, 140)]
    assert report["sizes"][1]["bytes_per_document"] == pytest.approx(report["sizes"][2]["bytes_per_document"], rel=0.25)
    counted = [row["postings"]["sparse-tokens"] for row in report["sizes"]]
    assert counted == sorted(counted)
    line = report["fits"]["postings"]["sparse-tokens"]
    expected = np.polyfit([40e-6, 120e-6, 200e-6], counted, 1)
    assert (line["per_million"], line["base"]) == pytest.approx(tuple(expected), rel=1e-3, abs=1e-3)
    assert report["sizing"]["documents"] == 100_000_000
    assert not cluster.request("GET", "/_cat/indices/sparse-ko-scale-*", params={"format": "json"})
    write_scale(tmp_path / "growth", report)
    assert "Calculated for 100,000,000 passages" in (tmp_path / "growth" / "report.md").read_text(encoding="utf-8")
    assert (tmp_path / "growth" / "growth.png").read_bytes().startswith(b"\x89PNG")


def test_the_growth_command_wants_sizes_that_grow_and_modes_that_can(node_url, index):
    begin = ["benchmark", "scale", "--cluster", node_url, "--index", index]
    for options, said in ((["--sizes", "50,40"], "ascend"), (["--modes", "knn"], "can't be grown")):
        done = CliRunner().invoke(app, [*begin, *options])
        assert (done.exit_code, said in done.stderr) == (2, True)
    without = CliRunner().invoke(app, ["benchmark", "scale", "--cluster", node_url, "--sizes", "40,50"])
    assert (without.exit_code, "--model DIR" in without.stderr) == (2, True)


def test_weights_outside_source_are_said_to_be_unchecked(cluster, index, context):
    bare = f"{index}-bare"
    [mapping] = cluster.request("GET", f"/{index}/_mapping").values()
    properties = {"sparse": mapping["mappings"]["properties"]["sparse"]}
    try:
        cluster.request("PUT", f"/{bare}", {"mappings": {"_source": {"excludes": ["sparse"]}, "properties": properties}})
        cluster.request("PUT", f"/{bare}/_doc/a", {"sparse": {"전세": 1.0}}, params={"refresh": "true"})
        modes = {"sparse-tokens": MODES["sparse-tokens"]}
        found = inspection.check_engine(modes, replace(context, index=bare), {"q": "전세"}, {"shards": 1, "deleted_documents": 0})
        assert "_source" in found["sparse-tokens"]["skipped"]
    finally:
        cluster.request("DELETE", f"/{bare}", params={"ignore_unavailable": "true"})
