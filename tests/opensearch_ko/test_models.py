"""What ML Commons is told about a model, and how its errors are read; the rest is tested on a real node."""

import hashlib
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from opensearch_ko.bundle import Bundle
from opensearch_ko.export.archive import ExportCard, ModelArchive
from opensearch_ko.models import CHUNK_BYTES, chunk_count, node_errors, registration, registration_by_url

CARD = ExportCard(
    name="legal",
    version="0123456789ab",
    vocabulary_size=100,
    max_tokens=64,
    probe_text="전세",
    probe_weights={"전세": 1.25},
    parity={"texts": 3},
    versions={"torch": "2.5.1"},
)


def archive_of(size_bytes):
    return ModelArchive(path=Path("model.zip"), card=CARD, sha256=hashlib.sha256(b"zip").hexdigest(), size_bytes=size_bytes)


@given(st.integers(1, 10**10))
def test_the_chunks_hold_the_archive_and_no_chunk_is_empty(size_bytes):
    chunks = chunk_count(archive_of(size_bytes))
    assert (chunks - 1) * CHUNK_BYTES < size_bytes <= chunks * CHUNK_BYTES


def test_the_registration_states_hash_size_and_chunks_and_no_model_config():
    body = registration(archive_of(CHUNK_BYTES + 1))
    assert body["total_chunks"] == 2
    assert body["model_content_hash_value"] == hashlib.sha256(b"zip").hexdigest()
    assert body["model_content_size_in_bytes"] == CHUNK_BYTES + 1
    assert "model_config" not in body  # contract, 1.1: with it a sparse encoder never deploys


def test_a_dense_model_states_its_config_after_its_function():
    config = {"model_type": "bert", "embedding_dimension": 4, "framework_type": "sentence_transformers"}
    archive = archive_of(10)
    dense = replace(archive, card=CARD.model_copy(update={"function_name": "TEXT_EMBEDDING", "registration": config}))
    for body in (registration(dense), registration_by_url(dense, "https://files.example/m.zip")):
        assert body["model_config"] == config
        assert list(body).index("function_name") < list(body).index("model_config")  # contract, 1.1: read in stream order
    assert "total_chunks" not in registration_by_url(dense, "https://files.example/m.zip")


@pytest.mark.parametrize(
    ("given", "encoder", "query"),
    [
        (None, None, None),
        ("https://h/d/other.zip", "https://h/d/other.zip", "https://h/d/model.zip"),
        ("file:///srv/models/", "file:///srv/models/model.zip", "file:///srv/models/model.zip"),
    ],
)
def test_the_zips_lie_beside_each_other_at_an_address(given, encoder, query):
    bundle = Bundle(archive_of(1), archive_of(2), via_url=given)
    assert (bundle.url_of(bundle.encoder), bundle.url_of(bundle.query)) == (encoder, query)


@pytest.mark.parametrize(
    ("error", "by_node"),
    [
        (
            '{"n1":"Fail to find model chunk","n2":"model content changed"}',
            {"n1": "Fail to find model chunk", "n2": "model content changed"},
        ),
        ("Circuit Breaker is open", {"": "Circuit Breaker is open"}),
        ('["odd"]', {"": '["odd"]'}),
        ("", {}),
    ],
)
def test_a_tasks_error_is_read_by_node(error, by_node):
    assert node_errors(error) == by_node
