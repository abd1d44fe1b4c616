"""Every query form on a real node, held against scores that are worked out here from the same weights and vectors."""

import sys
import unicodedata
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from opensearch_ko.cluster import connect
from opensearch_ko.errors import ClusterError
from opensearch_ko.indexes import IndexMeta, IndexPlan
from opensearch_ko.models import predict_sparse, undeploy
from opensearch_ko.queries import MODES, SearchOptions, fuse, open_context, parse_filters, search, stored_weight
from opensearch_ko.queries.hybrid_modes import CLIENT_FUSED_MODES, HYBRID_MODES
from opensearch_ko.queries.search_pipelines import hybrid_pipeline, saved_weights, search_pipeline_name
from opensearch_ko.queries.tuning import Tuning, save_tuning, single_rankings
from retrieval_ko.errors import UsageError

sys.path.insert(0, str(Path(__file__).parent))
from query_index import COMMON_LAW, QUERY, RARE_LAW, WORDS, searched_index, words

pytestmark = pytest.mark.node

HERE = [name for name in MODES if name != "bm25-nori"]  # the embedded node has no nori
BY_TOKENS = [name for name in HERE if name.startswith(("bm25", "sparse", "seismic")) and "+" not in name]
FUSED = [name for name in HERE if name.startswith("hybrid-") or "+" in name]
RARE = {"term": {"metadata.law": RARE_LAW}}


@pytest.fixture(scope="module")
def searched(node_url, tmp_path_factory):
    with searched_index(connect(node_url), tmp_path_factory.mktemp("queries")) as made:
        yield made


@pytest.fixture(scope="module")
def context(searched):
    return open_context(
        searched.cluster,
        searched.index,
        content_terms=words,
        size=60,
        reader=searched.reader,
        query_vector=searched.embed,
        options=SearchOptions(top_n=50, heap_factor=5.0),
    )


def ask(name, context, text=QUERY):
    mode = MODES[name]
    assert mode.missing(context) is None
    return mode.ask(mode.encode(text, context), context).ranking


def look(searched, mode, text=QUERY, **settings):
    """Search as a person does, with everything that this machine can read a query with."""
    given = {"content_terms": words, "reader": searched.reader, "query_vector": searched.embed} | settings
    return search(searched.cluster, searched.index, text, mode, **given)


def dot_products(searched, stored=stored_weight):
    """Return passage → Σ query weight × stored weight, where it is > 0."""
    asked = searched.reader.weights(QUERY)
    scores = {
        passage: sum(weight * stored(fields["sparse"][token]) for token, weight in asked.items() if token in fields["sparse"])
        for passage, fields in searched.passages.items()
    }
    return {passage: score for passage, score in scores.items() if score > 0}


def cosines(searched):
    asked = np.array(searched.embed(QUERY))
    return {
        passage: float(asked @ vector / np.linalg.norm(asked) / np.linalg.norm(vector))
        for passage, vector in ((passage, np.array(fields["dense"])) for passage, fields in searched.passages.items())
    }


@pytest.mark.parametrize("name", ["sparse", "sparse-tokens", "sparse-two-phase", "sparse-tokens-two-phase"])
def test_sparse_scores_are_dot_products(searched, context, name):
    # Every query token's weight is above a tenth of the heaviest, so two phases at that ratio must find what one finds.
    exact = replace(context, options=SearchOptions(two_phase_ratio=0.1))
    assert dict(ask(name, exact)) == pytest.approx(dot_products(searched), rel=1e-5)


@pytest.mark.parametrize("name", ["sparse-two-phase", "sparse-tokens-two-phase"])
def test_the_second_phase_adds_what_light_tokens_weigh(searched, context, name):
    halved = replace(context, options=SearchOptions(two_phase_ratio=0.9))
    exact, found = dot_products(searched), ask(name, halved)
    heaviest = max(searched.reader.weights(QUERY).items(), key=lambda item: item[1])[0]
    assert {passage for passage, _ in found} == {p for p, fields in searched.passages.items() if heaviest in fields["sparse"]}
    assert dict(found) == pytest.approx({passage: exact[passage] for passage, _ in found}, rel=1e-5)


