"""An index remembers its model, and a name that OpenSearch refuses is refused before anything is sent."""

import pytest

from opensearch_ko.export.archive import ExportCard
from opensearch_ko.indexes import PROPERTIES, IndexMeta, IndexPlan, ModelReference, card_fingerprint, check_index_name
from opensearch_ko.pipelines import pipeline_body, pipeline_name
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


@pytest.mark.parametrize("name", ["", "Legal", "a b", "a,b", "_a", "-a", ".a", "a/b", 'a"', "가" * 81])
def test_a_name_that_opensearch_refuses(name):
    with pytest.raises(UsageError, match="cannot be the name of an index"):
        check_index_name(name)


def test_hangul_may_name_an_index():
    assert check_index_name("법령-2") == "법령-2"


def test_two_exports_of_one_folder_have_one_fingerprint():
    again = CARD.model_copy(update={"parity": {"texts": 3, "difference": 1e-7}, "probe_weights": {"보증금": 0.50000001, "전세": 1.25}})
    assert card_fingerprint(again) == card_fingerprint(CARD)


@pytest.mark.parametrize("change", [{"version": "ba9876543210"}, {"max_tokens": 128}, {"probe_weights": {"전세": 1.26, "보증금": 0.5}}])
def test_another_model_has_another_fingerprint(change):
    assert card_fingerprint(CARD.model_copy(update=change)) != card_fingerprint(CARD)


def test_the_index_says_which_model_filled_it_and_by_which_pipeline():
    encoder = ModelReference(model_id="m1", name=CARD.name, version=CARD.version, fingerprint=card_fingerprint(CARD))
    body = IndexPlan("demo", IndexMeta(encoder=encoder)).body()
    assert IndexMeta.model_validate(body["mappings"]["_meta"]["sparse_ko"]).query_model_id == "m1"
    assert body["settings"]["index"] == {"number_of_shards": 1, "number_of_replicas": 0, "default_pipeline": pipeline_name("demo")}


def test_the_pipeline_reads_and_writes_fields_of_the_index():
    [processor] = pipeline_body("m1")["processors"]
    [(source, target)] = processor["sparse_encoding"]["field_map"].items()
    assert PROPERTIES[source]["type"] == "text"
    assert PROPERTIES[target]["type"] == "rank_features"
