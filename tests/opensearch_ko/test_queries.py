"""Request bodies are what OpenSearch reads, bad input is refused in plain words, and explanations are read to the last token."""

import json
import math
import zipfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer, models

from opensearch_ko.queries import (
    MODES,
    bm25,
    bm25_contributions,
    check_query,
    mode_named,
    neural_sparse,
    parse_filters,
    query_tokens,
    sparse_contributions,
    stored_weight,
)
from opensearch_ko.queries.bodies import exact_clause, hybrid_clause, knn_clause, neural_clause, seismic_clause, within_filter
from opensearch_ko.queries.explain import seismic_contributions
from opensearch_ko.queries.query_table import QueryTable
from opensearch_ko.queries.search_pipelines import check_part_weights, hybrid_pipeline, pipeline_weights, two_phase_pipeline
from retrieval_ko.errors import ModelError, UsageError

LAW = {"term": {"metadata.law": "민법"}}
SEISMIC = {"k": 100, "top_n": 10, "heap_factor": 1.0}


def test_bm25_asks_the_morphemes():
    assert bm25(["전세", "보증금"], 5)["query"] == {"match": {"morphemes": {"query": "전세 보증금"}}}


def test_a_query_without_content_terms_finds_nothing():
    assert bm25([])["query"] == {"match_none": {}}
    assert query_tokens({})["query"] == {"match_none": {}}
    assert seismic_clause({}, **SEISMIC) == {"match_none": {}}


def test_neural_sparse_always_names_its_model():
    body = neural_sparse("전세", "m1", 7)
    assert body["query"] == {"neural_sparse": {"sparse": {"query_text": "전세", "model_id": "m1"}}}
    assert body["size"] == 7


@pytest.mark.parametrize("weights", [{"전세": 0.0}, {"전세": -1.0}, {"전세": 64.5}, {"전세": math.nan}])
def test_weights_that_rank_features_refuses_are_not_sent(weights):
    with pytest.raises(ValueError, match="전세"):
        query_tokens(weights)


def test_more_tokens_than_clauses_are_not_sent():
    with pytest.raises(ValueError, match="1025"):
        query_tokens({str(number): 1.0 for number in range(1025)})


def test_seismic_is_asked_by_ids_or_by_text_with_the_filter_inside():
    by_ids = seismic_clause({5: 1.0}, **SEISMIC, within=LAW)["neural_sparse"]["sparse"]
    assert by_ids == {"query_tokens": {"5": 1.0}, "method_parameters": SEISMIC | {"filter": LAW}}
    by_text = seismic_clause(("전세", "m1"), **SEISMIC)["neural_sparse"]["sparse"]
    assert by_text == {"query_text": "전세", "model_id": "m1", "method_parameters": SEISMIC}


@pytest.mark.parametrize("token", [32_768, -1])
def test_ids_that_seismic_would_confuse_are_not_sent(token):
    with pytest.raises(ValueError, match="32,767"):
        seismic_clause({token: 1.0, 5: 1.0}, **SEISMIC)


def test_dense_clauses_hold_their_filter_inside():
    assert neural_clause("전세", "m1", 20, LAW) == {"neural": {"dense": {"query_text": "전세", "model_id": "m1", "k": 20, "filter": LAW}}}
    assert knn_clause([0.5], 20) == {"knn": {"dense": {"vector": [0.5], "k": 20}}}
    exact = exact_clause([0.5], "l2", LAW)["script_score"]
    assert exact["query"] == {"bool": {"filter": [{"exists": {"field": "dense"}}, LAW]}}
    assert exact["script"]["params"] == {"field": "dense", "query_value": [0.5], "space_type": "l2"}


def test_a_filter_stands_beside_a_clause_where_two_phases_still_see_it():
    clause = {"match_all": {}}
    assert within_filter(clause, None) is clause
    assert within_filter(clause, LAW) == {"bool": {"should": [clause], "filter": [LAW], "minimum_should_match": 1}}


@pytest.mark.parametrize("count", [1, 6])
def test_a_hybrid_has_two_to_five_parts(count):
    with pytest.raises(UsageError, match="2 to 5"):
        hybrid_clause([{"match_all": {}}] * count, 100)


@pytest.mark.parametrize("weights", [(0.5, 0.6), (1.5, -0.5), (0.5,)])
def test_weights_that_do_not_share_one_are_refused(weights):
    with pytest.raises(UsageError, match="sum to 1"):
        check_part_weights(weights)


@pytest.mark.parametrize("technique", ["min_max", "l2", "z_score", "rrf"])
def test_a_pipelines_weights_are_read_back(technique):
    assert pipeline_weights(hybrid_pipeline(technique, (0.25, 0.75))) == (0.25, 0.75)
    assert pipeline_weights(two_phase_pipeline(0.3, 5.0)) is None


@pytest.mark.parametrize(
    ("texts", "clause"),
    [
        ([], None),
        (["law=민법"], LAW),
        (["metadata.law=민법"], LAW),
        (["law=민법", "law=상법"], {"terms": {"metadata.law": ["민법", "상법"]}}),
        (["law=민법", "kind=a=b"], {"bool": {"filter": [LAW, {"term": {"metadata.kind": "a=b"}}]}}),
    ],
)
def test_filters_are_read_as_clauses(texts, clause):
    assert parse_filters(texts) == clause


