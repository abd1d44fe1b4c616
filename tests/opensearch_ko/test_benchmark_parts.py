"""What a benchmark computes without a cluster: orders, percentiles, ratios, lines, brute force, synthetic passages."""

import math
from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from opensearch_ko.benchmark.approximation import recall_of_exact
from opensearch_ko.benchmark.brute_force import BestPassages, bm25_scores, dot_products, stored_length
from opensearch_ko.benchmark.doubts import by_reason, doubts, growth_doubts
from opensearch_ko.benchmark.engine_check import compare
from opensearch_ko.benchmark.fit import fit_line
from opensearch_ko.benchmark.gate import gate
from opensearch_ko.benchmark.growth import StoredPassage, growing
from opensearch_ko.benchmark.schedule import interleaved
from opensearch_ko.benchmark.sizing import sizing
from opensearch_ko.benchmark.timing import Timing, median_ratio, percentiles, timing_json
from retrieval_ko.bm25 import Bm25Index
from retrieval_ko.errors import UsageError
from retrieval_ko.records import Passage

MODES = ["bm25", "sparse", "seismic"]
QUERIES = [f"q{number}" for number in range(40)]


def test_every_mode_is_asked_every_query_of_every_round_once():
    turns = list(interleaved(MODES, QUERIES, 3))
    assert Counter(turns).most_common(1)[0][1] == 1
    assert len(turns) == len(MODES) * len(QUERIES) * 3


def test_modes_are_interleaved_query_by_query_and_no_mode_always_comes_first():
    turns = list(interleaved(MODES, QUERIES, 2))
    groups = [turns[start : start + len(MODES)] for start in range(0, len(turns), len(MODES))]
    assert all(len({(turn.round, turn.query) for turn in group}) == 1 for group in groups)
    assert all({turn.mode for turn in group} == set(MODES) for group in groups)
    first = Counter(group[0].mode for group in groups)
    assert set(first) == set(MODES)
    assert max(first.values()) < len(groups) / 2
    assert [group[0].query for group in groups[: len(QUERIES)]] != [group[0].query for group in groups[len(QUERIES) :]]


def test_the_order_is_the_same_in_every_run():
    assert list(interleaved(MODES, QUERIES, 2, "a")) == list(interleaved(MODES, QUERIES, 2, "a"))
    assert list(interleaved(MODES, QUERIES, 2, "a")) != list(interleaved(MODES, QUERIES, 2, "b"))


def test_percentiles_by_hand():
    found = percentiles(list(range(1, 102)))  # 1 … 101: the share p lies at 1 + p
    assert found == {"p50": 51, "p90": 91, "p99": 100}


@pytest.mark.parametrize(("samples", "given"), [(1, {"p50"}), (10, {"p50", "p90"}), (99, {"p50", "p90"}), (100, {"p50", "p90", "p99"})])
def test_a_percentile_needs_enough_samples(samples, given):
    assert percentiles([1.0] * samples).keys() == given


def timed(milliseconds, encode=1.0):
    return [Timing(f"q{place}", encode, value, value) for place, value in enumerate(milliseconds)]


def test_what_a_user_waits_for_is_the_sum():
    summary = timing_json(timed([2.0, 4.0, 6.0], encode=3.0))
    assert summary["encode_ms"]["p50"] == 3
    assert summary["service_ms"]["p50"] == 4
    assert summary["total_ms"]["p50"] == 7
    assert summary["qps"] == pytest.approx(3 / 0.021, abs=0.05)


def test_a_mode_that_takes_half_more_on_every_query_has_a_ratio_without_spread():
    baseline = timed([float(10 + place) for place in range(101)])  # odd, so that every draw's median is one of its values
    slower = timed([1.5 * timing.service_ms for timing in baseline])
    assert median_ratio(slower, baseline) == {"ratio": 1.5, "low": 1.5, "high": 1.5}


