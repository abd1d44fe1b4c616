"""Promises kept on a real node: deploy twice is deploy once, every kind of model serves, the node's words are shown."""

import json
import sys
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest

from opensearch_ko.deployment import bundle_of, deploy_archive, rehearse
from opensearch_ko.errors import ClusterError, DeployError
from opensearch_ko.indexes import SeismicSettings, read_meta, seismic_name
from opensearch_ko.models import (
    CHUNK_BYTES,
    MODELS,
    delete,
    deploy,
    ensure_deployed,
    model_state,
    predict_dense,
    predict_sparse,
    registration,
    undeploy,
    verify_deployed,
)
from opensearch_ko.pipelines import pipeline_name
from opensearch_ko.pruning import Pruning
from retrieval_ko.errors import ModelError, UsageError

sys.path.insert(0, str(Path(__file__).parent))
from deploy_archives import DIMENSIONS, PROBE_TEXT, dense_archive, registered, sparse_archive, table_of, words_archive

pytestmark = pytest.mark.node


def bring_up(cluster, archive, index, **settings):
    steps = []
    return deploy_archive(cluster, archive, index, on_step=steps.append, **settings), steps


@pytest.fixture(scope="module")
def whole(cluster, made):
    """An index of everything: a doc-only encoder with its query tokenizer, a dense model, pruning, a companion."""
    name = made.index()
    encoder = made.archive(sparse_archive, seed=3, form="doc-only")
    query = made.archive(words_archive, role="query-tokenizer", name=f"{encoder.card.name}-query", version=encoder.card.version)
    dense = made.archive(dense_archive)
    settings = {"dense": dense, "query": query, "pruning": Pruning(type="max_ratio", ratio=0.5), "seismic": SeismicSettings()}
    done, _ = bring_up(cluster, encoder, name, **settings)
    return name, done, encoder, query, dense, settings


def test_an_index_of_everything_remembers_all_its_models(cluster, whole):
    name, done, encoder, _, dense, _ = whole
    meta = read_meta(cluster, name)
    assert [model.model_id for model in meta.models] == [done.model_id, done.query_model_id, done.dense_model_id]
    assert meta.query_model_id == done.query_model_id
    assert (meta.form, meta.pruning, meta.dense.dimension) == ("doc-only", Pruning(type="max_ratio", ratio=0.5), DIMENSIONS)
    assert meta.seismic.quantization_ceiling_ingest >= encoder.card.heaviest_weight
    assert meta.seismic.quantization_ceiling_search >= max(table_of().values())  # read from the query zip's own table
    assert read_meta(cluster, seismic_name(name)) == meta
    assert done.largest_difference < 1e-4
    assert predict_dense(cluster, done.dense_model_id, [PROBE_TEXT])[0] == pytest.approx(dense.card.probe_vector, abs=1e-4)


def test_its_pipeline_writes_pruned_weights_and_a_vector(cluster, whole):
    name, done, *_ = whole
    text = "임대차 계약이 끝나면 전세 보증금을 돌려받는다"
    cluster.request("PUT", f"/{name}/_doc/1", {"passage": text}, params={"refresh": "true"})
    stored = cluster.request("GET", f"/{name}/_doc/1")["_source"]
    [whole_weights] = predict_sparse(cluster, done.model_id, [text])
    limit = 0.5 * max(whole_weights.values())
    assert set(stored["sparse"]) == {token for token, weight in whole_weights.items() if weight >= limit}
    assert 0 < len(stored["sparse"]) < len(whole_weights)
    [vector] = predict_dense(cluster, done.dense_model_id, [text])
    assert stored["dense"] == pytest.approx(vector, abs=1e-5)
    cluster.request("DELETE", f"/{name}/_doc/1", params={"refresh": "true"})


def test_a_second_deploy_of_everything_changes_nothing(cluster, whole):
    name, first, encoder, _, _, settings = whole
    shape = cluster.request("GET", f"/{name}*"), cluster.request("GET", f"/_ingest/pipeline/{pipeline_name(name)}")
    second, steps = bring_up(cluster, encoder, name, **settings)
    assert second.already
    assert steps == []
    assert replace(second, model_already=False, pipeline_already=False, index_already=False) == first
    assert (cluster.request("GET", f"/{name}*"), cluster.request("GET", f"/_ingest/pipeline/{pipeline_name(name)}")) == shape


def test_what_a_deploy_does_not_name_stays_in_the_index(cluster, whole):
    name, first, encoder, query, *_ = whole
    second, _ = bring_up(cluster, encoder, name, query=query)
    assert second.already
    assert (second.dense_model_id, second.seismic_index) == (first.dense_model_id, seismic_name(name))


@pytest.mark.parametrize("token_ids", [False, True])
def test_a_model_answers_by_token_or_by_id(cluster, whole, token_ids):
    _, done, encoder, *_ = whole
    [weights] = predict_sparse(cluster, done.model_id, [PROBE_TEXT], token_ids=token_ids)
    assert sorted(weights.values()) == pytest.approx(sorted(encoder.card.probe_weights.values()), abs=1e-4)
    assert all(key.isdigit() for key in weights) == token_ids


