"""A bi-encoder becomes a TEXT_EMBEDDING zip: pooled and normalised in the graph, with the registration that a node wants."""

import json
import sys
import zipfile
from pathlib import Path

import numpy as np
import onnx
import pytest
from sentence_transformers import SentenceTransformer
from tokenizers import Tokenizer

sys.path.insert(0, str(Path(__file__).parent))
import export_models

from opensearch_ko.export import dense, export_dense
from opensearch_ko.export.writer import runnable
from retrieval_ko.errors import ModelError, UsageError

TEXTS = ["전세 보증금을 신청하는 절차", "opensearch 검색", ""]


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    root, pieces = tmp_path_factory.mktemp("dense"), export_models.tokenizer()
    export_models.save_dense(root / "mean", pieces)
    export_models.save_dense(root / "cls", pieces, "cls", normalize=False, prompts={"query": "질문: ", "passage": "글: "})
    export_models.encoder("siamese", pieces).save(root / "sparse")
    return root


@pytest.fixture(scope="module")
def archives(folders, tmp_path_factory):
    out = tmp_path_factory.mktemp("exports")
    return {
        "torchscript": export_dense(folders / "mean", out),
        "onnx": export_dense(folders / "mean", out, model_format="onnx"),
        "prompted": export_dense(folders / "cls", out, model_format="onnx", precision="int8"),
    }


def answers(archive, texts):
    with zipfile.ZipFile(archive.path) as content:
        tokenizer = Tokenizer.from_str(content.read("tokenizer.json").decode())
        [name] = [name for name in content.namelist() if name.endswith((".pt", ".onnx"))]
        graph = runnable(content.read(name), "onnx" if name.endswith(".onnx") else "torchscript")
    return np.stack([np.asarray(graph(tokenizer.encode(text).ids)).reshape(-1) for text in texts])


@pytest.mark.parametrize("model_format", ["torchscript", "onnx"])
def test_the_vectors_are_the_models_own_pooled_and_normalised(archives, folders, model_format):
    found = answers(archives[model_format], TEXTS)
    expected = SentenceTransformer(str(folders / "mean"), device="cpu").encode(TEXTS)
    np.testing.assert_allclose(found, expected, atol=1e-5)
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), 1, atol=1e-5)


@pytest.mark.parametrize(("model_format", "framework"), [("torchscript", "sentence_transformers"), ("onnx", "huggingface_transformers")])
def test_the_card_registers_what_the_zip_holds(archives, model_format, framework):
    card = archives[model_format].card
    assert (card.role, card.function_name, card.serves, card.vocabulary_size) == (
        "dense",
        "TEXT_EMBEDDING",
        ["knn_vector"],
        export_models.DIMENSIONS,
    )
    assert card.registration["framework_type"] == framework
    assert card.registration["embedding_dimension"] == len(card.probe_vector) == export_models.DIMENSIONS
    assert json.loads(card.registration["all_config"])["model_type"] == card.registration["model_type"] == "bert"
    assert not {"query_prefix", "passage_prefix"} & card.registration.keys()
    assert card.parity["largest_difference"] <= card.parity["tolerance"]


def test_an_onnx_graph_of_bert_reads_token_types_since_the_node_sends_them(archives):
    with zipfile.ZipFile(archives["onnx"].path) as content:
        model = onnx.load_from_string(content.read("mean.onnx"))
    assert {node.name for node in model.graph.input} == {"input_ids", "attention_mask", "token_type_ids"}
    assert model.ir_version <= 9


def test_the_folders_prompts_become_the_nodes_prefixes(archives, folders):
    card = archives["prompted"].card
    assert (card.registration["query_prefix"], card.registration["passage_prefix"]) == ("질문: ", "글: ")
    assert card.quality["worst_cosine"] > 0.9
    expected = SentenceTransformer(str(folders / "cls"), device="cpu").encode(f"글: {card.probe_text}", prompt="")
    np.testing.assert_allclose(card.probe_vector, expected, atol=0.1)  # int8
    np.testing.assert_allclose(answers(archives["prompted"], [f"글: {card.probe_text}"])[0], card.probe_vector, atol=1e-5)


def test_a_graph_that_differs_is_refused_and_nothing_is_written(folders, tmp_path, monkeypatch):
    class Doubled(dense.DenseGraph):
        def forward(self, features):
            return {name: vectors * 2 for name, vectors in super().forward(features).items()}

    monkeypatch.setattr(dense, "DenseGraph", Doubled)
    with pytest.raises(ModelError, match=r"the dimension \d+ is .* instead of"):
        export_dense(folders / "mean", tmp_path / "out")
    assert not list(tmp_path.rglob("*.zip"))


def test_dense_folders_are_told_from_sparse_ones(folders, tmp_path):
    assert dense.is_dense(folders / "mean")
    assert not dense.is_dense(folders / "sparse")
    assert not dense.is_dense(tmp_path)
    with pytest.raises(ModelError, match="holds no bi-encoder"):
        export_dense(folders / "sparse", tmp_path)
    with pytest.raises(UsageError, match="'float16' is unknown"):
        export_dense(folders / "mean", tmp_path, precision="float16")