def test_the_interval_of_a_noisy_ratio_holds_the_ratio():
    rng = np.random.default_rng(1)
    found = median_ratio(timed(rng.uniform(5, 30, 60).tolist()), timed(rng.uniform(5, 20, 60).tolist()))
    assert found["low"] < found["ratio"] < found["high"]


def test_a_ratio_of_different_queries_is_refused():
    with pytest.raises(ValueError, match="same queries"):
        median_ratio(timed([1.0, 2.0]), timed([1.0]))


@given(base=st.floats(0, 100), slope=st.floats(0, 1000), sizes=st.lists(st.integers(1, 10**7), min_size=3, max_size=6, unique=True))
def test_the_fit_of_a_line_is_that_line(base, slope, sizes):
    line = fit_line(sizes, [base + slope * size / 1e6 for size in sizes])
    for size in (*sizes, max(sizes)):
        assert line.at(size) == pytest.approx(base + slope * size / 1e6, rel=1e-6, abs=1e-6)


def test_a_fit_says_how_far_off_it_is_and_two_points_cannot():
    assert fit_line([1_000_000, 2_000_000], [1.0, 2.0]).largest_residual is None
    bent = fit_line([0, 1_000_000, 2_000_000], [1.0, 1.0, 4.0])  # least squares: 0.5 + 1.5 x
    assert (bent.base, bent.per_million) == pytest.approx((0.5, 1.5))
    assert bent.largest_residual == pytest.approx(1.0)  # 2 instead of 1 in the middle
    with pytest.raises(ValueError, match="two different sizes"):
        fit_line([5, 5], [1.0, 2.0])


def test_the_share_of_the_exact_answer_that_is_found():
    exact = {"q1": [("a", 3.0), ("b", 2.0), ("c", 1.0)], "q2": [("a", 1.0)], "q3": []}
    approximate = {"q1": [("a", 3.0), ("d", 2.0), ("b", 1.0)], "q2": []}
    assert recall_of_exact(approximate, exact, 2) == pytest.approx((1 / 2 + 0) / 2)
    assert recall_of_exact(approximate, exact, 3) == pytest.approx((2 / 3 + 0) / 2)
    assert recall_of_exact(exact, exact, 10) == 1


def small_float(length):
    """Lucene's SmallFloat.byte4ToInt(intToByte4(length)), step by step."""

    def encode(number):
        bits = number.bit_length()
        return number if bits < 4 else (number >> (bits - 4) & 7) | (bits - 3) << 3

    def decode(code):
        return code & 7 if code < 8 else (code & 7 | 8) << (code >> 3) - 1

    free = 255 - encode(2**31 - 1)
    return length if length < free else free + decode(encode(length - free))


@given(st.integers(0, 2**31 - 1))
def test_lengths_are_rounded_as_lucene_stores_them(length):
    assert stored_length(length) == small_float(length)


def test_brute_force_bm25_is_the_bm25_of_another_library():
    texts = {"a": "전세 보증금 반환 전세", "b": "보증금 반환 청구", "c": "이혼 위자료", "d": "전세 계약"}
    queries = {"q": ["전세", "보증금"], "r": ["전세", "전세"]}
    best = {query: BestPassages(10) for query in queries}
    bm25_scores([(passage, text.split()) for passage, text in texts.items()], queries, best)
    index = Bm25Index([Passage(id=passage, text=text) for passage, text in texts.items()], terms_of=str.split)
    for query, terms in queries.items():
        expected = dict(index.rank(" ".join(terms)))
        assert dict(best[query].ranking) == pytest.approx(expected, rel=1e-5)


def test_brute_force_keeps_the_best_and_what_was_asked_after():
    passages = [("a", {"전세": 1.0}), ("b", {"전세": 2.0, "소음": 9.0}), ("c", {"전세": 4.0})]
    best = {"q": BestPassages(2, frozenset({"a", "z"}))}
    dot_products(passages, {"q": {"전세": 0.5}}, best)
    assert best["q"].ranking == [("c", 2.0), ("b", 1.0)]
    assert best["q"].scores == {"a": 0.5}


