"""A model of each kind, deployed on a real node and asked: its answers are PyTorch's, by tokens and by ids, and queries are served."""

import sys
import uuid
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
import torch

sys.path.insert(0, str(Path(__file__).parent))
import export_models

from opensearch_ko.cluster_facts import probe
from opensearch_ko.errors import DeployError
from opensearch_ko.export import export_dense, export_model
from opensearch_ko.export.node_parity import check_parity_on_node
from opensearch_ko.export.parity_texts import PARITY_TEXTS
from opensearch_ko.models import delete, deploy, predict_dense, predict_sparse, register, verify_deployed
from opensearch_ko.preflight import Needs, apply_settings, preflight, settings_that_mend
from opensearch_ko.pruning import Pruning
from sparse_ko.model import SparseEncoder

pytestmark = pytest.mark.node

TEXTS = (*PARITY_TEXTS[1:38:2], *PARITY_TEXTS[40::16])
PASSAGES = {"a": "전세 보증금을 신청하는 절차", "b": "서울에서 opensearch 검색", "c": "임차인 한국어 습니다"}
SPARSE_KINDS = {
    "siamese": {"form": "siamese"},
    "siamese-onnx-pruned": {"form": "siamese", "model_format": "onnx", "pruning": Pruning.parse("max_ratio:0.3")},
    "siamese-int8": {"form": "siamese", "model_format": "onnx", "precision": "int8"},
    "doc-only": {"form": "doc-only"},
    "floor": {"form": "floor"},
    "floor-onnx": {"form": "floor", "model_format": "onnx"},
}


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    root, pieces = tmp_path_factory.mktemp("kinds"), export_models.tokenizer()
    for form in ("siamese", "doc-only", "floor"):
        export_models.encoder(form, pieces).save(root / form)
    export_models.save_dense(root / "dense", pieces, prompts={"query": "질문: ", "passage": "글: "})
    return root


@pytest.fixture
def unique():
    return f"parity-{uuid.uuid4().hex[:8]}"


@contextmanager
def deployed(cluster, archive):
    if needed := settings_that_mend(preflight(probe(cluster), Needs([archive]))):
        apply_settings(cluster, needed)
    model_id = register(cluster, archive)
    try:
        deploy(cluster, model_id)
        yield model_id
    finally:
        delete(cluster, model_id)


@contextmanager
def filled_index(cluster, name, field, rows):
    cluster.request(
        "PUT",
        f"/{name}",
        {"settings": {"number_of_replicas": 0, "index.knn": "knn_vector" in str(field)}, "mappings": {"properties": {"field": field}}},
    )
    try:
        for passage, row in zip(PASSAGES, rows, strict=True):
            cluster.request("PUT", f"/{name}/_doc/{passage}", {"field": row}, params={"refresh": "true"})
        yield lambda query: {
            hit["_id"]: hit["_score"] for hit in cluster.request("POST", f"/{name}/_search", {"query": query})["hits"]["hits"]
        }
    finally:
        cluster.request("DELETE", f"/{name}")


def dot(asked, offered):
    return sum(weight * offered.get(token, 0.0) for token, weight in asked.items())


@pytest.mark.parametrize("kind", SPARSE_KINDS)
def test_a_sparse_model_answers_on_the_node_as_in_pytorch_and_serves_queries(cluster, folders, tmp_path, unique, kind):
    settings = dict(SPARSE_KINDS[kind])
    folder = folders / settings.pop("form")
    done = export_model(folder, tmp_path, name=unique, **settings)
    encoder = SparseEncoder.load(folder, device="cpu")
    text = "전세 보증금 절차"
    with deployed(cluster, done.encoder) as model_id:
        parity = check_parity_on_node(cluster, model_id, done.encoder, encoder=encoder, texts=TEXTS)
        assert (parity.texts, parity.tolerance) == (len(TEXTS), done.encoder.card.tolerance)
        assert parity.largest_difference <= 1e-4  # of int8 too, since node and client run the same graph on the same processor
        assert verify_deployed(cluster, model_id, done.encoder.card) <= 1e-4
        rows = predict_sparse(cluster, model_id, list(PASSAGES.values()))
        with filled_index(cluster, unique, {"type": "rank_features"}, rows) as search:
            if done.query is None:
                [asked] = predict_sparse(cluster, model_id, [text])
                found = search({"neural_sparse": {"field": {"query_text": text, "model_id": model_id}}})
            else:
                with deployed(cluster, done.query) as query_id:
                    query_parity = check_parity_on_node(cluster, query_id, done.query, encoder=encoder, texts=TEXTS)
                    assert query_parity.largest_difference < 1e-5
                    found = search({"neural_sparse": {"field": {"query_text": text, "model_id": query_id}}})
                [asked] = encoder.to_tokens(encoder.encode_query([text]))
    expected = {passage: dot(asked, row) for passage, row in zip(PASSAGES, rows, strict=True)}
    assert found == pytest.approx({passage: score for passage, score in expected.items() if score > 0}, rel=0.01, abs=1e-3)
    assert found


@pytest.mark.parametrize("model_format", ["torchscript", "onnx"])
def test_a_bi_encoder_answers_on_the_node_as_in_pytorch_and_serves_queries(cluster, folders, tmp_path, unique, model_format):
    archive = export_dense(folders / "dense", tmp_path, name=unique, model_format=model_format)
    field = {
        "type": "knn_vector",
        "dimension": export_models.DIMENSIONS,
        "method": {"name": "hnsw", "engine": "lucene", "space_type": archive.card.registration["additional_config"]["space_type"]},
    }
    with deployed(cluster, archive) as model_id:
        assert check_parity_on_node(cluster, model_id, archive, texts=TEXTS).largest_difference <= 1e-4
        assert verify_deployed(cluster, model_id, archive.card) <= 1e-4
        vectors = predict_dense(cluster, model_id, list(PASSAGES.values()))
        with filled_index(cluster, unique, field, vectors) as search:
            found = search({"neural": {"field": {"query_text": "전세 보증금", "model_id": model_id, "k": 3}}})
        [asked] = predict_dense(cluster, model_id, ["전세 보증금"], side="query")
    cosines = {passage: float(torch.tensor(asked) @ torch.tensor(vector)) for passage, vector in zip(PASSAGES, vectors, strict=True)}
    assert found == pytest.approx({passage: (1 + cosine) / 2 for passage, cosine in cosines.items()}, abs=1e-3)


def test_a_node_that_answers_otherwise_is_found_out_with_text_and_token(cluster, folders, tmp_path, unique):
    archive = export_model(folders / "floor", tmp_path, name=unique).encoder
    other = export_models.encoder("floor", export_models.tokenizer())
    with torch.no_grad():
        other.module.gamma.fill_(0.35)
    with deployed(cluster, archive) as model_id:
        with pytest.raises(DeployError, match=r"\(WORD\): for .* weighs .* instead of"):
            check_parity_on_node(cluster, model_id, archive, encoder=other, texts=TEXTS[:3])
        by_id = replace(archive, card=archive.card.model_copy(update={"serves": ["sparse_vector"]}))
        with pytest.raises(DeployError, match=r"\(TOKEN_ID\): for .* weighs .* instead of"):
            check_parity_on_node(cluster, model_id, by_id, encoder=other, texts=TEXTS[:3])