def test_another_pruning_is_refused_before_anything_is_written(cluster, whole):
    name, _, encoder, query, *_ = whole
    before = cluster.request("GET", f"/{name}*")
    with pytest.raises(ClusterError, match=r"were pruned by max_ratio:0\.5, now by top_k:8") as refusal:
        bring_up(cluster, encoder, name, query=query, pruning=Pruning(type="top_k", ratio=8))
    assert "Leave --prune out" in refusal.value.remedy
    assert cluster.request("GET", f"/{name}*") == before


def test_a_dense_model_for_an_index_without_vectors_is_a_mapping_conflict(cluster, made, whole):
    dense, name, archive = whole[4], made.index(), made.archive(words_archive, seed=1)
    bring_up(cluster, archive, name)
    with pytest.raises(ClusterError, match="field dense"):
        bring_up(cluster, archive, name, dense=dense)
    assert read_meta(cluster, name).dense is None


def test_a_field_that_someone_added_otherwise_is_named(cluster, made):
    name, archive = made.index(), made.archive(words_archive, seed=2)
    bring_up(cluster, archive, name)
    remembered = cluster.request("GET", f"/{name}/_mapping")[name]["mappings"]["_meta"]
    cluster.request("DELETE", f"/{name}")
    cluster.request("PUT", f"/{name}", {"mappings": {"_meta": remembered, "properties": {"sparse": {"type": "keyword"}}}})
    with pytest.raises(ClusterError, match="field sparse") as refusal:
        bring_up(cluster, archive, name)
    assert "deploy delete" in refusal.value.remedy


def test_a_missing_pipeline_is_put_back(cluster, made):
    name, archive = made.index(), made.archive(words_archive, seed=3)
    bring_up(cluster, archive, name)
    cluster.request("PUT", f"/{name}/_settings", {"index.default_pipeline": "_none"})
    cluster.request("DELETE", f"/_ingest/pipeline/{pipeline_name(name)}")
    again, _ = bring_up(cluster, archive, name)
    assert not again.pipeline_already
    assert again.model_already
    assert cluster.find(f"/_ingest/pipeline/{pipeline_name(name)}")


def test_the_same_model_zipped_again_is_the_same_model(cluster, made):
    index, archive = made.index(), made.archive(words_archive, seed=4)
    first, _ = bring_up(cluster, archive, index)
    with zipfile.ZipFile(archive.path, "a") as zipped:
        zipped.writestr("LICENSE", "Apache-2.0")
    again = replace(archive, sha256="0" * 64, size_bytes=archive.path.stat().st_size)
    assert bring_up(cluster, again, index)[0].already
    elsewhere, _ = bring_up(cluster, again, made.index())
    assert elsewhere.model_id == first.model_id


def test_a_dry_run_names_every_write_and_sends_none(cluster, made):
    archive, index = made.archive(words_archive, seed=5), made.index()
    _, planned = rehearse(cluster, bundle_of(archive, seismic=SeismicSettings()), index, alias=f"{index}-live")
    model = f"{{model_id of {archive.card.name}}}"
    assert [(request.method, request.path.replace(index, "INDEX")) for request in planned] == [
        ("POST", f"{MODELS}/_register_meta"),
        ("POST", f"{MODELS}/{model}/upload_chunk/0"),
        ("POST", f"{MODELS}/{model}/_deploy"),
        ("POST", f"{MODELS}/{model}/_predict"),
        ("PUT", "/_ingest/pipeline/INDEX-ingest"),
        ("PUT", "/INDEX"),
        ("PUT", "/INDEX-seismic"),
        ("POST", "/_aliases"),
    ]
    assert registered(cluster, archive) == []
    assert read_meta(cluster, index) is None


def test_a_model_that_no_node_can_load_shows_the_nodes_words(cluster, made):
    archive = made.archive(sparse_archive, graph=b"this is not TorchScript")
    with pytest.raises(DeployError) as refusal:
        ensure_deployed(cluster, archive)
    [reason] = json.loads(refusal.value.reason).values()
    assert reason in refusal.value.problem
    node = next(iter(cluster.request("GET", "/_nodes/_all/name")["nodes"].values()))["name"]
    assert f"node {node}" in refusal.value.problem


def test_a_model_of_several_chunks_arrives_whole(cluster, made):
    archive = made.archive(words_archive, seed=6)
    with zipfile.ZipFile(archive.path, "a") as zipped:
        zipped.writestr("padding.bin", bytes(CHUNK_BYTES + 1))  # stored, not compressed
    archive = _read_again(archive)
    made.archives.append(archive)
    steps = []
    model = ensure_deployed(cluster, archive, steps.append)
    assert [step.partition(": ")[2] for step in steps[:2]] == ["upload 1 of 2", "upload 2 of 2"]
    assert verify_deployed(cluster, model.model_id, archive.card) < 1e-4


