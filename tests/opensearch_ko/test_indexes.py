"""An index remembers its models, and a name that OpenSearch refuses is refused before anything is sent."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from opensearch_ko.export.archive import ExportCard
from opensearch_ko.index_meta import DenseReference, IndexMeta, ModelReference, SeismicSettings, card_fingerprint
from opensearch_ko.indexes import DENSE_FIELD, PROPERTIES, SPARSE_FIELD, IndexPlan, check_index_name
from opensearch_ko.models import Probe
from opensearch_ko.pipelines import pipeline_body, pipeline_name
from opensearch_ko.pruning import Pruning
from retrieval_ko.errors import UsageError

CARD = ExportCard(
    name="legal",
    version="0123456789ab",
    vocabulary_size=100,
    max_tokens=64,
    probe_text="전세",
    probe_weights={"전세": 1.25, "보증금": 0.5},
    parity={"texts": 3},
    versions={"torch": "2.5.1"},
)
DENSE_CARD = CARD.model_copy(
    update={
        "name": "vectors",
        "role": "dense",
        "vocabulary_size": 4,
        "probe_weights": {},
        "probe_vector": [0.5, -0.5, 0.25, 0.75],
        "registration": {"additional_config": {"space_type": "innerproduct"}},
    }
)
ENCODER = ModelReference.of(CARD, "m1")
DENSE = DenseReference.of(DENSE_CARD, "m2")


@pytest.mark.parametrize("name", ["", "Legal", "a b", "a,b", "_a", "-a", ".a", "a/b", 'a"', "가" * 81])
def test_a_name_that_opensearch_refuses(name):
    with pytest.raises(UsageError, match="cannot be the name of an index"):
        check_index_name(name)


def test_hangul_may_name_an_index():
    assert check_index_name("법령-2") == "법령-2"


def test_two_exports_of_one_folder_have_one_fingerprint():
    again = CARD.model_copy(update={"parity": {"texts": 3, "difference": 1e-7}, "probe_weights": {"보증금": 0.50000001, "전세": 1.25}})
    assert card_fingerprint(again) == card_fingerprint(CARD)


@pytest.mark.parametrize(
    "change",
    [{"version": "ba9876543210"}, {"max_tokens": 128}, {"probe_weights": {"전세": 1.26, "보증금": 0.5}}, {"probe_vector": [0.5]}],
)
def test_another_model_has_another_fingerprint(change):
    assert card_fingerprint(CARD.model_copy(update=change)) != card_fingerprint(CARD)


def test_the_index_says_which_models_filled_it_and_by_which_pipeline():
    meta = IndexMeta(encoder=ENCODER, dense=DENSE, pruning=Pruning(type="top_k", ratio=64), alias="live", previous="live-1")
    body = IndexPlan("demo", meta).body()
    assert IndexMeta.model_validate(body["mappings"]["_meta"]["sparse_ko"]) == meta
    assert meta.query_model_id == "m1"
    index = {"number_of_shards": 1, "number_of_replicas": 0, "default_pipeline": pipeline_name("demo"), "knn": True}
    assert body["settings"]["index"] == index
    field = body["mappings"]["properties"][DENSE_FIELD]
    assert (field["dimension"], field["method"]["engine"], field["method"]["space_type"]) == (4, "lucene", "innerproduct")


def test_the_companion_has_weights_by_id_and_no_vectors():
    meta = IndexMeta(encoder=ENCODER, dense=DENSE, seismic=SeismicSettings(quantization_ceiling_ingest=2.5))
    body = IndexPlan("demo", meta).seismic_body()
    assert body["settings"]["index"]["sparse"] is True
    assert "knn" not in body["settings"]["index"]  # the two cannot stand in one index (contract, 2.5)
    method = body["mappings"]["properties"][SPARSE_FIELD]["method"]
    assert method["parameters"]["quantization_ceiling_ingest"] == 2.5
    assert "n_postings" not in method["parameters"]  # 3.6.0 refuses the documented -1: "must be a positive integer"


def test_nori_stands_beside_the_other_analyzers_where_the_cluster_has_it():
    fields = IndexPlan("demo", IndexMeta(encoder=ENCODER), nori=True).body()["mappings"]["properties"]["passage"]["fields"]
    assert fields["nori"] == {"type": "text", "analyzer": "nori"}
    assert "cjk" in fields
    assert "nori" not in PROPERTIES["passage"]["fields"]


def test_the_pipeline_reads_and_writes_fields_of_the_index_and_prunes_as_it_says():
    meta = IndexMeta(encoder=ENCODER, dense=DENSE, pruning=Pruning(type="max_ratio", ratio=0.1))
    sparse, dense = pipeline_body(meta)["processors"]
    [(source, target)] = sparse["sparse_encoding"]["field_map"].items()
    assert PROPERTIES[source]["type"] == "text"
    assert PROPERTIES[target]["type"] == "rank_features"
    assert (sparse["sparse_encoding"]["prune_type"], sparse["sparse_encoding"]["prune_ratio"]) == ("max_ratio", 0.1)
    assert (dense["text_embedding"]["model_id"], dense["text_embedding"]["field_map"]) == ("m2", {"passage": DENSE_FIELD})


def test_without_pruning_or_vectors_the_pipeline_has_neither():
    [processor] = pipeline_body(IndexMeta(encoder=ENCODER))["processors"]
    assert not {"prune_type", "prune_ratio"} & processor["sparse_encoding"].keys()
    assert pipeline_body(IndexMeta(encoder=ENCODER, by_token=False))["processors"] == []


@given(st.dictionaries(st.text(min_size=1), st.floats(0.001, 60), max_size=100), st.lists(st.floats(-1, 1), max_size=80))
def test_what_an_index_remembers_of_an_answer_is_its_heaviest_part(weights, vector):
    kept = Probe(text="전세", weights=weights, vector=vector).remembered
    assert set(kept.weights) <= set(weights)
    assert len(kept.weights) == min(len(weights), 32)
    assert all(weights[key] >= min(kept.weights.values()) - 1e-6 for key in kept.weights)
    assert max(weights.values(), default=0) == pytest.approx(max(kept.weights.values(), default=0), abs=1e-6)
    assert kept.vector == pytest.approx(vector[:32], abs=1e-6)
    assert not kept.whole