@pytest.mark.parametrize("name", ["seismic", "seismic-tokens"])
def test_seismic_finds_what_is_exact_within_its_eight_bits(searched, context, name):
    asked, ceilings = searched.reader.weights(QUERY), searched.meta.seismic
    steps = ceilings.quantization_ceiling_ingest / 255, ceilings.quantization_ceiling_search / 255
    exact, found = dot_products(searched, stored=float), dict(ask(name, context))
    assert found.keys() <= exact.keys()
    assert len(found) > 0.8 * len(exact)  # its clusters are drawn by chance: now and then a passage with one light token is lost
    assert set(sorted(exact, key=exact.get)[-5:]) <= found.keys()
    for passage, score in found.items():
        weights = searched.passages[passage]["sparse"]
        worst = sum(
            weight * steps[0] / 2 + weights[token] * steps[1] / 2 + steps[0] * steps[1]
            for token, weight in asked.items()
            if token in weights
        )
        assert score == pytest.approx(exact[passage], abs=worst + 1e-5)


def test_seismic_returns_as_many_as_are_asked_for(context):
    few = replace(context, size=12, options=SearchOptions(depth=1, top_n=50, heap_factor=5.0))
    assert len(ask("seismic-tokens", few)) == 12  # the node's own k is 10


def test_seismic_searches_by_the_heaviest_tokens_alone(searched, context):
    heaviest = max(searched.reader.weights(QUERY).items(), key=lambda item: item[1])[0]
    one = replace(context, options=SearchOptions(top_n=1, heap_factor=5.0))
    found = ask("seismic-tokens", one)
    assert found
    assert all(heaviest in searched.passages[passage]["sparse"] for passage, _ in found)


@pytest.mark.parametrize("name", ["dense", "knn", "dense-exact"])
def test_dense_scores_are_cosines_as_lucene_writes_them(searched, context, name):
    assert dict(ask(name, context)) == pytest.approx({passage: (1 + cosine) / 2 for passage, cosine in cosines(searched).items()}, abs=1e-5)


def test_exact_dense_asks_the_deployed_model_where_this_machine_has_none(context):
    assert dict(ask("dense-exact", replace(context, query_vector=None))) == pytest.approx(dict(ask("dense-exact", context)), abs=1e-5)


@pytest.mark.parametrize("name", HERE)
def test_every_mode_stays_within_a_filter_and_fills_its_size(searched, context, name):
    # Candidates of 5: a filter that was applied after them would leave hardly one of the five passages of the rare law.
    narrow = replace(context, size=5, filter=RARE, options=SearchOptions(depth=5, top_n=50, heap_factor=5.0))
    found = {passage for passage, _ in ask(name, narrow)}
    allowed = {passage for passage, fields in searched.passages.items() if fields["metadata"]["law"] == RARE_LAW}
    assert len(allowed) == 5
    assert found
    assert found <= allowed
    if any(part in name for part in ("dense", "knn")):
        assert found == allowed


@pytest.mark.parametrize("mode", HYBRID_MODES, ids=lambda mode: mode.name)
def test_the_node_fuses_as_the_client_does(context, mode):
    weights = (0.7, 0.3) if len(mode.parts) == 2 else (0.5, 0.2, 0.3)
    weighed = replace(context, options=SearchOptions(weights={mode.name: weights}, rank_constant=20))
    singles = single_rankings(weighed, mode.parts, {"q": QUERY})
    expected = fuse([singles[part]["q"] for part in mode.parts], mode.technique, weights, rank_constant=20)
    assert dict(ask(mode.name, weighed)) == pytest.approx(dict(expected), rel=2e-4, abs=1e-5)