def _read_again(archive):
    from retrieval_ko.files import sha256

    return replace(archive, sha256=sha256(archive.path), size_bytes=archive.path.stat().st_size)


def test_an_upload_that_is_interrupted_leaves_nothing(cluster, made):
    archive = made.archive(words_archive, seed=7)

    def interrupt(step):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        ensure_deployed(cluster, archive, interrupt)
    assert registered(cluster, archive) == []


@pytest.mark.parametrize("deployed_in_vain", [False, True])
def test_a_registration_without_its_chunks_is_done_anew(cluster, made, deployed_in_vain):
    archive = made.archive(words_archive, seed=8)
    broken = cluster.request("POST", f"{MODELS}/_register_meta", registration(archive))["model_id"]
    if deployed_in_vain:
        with pytest.raises(DeployError, match="Fail to find model chunk"):
            deploy(cluster, broken)
    model = ensure_deployed(cluster, archive)
    assert model.model_id != broken
    assert model_state(cluster, broken) is None
    assert [found.model_id for found in registered(cluster, archive)] == [model.model_id]


def test_an_undeployed_model_is_deployed_again_under_its_id(cluster, made):
    archive = made.archive(words_archive, seed=9)
    first = ensure_deployed(cluster, archive)
    undeploy(cluster, first.model_id)
    with pytest.raises(ClusterError, match="Model not ready yet"):
        predict_sparse(cluster, first.model_id, ["전세"])
    second = ensure_deployed(cluster, archive)
    assert (second.model_id, second.already) == (first.model_id, False)


def test_a_model_that_answers_otherwise_is_refused_with_its_worst_token(cluster, whole):
    _, done, encoder, *_ = whole
    card = encoder.card.model_copy(update={"probe_weights": encoder.card.probe_weights | {"전세": 9.0}})
    with pytest.raises(DeployError, match=r"전세: here 9\.00000"):
        verify_deployed(cluster, done.model_id, card)


def test_a_dense_model_that_answers_otherwise_is_refused(cluster, whole):
    _, done, _, _, dense, _ = whole
    card = dense.card.model_copy(update={"probe_vector": [-number for number in dense.card.probe_vector]})
    with pytest.raises(DeployError, match=r"dimension \d+: here"):
        verify_deployed(cluster, done.dense_model_id, card)


def test_an_index_of_another_model_stays_as_it_is(cluster, made):
    mine, other, index = made.archive(words_archive, seed=10), made.archive(words_archive, seed=11), made.index()
    bring_up(cluster, mine, index)
    before = cluster.request("GET", f"/{index}"), cluster.request("GET", f"/_ingest/pipeline/{pipeline_name(index)}")
    with pytest.raises(ClusterError, match="weights of another model") as refusal:
        bring_up(cluster, other, index)
    assert "--index" in refusal.value.remedy
    assert (cluster.request("GET", f"/{index}"), cluster.request("GET", f"/_ingest/pipeline/{pipeline_name(index)}")) == before
    assert registered(cluster, other) == []


def test_an_index_that_is_not_ours_is_refused(cluster, made):
    index = made.index()
    cluster.request("PUT", f"/{index}", {"settings": {"number_of_replicas": 0}})
    with pytest.raises(ClusterError, match="was not made by sparse-ko"):
        bring_up(cluster, made.archive(words_archive, seed=12), index)


def test_a_model_registered_again_keeps_its_index(cluster, made):
    archive, index = made.archive(words_archive, seed=13), made.index()
    first, _ = bring_up(cluster, archive, index, seismic=SeismicSettings())
    delete(cluster, first.model_id)
    second, _ = bring_up(cluster, archive, index)
    assert second.model_id != first.model_id
    for name in (index, seismic_name(index)):
        assert read_meta(cluster, name).encoder.model_id == second.model_id


def test_zips_that_do_not_go_together_are_refused_unread(made, whole):
    _, _, encoder, query, dense, _ = whole
    lonely = made.archive(sparse_archive, seed=14, form="doc-only")
    with pytest.raises(ModelError, match="its query tokenizer is not beside it"):
        bundle_of(lonely)
    with pytest.raises(ModelError, match="reads the queries of another model"):
        bundle_of(lonely, query)
    with pytest.raises(UsageError, match="its card says dense"):
        bundle_of(encoder, dense)
    with pytest.raises(UsageError, match="no address that a node could read"):
        bundle_of(encoder, query, via_url="C:\\model.zip")
    large = replace(encoder, card=encoder.card.model_copy(update={"vocabulary_size": 32_769}))
    with pytest.raises(ModelError, match="up to id 32,768"):
        bundle_of(large, query, seismic=SeismicSettings())
    by_id = replace(encoder, card=encoder.card.model_copy(update={"serves": ["sparse_vector"]}))
    with pytest.raises(ModelError, match="not all spelt apart"):
        bundle_of(by_id, query)