def checked(engine, truth):
    best = {"q": BestPassages(10, frozenset(passage for passage, _ in engine))}
    for passage, score in truth:
        best["q"].add(passage, score)
    return compare({"q": engine}, best)


def test_passages_of_equal_score_may_change_places():
    truth = [("a", 2.0), ("b", 1.0), ("c", 1.0)]
    assert checked([("a", 2.0), ("c", 1.0), ("b", 1.0)], truth)["equal"] == 1


@pytest.mark.parametrize(
    "engine",
    [
        [("a", 2.0), ("c", 0.5)],  # one is missing
        [("a", 2.0), ("b", 1.01), ("c", 0.5)],  # a score is off by 1 %
        [("b", 2.0), ("a", 1.0), ("c", 0.5)],  # two changed places, scores as if they had not
        [("a", 2.0), ("b", 1.0), ("d", 0.5)],  # a passage that shares nothing with the query
    ],
)
def test_anything_else_is_an_unequal_ranking(engine):
    found = checked(engine, [("a", 2.0), ("b", 1.0), ("c", 0.5)])
    assert found["equal"] == 0
    assert found["unequal"][0]["query"] == "q"


def real_passages(count, seed=3):
    rng = np.random.default_rng(seed)
    made = []
    for number in range(count):
        terms = [f"t{term}" for term in np.flatnonzero(rng.random(30) < np.linspace(0.9, 0.05, 30))]
        weights = {term: float(rng.uniform(0.1, 3)) for term in terms}
        made.append(StoredPassage(f"p{number}", {"title": "", "text": "본문", "passage": "본문"}, terms * 2, weights))
    return made


def test_a_growing_collection_begins_with_the_real_passages_and_larger_ones_hold_smaller_ones():
    real = real_passages(20)
    large = list(growing(real, 50))
    assert {passage.id for passage in large[:20]} == {passage.id for passage in real}
    assert list(growing(real, 30)) == large[:30]
    assert list(growing(real, 7)) == large[:7]
    assert len({passage.id for passage in large}) == 50


def test_synthetic_passages_have_the_document_frequencies_and_lengths_of_real_ones():
    real = real_passages(60)
    synthetic = list(growing(real, 60 + 3000))[60:]
    terms = {term for passage in real for term in passage.weights}
    for term in terms:
        share = sum(term in passage.weights for passage in real) / len(real)
        found = sum(term in passage.weights for passage in synthetic) / len(synthetic)
        assert found == pytest.approx(share, abs=5 * math.sqrt(0.25 / len(synthetic)))
    mean, found = (np.mean([len(p.weights) for p in group]) for group in (real, synthetic))
    assert found == pytest.approx(mean, rel=0.03)
    assert {weight for passage in synthetic for weight in passage.weights.values()} <= {w for p in real for w in p.weights.values()}
    assert all(count == 2 for passage in synthetic[:50] for count in Counter(passage.morphemes).values())


def benchmark_report(ratio, quality, form="doc-only"):
    return {
        "conditions": {"form": form},
        "modes": [{"mode": "bm25", "ndcg@10": 0.5}, {"mode": "sparse-tokens", "ndcg@10": quality, "p50_ratio": {"ratio": ratio}}],
    }


@pytest.mark.parametrize(
    ("ratio", "quality", "floor", "passed"),
    [(1.5, 0.5, None, True), (1.51, 0.6, None, False), (1.0, 0.49, None, False), (1.0, 0.49, 0.4, True), (1.0, 0.6, 0.7, False)],
)
def test_the_gate_wants_both_speed_and_quality(ratio, quality, floor, passed):
    assert gate(benchmark_report(ratio, quality), floor)["passed"] is passed


def test_the_gate_says_so_where_there_is_nothing_to_compare():
    with pytest.raises(UsageError, match="siamese"):
        gate(benchmark_report(1.0, 1.0, form="siamese"))