@pytest.mark.parametrize("mode", HYBRID_MODES, ids=lambda mode: mode.name)
def test_this_machine_fuses_one_request_as_the_node_fuses_a_hybrid(context, mode):
    twin = MODES[mode.name.removeprefix("hybrid-").replace("-", "+", len(mode.parts) - 1)]
    tuned = SearchOptions(weights={mode.name: (0.7, 0.3) if len(mode.parts) == 2 else (0.5, 0.2, 0.3)}, rank_constant=20)
    weighed = replace(context, options=tuned)  # weights that were tuned for the node's hybrid are its twin's too
    assert (twin.parts, twin.technique) == (mode.parts, mode.technique)
    assert dict(ask(twin.name, weighed)) == pytest.approx(dict(ask(mode.name, weighed)), rel=2e-4, abs=1e-5)


def test_a_mode_that_is_fused_here_asks_once_and_fetches_what_it_shows(context):
    sent = []

    class Noting:
        def __getattr__(self, name):
            return getattr(context.cluster, name)

        def request(self, method, path, body=None, **settings):
            sent.append((path.rpartition("/")[2], body))
            return context.cluster.request(method, path, body, **settings)

    few = replace(context, cluster=Noting(), size=3)
    for mode in CLIENT_FUSED_MODES:
        sent.clear()
        ids = mode.ask(mode.encode(QUERY, few), few).ranking
        assert [path for path, _ in sent] == ["_msearch"], mode.name
        texts = mode.ask(mode.encode(QUERY, few), few.showing(["text"], explain=False))
        assert [path for path, _ in sent[1:]] == ["_msearch", "_search"]
        assert '"_source": ["text"]' not in sent[1][1]
        assert sent[2][1]["query"] == {"ids": {"values": [passage for passage, _ in ids]}}
        assert [(hit["_id"], bool(hit["_source"]["text"])) for hit in texts.raw["hits"]["hits"]] == [(passage, True) for passage, _ in ids]


def test_a_part_that_fails_is_told_as_a_search_that_fails(searched, context):
    mode = MODES["bm25+seismic-minmax"]
    lost = replace(context, companion=f"{context.index}-lost")
    with pytest.raises(ClusterError, match=f"has no index {context.index}-lost") as refusal:
        mode.ask(mode.encode(QUERY, lost), lost)
    assert refusal.value.remedy
    undeploy(searched.cluster, searched.meta.query.model_id)
    steps = []
    assert look(searched, "bm25+sparse-rrf", on_step=steps.append).hits  # the node's own words lead to the model's return
    assert any("again" in step for step in steps)


def test_a_lone_hit_keeps_its_raw_score_under_z_score(searched, context):
    only = {"term": {"metadata.number": "0"}}
    lone = replace(context, filter=only, options=SearchOptions(weights={"hybrid-bm25-dense-zscore": (0.5, 0.5)}))
    text = searched.passages["p00"]["text"]
    [(_, lexical)] = ask("bm25", lone, text)
    [(_, dense)] = ask("dense", lone, text)
    [(_, fused)] = ask("hybrid-bm25-dense-zscore", lone, text)
    assert fused == pytest.approx((lexical + dense) / 2, rel=1e-4)
    assert fuse([[("p00", lexical)], [("p00", dense)]], "z_score") == [("p00", pytest.approx(fused, rel=1e-4))]


@pytest.mark.parametrize("technique", ["min_max", "rrf"])
def test_dense_and_seismic_are_fused_across_two_indexes(context, technique):
    options = SearchOptions(top_n=50, heap_factor=5.0, fusion=technique, weights={"dense+seismic": (0.4, 0.6)})
    weighed = replace(context, size=10, options=options)
    deep = replace(weighed, size=weighed.depth)
    assert ask("dense+seismic", weighed) == fuse([ask("dense", deep), ask("seismic", deep)], technique, (0.4, 0.6))[:10]


@pytest.mark.parametrize("name", BY_TOKENS)
def test_what_tokens_added_sums_to_the_score(searched, name):
    answer = look(searched, name, size=20, filter={"term": {"metadata.law": COMMON_LAW}})
    assert answer.hits
    for hit in answer.hits:
        assert name == "bm25-cjk" or set(hit.terms) <= set(QUERY.split())  # cjk cuts bigrams
        assert sum(hit.terms.values()) == pytest.approx(hit.score, rel=1e-4)
        assert list(hit.terms.values()) == sorted(hit.terms.values(), reverse=True)