@pytest.mark.parametrize("text", ["민법", "=민법", "law=", " = "])
def test_what_is_no_filter_is_refused(text):
    with pytest.raises(UsageError, match="FIELD=VALUE"):
        parse_filters([text])


@pytest.mark.parametrize("query", ["", " \n\t"])
def test_an_empty_query_is_refused(query):
    with pytest.raises(UsageError, match="empty"):
        check_query(query)


def test_a_query_that_is_a_whole_document_is_refused():
    check_query("가" * 10_000)
    with pytest.raises(UsageError, match="10,001 characters"):
        check_query("가" * 10_001)


def test_an_unknown_mode_names_those_there_are():
    with pytest.raises(UsageError) as refusal:
        mode_named("hybrid")
    assert "hybrid-bm25-sparse-rrf" in refusal.value.remedy


@given(st.floats(2**-100, 2**20, width=32))
def test_a_stored_weight_loses_less_than_half_a_percent(weight):
    kept = stored_weight(weight)
    assert 0 <= weight - kept <= weight * 2**-8
    assert stored_weight(kept) == kept


def explained(value, description, *details):
    return {"value": value, "description": description, "details": list(details)}


def test_bm25_contributions_are_read_from_one_and_from_many_clauses():
    def clause(term, value, field="morphemes"):
        return explained(value, f"weight({field}:{term} in 7) [PerFieldSimilarity], result of:", explained(value, "score(freq=1.0)"))

    assert bm25_contributions(clause("전세", 1.5)) == {"전세": 1.5}
    both = explained(3.5, "sum of:", clause("전세", 1.5), clause("a in b)", 2.0), clause("전세", 9.0, "passage.cjk"))
    assert bm25_contributions(both) == {"a in b)": 2.0, "전세": 1.5}
    assert bm25_contributions(both, "passage.cjk") == {"전세": 9.0}


def test_sparse_contributions_are_summed_over_both_phases():
    def feature(token, value):
        return explained(value, f"Linear function on the sparse field for the {token} feature, computed as w * S from:")

    phases = explained(
        2.75,
        "sum of:",
        explained(2.0, "product of:", explained(2.0, "sum of:", feature("보증금", 1.5), feature("##은 feature", 0.5))),
        explained(0.75, "product of:", feature("전세", 0.5), explained(1.0, "secondaryWeight")),
        feature("보증금", 0.25),
    )
    assert sparse_contributions(phases) == {"보증금": 1.75, "##은 feature": 0.5, "전세": 0.5}


def test_seismic_contributions_are_scaled_back_and_named():
    score = explained(
        3.0,
        "sparse_ann score for doc 0 in field 'sparse'",
        explained(
            300,
            "raw dot product score (quantized): 300",
            explained(100, "token '5' contribution: query_weight=10 * doc_weight=10"),
            explained(200, "token '6' contribution: query_weight=10 * doc_weight=20"),
        ),
        explained(0.01, "quantization rescaling: 1.0000 * 3.00 * 3.00 / 255 / 255 = 0.01"),
    )
    assert seismic_contributions(score) == {"6": 2.0, "5": 1.0}
    assert seismic_contributions(score, {5: "전세", 6: "보증금"}.__getitem__) == {"보증금": 2.0, "전세": 1.0}


def write_zip(path, **entries):
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in entries.items():
            archive.writestr(name.replace("_json", ".json"), content)
    return path


@pytest.mark.parametrize(
    ("entries", "said"),
    [
        ({}, "no idf.json and no tokenizer.json"),
        ({"tokenizer_json": "{}"}, "no idf.json"),
        ({"tokenizer_json": "{}", "idf_json": "{"}, "readable"),
    ],
)
def test_what_is_no_query_zip_is_refused(tmp_path, entries, said):
    with pytest.raises(ModelError, match=said):
        QueryTable.read(write_zip(tmp_path / "query.zip", **entries))


def test_a_file_that_is_missing_or_no_zip_is_refused(tmp_path):
    with pytest.raises(ModelError, match="no file"):
        QueryTable.read(tmp_path / "none.zip")
    (tmp_path / "text.zip").write_text("no zip")
    with pytest.raises(ModelError, match="readable"):
        QueryTable.read(tmp_path / "text.zip")


def test_a_damaged_tokenizer_or_table_is_refused(tmp_path):
    good = Tokenizer(models.WordLevel({"[UNK]": 0, "전세": 1}, unk_token="[UNK]")).to_str()
    for tokenizer, table in ((json.dumps({"model": 3}), "{}"), (good, "[1, 2]"), (good, '{"전세": "viel"}')):
        with pytest.raises(ModelError, match="readable"):
            QueryTable.read(write_zip(tmp_path / "query.zip", tokenizer_json=tokenizer, idf_json=table))


def test_every_mode_is_explained_in_its_page():
    page = (Path(__file__).parents[2] / "docs" / "search.md").read_text(encoding="utf-8")
    fused = {name for name in MODES if name.startswith("hybrid-") or "+" in name}
    families = {(name in fused and name.rpartition("-")[0]) or name for name in MODES}
    assert [name for name in sorted(families) if f"`{name}" not in page] == []