def test_a_large_cluster_by_hand():
    growth = {
        "fits": {
            "index_bytes": {"base": 0.0, "per_million": 1e9},
            "ingest_seconds": {"base": 0.0, "per_million": 360.0},
            "service_p50_ms": {"bm25": {"base": 2.0, "per_million": 3.0}},
            "postings": {"bm25": {"base": 0.0, "per_million": 1000.0}},
        }
    }
    plan = sizing(growth, 90e6)
    assert plan["shards"] == 3  # 90 GB, 30 GB a shard
    assert plan["service_p50_ms"] == {"bm25": 2 + 3 * 30}  # 30 million passages a shard
    assert plan["postings_per_query"] == {"bm25": 90_000}
    assert plan["ingest_hours"] == 9
    assert plan["bytes_with_replicas"] == 180e9


def calm():
    return {
        "conditions": {
            "load_average_before": 0.1,
            "client_cores": 2,
            "queries": 300,
            "segments": 1,
            "shards": 1,
            "documents": 1000,
            "passages": 1000,
            "cache_hits": {"request_cache": 0, "query_cache": 0},
            "seismic": None,
        },
        "engine_check": {"bm25": {"queries": 50, "equal": 50}, "sparse": {"skipped": "…"}},
    }


def test_a_calm_run_raises_no_doubt():
    assert doubts(calm()) == []


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"load_average_before": 3.0}, "busy"),
        ({"queries": 12}, "12 queries are few"),
        ({"segments": 4}, "4 segments"),
        ({"shards": 2}, "2 shards"),
        ({"documents": 900}, "900 documents"),
        ({"cache_hits": {"request_cache": 7, "query_cache": 0}}, "7 times (request_cache)"),
        ({"seismic": {"approximate_threshold": 1_000_000}}, "SEISMIC searched exactly"),
    ],
)
def test_what_makes_numbers_worth_less_is_said(change, said):
    report = calm()
    report["conditions"] |= change
    [doubt] = doubts(report)
    assert said in doubt


def test_a_ranking_that_is_not_brute_forces_is_said():
    report = calm()
    report["engine_check"]["bm25"]["equal"] = 48
    [doubt] = doubts(report)
    assert doubt.startswith("bm25: 2 of 50")


def test_modes_that_miss_the_same_thing_stand_together():
    assert by_reason({"knn": "no vectors", "seismic": "no companion", "dense": "no vectors"}) == [
        ("no vectors", ["knn", "dense"]),
        ("no companion", ["seismic"]),
    ]


def test_times_that_did_not_grow_are_not_extrapolated():
    flat = {"base": 30.0, "per_million": -5.0, "largest_residual": 0.3}
    steep = {"base": 1.0, "per_million": 2.0, "largest_residual": 0.01}
    growth = {
        "conditions": {"load_average_before": 0.0, "client_cores": 2},
        "sizes": [{"passages": 1000, "synthetic": 0}],
        "fits": {
            "index_bytes": {"base": 0.0, "per_million": 1e9},
            "ingest_seconds": {"base": 0.0, "per_million": 60.0},
            "service_p50_ms": {"bm25": flat, "sparse": steep},
            "postings": {},
        },
    }
    assert sizing(growth, 10e6)["service_p50_ms"] == {"bm25": None, "sparse": 21.0}
    [doubt] = growth_doubts(growth)
    assert doubt.startswith("bm25: p50 did not grow")


def test_a_plan_far_beyond_what_was_measured_is_doubted():
    growth = {
        "conditions": {"load_average_before": 0.0, "client_cores": 2},
        "sizes": [{"passages": 10_000, "synthetic": 9000}],
        "sizing": {"documents_per_shard": 5_000_000},
    }
    far, synthetic = growth_doubts(growth)
    assert "5,000,000 passages a shard are calculated from at most 10,000" in far
    assert synthetic.startswith("90%")