@pytest.mark.parametrize("name", FUSED)
def test_what_parts_added_sums_to_the_score(searched, name):
    answer = look(searched, name, size=20)
    assert len(answer.hits) == 20
    for hit in answer.hits:
        assert tuple(hit.terms) == MODES[name].parts
        assert sum(hit.terms.values()) == pytest.approx(hit.score, rel=1e-4)


def test_a_dense_hit_names_no_token(searched):
    [hit] = look(searched, "dense", size=1).hits
    assert hit.terms == {}
    assert hit.title == searched.passages[hit.id]["title"]


def test_tuned_weights_are_kept_by_name_and_used(searched, context):
    mode = next(mode for mode in HYBRID_MODES if mode.name == "hybrid-bm25-sparse-minmax")
    tuning = Tuning("min_max", (0.1, 0.9), 0.0, 0.0)
    name = search_pipeline_name(searched.index, mode.name)
    assert save_tuning(context, mode, tuning)
    assert not save_tuning(context, mode, tuning)
    assert searched.cluster.request("GET", f"/_search/pipeline/{name}") == {name: hybrid_pipeline("min_max", (0.1, 0.9))}
    try:
        assert saved_weights(searched.cluster, searched.index) == {mode.name: (0.1, 0.9)}
        singles = single_rankings(context, mode.parts, {"q": QUERY})
        expected = fuse([singles[part]["q"] for part in mode.parts], "min_max", (0.1, 0.9))[:10]
        assert [hit.score for hit in look(searched, mode.name).hits] == pytest.approx([score for _, score in expected], rel=1e-4)
        asked_otherwise = look(searched, mode.name, options=SearchOptions(weights={mode.name: (0.9, 0.1)}))
        assert [hit.score for hit in asked_otherwise.hits] != [hit.score for hit in look(searched, mode.name).hits]
    finally:
        searched.cluster.request("DELETE", f"/_search/pipeline/{name}")


def test_this_machine_reads_queries_as_the_deployed_tokenizer_does(searched):
    texts = [QUERY, "전세 전세 계약은 교통", "전세을 모르는낱말 opensearch 3.6 😀", unicodedata.normalize("NFD", QUERY), " ".join(WORDS)]
    by_token, by_id = (
        predict_sparse(searched.cluster, searched.meta.query.model_id, texts, token_ids=token_ids) for token_ids in (False, True)
    )
    for text, weights, ids in zip(texts, by_token, by_id, strict=True):
        assert searched.reader.weights(text) == pytest.approx(weights)
        assert {str(token): weight for token, weight in searched.reader.ids(text).items()} == pytest.approx(ids)
    assert by_token[1]["교통"] == 1.0  # not in the table
    assert len(by_token[4]) == 30  # cut at 32 tokens, two of them special


def test_an_alias_is_searched_like_its_index(searched):
    alias = f"{searched.index}-alias"
    searched.cluster.request("POST", "/_aliases", {"actions": [{"add": {"index": searched.index, "alias": alias}}]})
    for mode in ("seismic", "hybrid-sparse-dense-rrf"):
        by_alias = search(searched.cluster, alias, QUERY, mode, content_terms=words)
        assert [hit.id for hit in by_alias.hits] == [hit.id for hit in look(searched, mode).hits]


def test_a_model_that_was_stopped_is_started_again(searched):
    undeploy(searched.cluster, searched.meta.query.model_id)
    steps = []
    assert look(searched, "sparse", on_step=steps.append).hits
    assert any("again" in step for step in steps)


def test_a_filter_by_a_field_that_no_passage_has_names_those_there_are(searched):
    with pytest.raises(UsageError, match="'laws'") as refusal:
        look(searched, "sparse", filter=parse_filters(["laws=민법"]))
    assert "law, number" in refusal.value.remedy


def test_filters_of_one_field_are_alternatives_and_of_two_must_both_hold(searched):
    hits = look(searched, "dense", size=60, filter=parse_filters(["number=3", "number=5", f"law={RARE_LAW}"])).hits
    assert [hit.id for hit in hits] == ["p05"]


def without(searched, **parts):
    return searched.meta.model_copy(update=parts)


@pytest.mark.parametrize(
    ("name", "lacking", "said"),
    [
        ("dense", {"dense": None}, "--dense"),
        ("knn", {"dense": None}, "--dense"),
        ("hybrid-bm25-dense-rrf", {"dense": None}, "--dense"),
        ("seismic", {"seismic": None}, "--seismic"),
        ("dense+seismic", {"seismic": None}, "--seismic"),
        ("sparse", {"query": None}, "--mode sparse-tokens"),
        ("sparse", {"by_token": False}, "--mode seismic"),
    ],
)
def test_what_an_index_lacks_is_said_with_the_way_to_have_it(searched, context, name, lacking, said):
    assert said in MODES[name].missing(replace(context, meta=without(searched, **lacking)))


def test_a_companion_that_is_gone_is_named(context):
    lost = replace(context, companion=f"{context.index}-lost")
    assert f"{context.index}-lost is gone" in MODES["seismic-tokens"].missing(lost)
    assert MODES["bm25"].missing(lost) is None


def test_a_model_that_was_deleted_is_named_with_the_way_back(searched):
    index = f"{searched.index}-orphan"
    gone = searched.meta.query.model_copy(update={"model_id": "nosuchmodel"})
    meta = without(searched, query=gone, dense=None, seismic=None)
    body = IndexPlan(index, meta).body()
    del body["settings"]["index"]["default_pipeline"]
    searched.cluster.request("PUT", f"/{index}", body)
    try:
        with pytest.raises(ClusterError, match="nosuchmodel") as refusal:
            search(searched.cluster, index, QUERY, "sparse", content_terms=words)
        assert "sparse-ko deploy --model" in refusal.value.remedy
    finally:
        searched.cluster.request("DELETE", f"/{index}")


@pytest.mark.parametrize(("name", "said"), [("sparse-tokens", "--model"), ("seismic-tokens", "--model"), ("knn", "--dense-model")])
def test_what_this_machine_lacks_is_said(searched, name, said):
    with pytest.raises(UsageError, match=said):
        look(searched, name, reader=None, query_vector=None)


def test_a_weight_that_the_node_would_refuse_is_refused_here(searched):
    class Heavy:
        def weights(self, text):
            return {"전세": 64.5}

        def ids(self, text):
            return {5: 64.5}

        spelling = str

    for mode in ("sparse-tokens", "seismic-tokens"):
        with pytest.raises(UsageError, match=r"64\.5"):
            look(searched, mode, reader=Heavy())


@pytest.mark.parametrize("size", [0, 10_001])
def test_a_size_that_no_node_gives_is_refused(searched, size):
    with pytest.raises(UsageError, match="1 to 10,000"):
        look(searched, "bm25", size=size)


def test_an_analyzer_that_the_cluster_lacks_is_named(searched):
    with pytest.raises(UsageError, match="analysis-nori"):
        look(searched, "bm25-nori")


def test_a_hybrid_falls_back_on_this_machine_where_no_model_is_deployed(searched, context):
    meta = IndexMeta.model_validate(searched.meta.model_dump() | {"query": None})
    there, here = context, replace(context, meta=meta)
    assert ask("hybrid-bm25-sparse-rrf", here) == ask("hybrid-bm25-sparse-rrf", there)


@pytest.mark.parametrize("mode", ["bm25", "sparse", "hybrid-bm25-sparse-rrf"])
def test_a_missing_index_says_how_it_is_made(searched, mode):
    with pytest.raises(ClusterError, match="has no index nowhere") as refusal:
        search(searched.cluster, "nowhere", "전세", mode, content_terms=words)
    assert "--index nowhere" in refusal.value.remedy


def test_a_query_of_too_many_terms_is_refused_in_plain_words(searched):
    long = " ".join(f"낱말{number}" for number in range(1_100))
    with pytest.raises(UsageError, match="1,024 terms"):
        look(searched, "bm25", long)
