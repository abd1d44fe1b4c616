"""Every form, in both formats, answers as PyTorch does; a query table becomes a file that a node can read."""

import json
import shutil
import sys
import zipfile
from pathlib import Path

import onnx
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer

sys.path.insert(0, str(Path(__file__).parent))
import export_models

from opensearch_ko.export import export_model, query_archive_beside
from opensearch_ko.export.graph import SparseGraph, pruned
from opensearch_ko.export.onnx_graph import SPARSE_INPUTS, quantized, to_onnx
from opensearch_ko.export.onnx_session import OnnxEncoder
from opensearch_ko.export.parity import TOLERANCE, check_parity, onnx_graph
from opensearch_ko.export.parity_texts import PARITY_TEXTS
from opensearch_ko.export.query_tokenizer import query_tokenizer
from opensearch_ko.export.tokenizer import server_tokenizer
from opensearch_ko.export.writer import runnable, write_graph
from opensearch_ko.pruning import Pruning
from retrieval_ko.errors import ModelError, UsageError
from sparse_ko.forms.stock import stock_network
from sparse_ko.model import SparseEncoder

KINDS = [("siamese", "torchscript"), ("siamese", "onnx"), ("doc-only", "torchscript"), ("floor", "torchscript"), ("floor", "onnx")]
FEW = PARITY_TEXTS[::9]


@pytest.fixture(scope="module")
def pieces():
    return export_models.tokenizer()


@pytest.fixture(scope="module")
def folders(pieces, tmp_path_factory):
    root = tmp_path_factory.mktemp("forms")
    for form in export_models.SPARSE_FORMS:
        export_models.encoder(form, pieces).save(root / form)
    return root


@pytest.fixture(scope="module")
def exported(folders, tmp_path_factory):
    out = tmp_path_factory.mktemp("exports")
    return {kind: export_model(folders / kind[0], out, model_format=kind[1]) for kind in KINDS}


def read(archive, name):
    with zipfile.ZipFile(archive.path) as content:
        return content.read(name)


def test_the_texts_of_the_gate_are_many_and_of_every_kind():
    assert len(PARITY_TEXTS) >= 200
    assert {"", " "} <= set(PARITY_TEXTS)
    assert sum(len(text) == 5000 for text in PARITY_TEXTS) == 2
    together = "".join(PARITY_TEXTS)
    for kind in ("한", "ᄒ", "憲", "a", "👍", "\u200d", "Ａ", "ㄱ", "\x00"):
        assert kind in together


@pytest.mark.parametrize("kind", KINDS)
def test_every_form_is_exported_in_every_format_and_its_card_says_which(exported, folders, kind):
    form, model_format = kind
    card = exported[kind].encoder.card
    assert card.form == {"floor": "lexical-floor"}.get(form, form)
    assert card.model_format == {"torchscript": "TORCH_SCRIPT", "onnx": "ONNX"}[model_format]
    assert (card.role, card.function_name, card.precision) == ("encoder", "SPARSE_ENCODING", "fp32")
    assert card.serves == ["rank_features", "sparse_vector"]
    assert card.parity["texts"] == len(PARITY_TEXTS)
    assert card.parity["largest_difference"] <= TOLERANCE
    assert card.version == card.folder_version + ("-onnx" if model_format == "onnx" else "")
    weights = SparseEncoder.load(folders / form, device="cpu").encode_document(list(PARITY_TEXTS))
    assert card.heaviest_weight == pytest.approx(weights.max(), abs=1e-3)


@pytest.mark.parametrize("form", ["siamese", "floor"])
def test_the_onnx_file_is_one_that_the_nodes_onnxruntime_takes(exported, form):
    archive = exported[form, "onnx"].encoder
    model = onnx.load_from_string(read(archive, f"{form}.onnx"))
    assert model.ir_version <= 9
    assert max(entry.version for entry in model.opset_import) <= 19
    assert tuple(node.name for node in model.graph.input) == SPARSE_INPUTS
    assert not any(tensor.HasField("data_location") and tensor.data_location for tensor in model.graph.initializer)


@pytest.mark.parametrize("form", export_models.SPARSE_FORMS)
def test_the_onnx_graph_weighs_every_token_as_the_model_does(pieces, form):
    encoder = export_models.encoder(form, pieces)
    parity = check_parity(encoder, onnx_graph(to_onnx(SparseGraph(encoder))), server_tokenizer(encoder)[0], FEW)
    assert 0 < parity.largest_difference <= TOLERANCE


def test_an_onnx_graph_that_differs_is_refused_with_text_and_token(pieces):
    encoder, other = export_models.encoder("floor", pieces), export_models.encoder("floor", pieces)
    token = pieces.convert_tokens_to_ids("보증금")
    with torch.no_grad():
        other.module.body.expand.bias[token] += 3.0
    with pytest.raises(ModelError, match=r"the token '보증금' weighs .* instead of"):
        check_parity(encoder, onnx_graph(to_onnx(SparseGraph(other))), server_tokenizer(encoder)[0], FEW)


def test_the_client_encodes_with_the_zip_as_the_model_does(exported, folders):
    found = OnnxEncoder(exported["siamese", "onnx"].encoder.path)
    encoder = SparseEncoder.load(folders / "siamese", device="cpu")
    for text, weights, expected in zip(FEW, found.encode(FEW), encoder.to_tokens(encoder.encode_document(list(FEW))), strict=True):
        assert weights == pytest.approx(expected, abs=TOLERANCE), text
    assert found.encode_ids(FEW, batch_size=1) == [pytest.approx(row, abs=1e-5) for row in found.encode_ids(FEW, batch_size=7)]
    assert found.ids("보증금") == encoder.tokenizer.convert_tokens_to_ids("보증금")


def test_only_models_with_a_query_table_get_a_query_zip_and_it_is_found_beside(exported):
    assert exported["siamese", "onnx"].query is None
    assert query_archive_beside(exported["siamese", "onnx"].encoder.path) is None
    for kind in (("doc-only", "torchscript"), ("floor", "torchscript"), ("floor", "onnx")):
        query = exported[kind].query
        assert query_archive_beside(exported[kind].encoder.path).card == query.card
        assert (query.card.role, query.card.function_name, query.card.name) == ("query-tokenizer", "SPARSE_TOKENIZE", f"{kind[0]}-query")
        assert query.path.name == f"{kind[0]}-query-{exported[kind].encoder.card.folder_version}.zip"


@pytest.mark.parametrize("form", ["doc-only", "floor"])
def test_the_query_table_names_every_token_and_no_weight_is_one_that_a_node_refuses(exported, folders, form):
    query = exported[form, "torchscript"].query
    table = json.loads(read(query, "idf.json"))
    tokenizer = Tokenizer.from_str(read(query, "tokenizer.json").decode())
    tokens = {token for token, number in tokenizer.get_vocab().items() if number >= 5}
    assert table.keys() == tokens  # a token that is missing would weigh 1
    assert all(0 < weight <= 64 for weight in table.values())
    expected = export_models.query_table(len(tokenizer.get_vocab()))
    for token, weight in table.items():
        assert weight == pytest.approx(float(expected[tokenizer.token_to_id(token)]), abs=1e-5)
    encoder = SparseEncoder.load(folders / form, device="cpu")
    [weights] = encoder.to_tokens(encoder.encode_query([query.card.probe_text]))
    assert query.card.probe_weights == pytest.approx(weights, abs=1e-5)


def test_a_query_weight_above_lucenes_limit_is_refused(pieces):
    table = export_models.query_table(len(pieces))
    table[pieces.convert_tokens_to_ids("보증금")] = 70.0
    with pytest.raises(ModelError, match=r"query weight of '보증금' is 70\.0"):
        query_tokenizer(export_models.encoder("doc-only", pieces, table))


PRUNINGS = [Pruning.parse(text) for text in ("max_ratio:0.4", "abs_value:0.3", "top_k:7", "alpha_mass:0.6")]


@pytest.mark.parametrize("pruning", PRUNINGS, ids=lambda pruning: pruning.type)
def test_a_graph_that_prunes_answers_as_the_pruned_model(pieces, pruning):
    encoder = export_models.encoder("floor", pieces)
    file, tokenizer_json = to_onnx(SparseGraph(encoder, pruning)), server_tokenizer(encoder)[0]
    check_parity(encoder, onnx_graph(file), tokenizer_json, FEW, pruning=pruning)
    with pytest.raises(ModelError, match="is not the model"):
        check_parity(encoder, onnx_graph(file), tokenizer_json, FEW)


@settings(deadline=None, max_examples=60)
@given(st.lists(st.integers(0, 1000), min_size=1, max_size=20, unique=True), st.sampled_from(PRUNINGS))
def test_the_graph_drops_what_the_processors_rules_drop(numbers, pruning):
    weights = torch.tensor([[number / 100 for number in numbers]])
    row = {place: float(weight) for place, weight in enumerate(weights[0]) if weight > 0}
    kept = {place: float(weight) for place, weight in enumerate(pruned(weights, pruning)[0]) if weight > 0}
    edge = pruning.ratio * {"max_ratio": max(row.values(), default=0), "abs_value": 1}.get(pruning.type, 0)
    unlike = {place for place in kept.keys() ^ pruning.apply(row).keys() if abs(row[place] - edge) > 1e-5}
    cumulated = pruning.type == "alpha_mass" and len(unlike) == 1  # the sum of 32-bit floats may fall on either side of the mass
    assert not unlike or cumulated
    assert all(kept[place] == row[place] for place in kept)


def as_older_layout(folder, target):
    """The layout that sentence-transformers 5 wrote: the transformer in a folder of its own, under its older name."""
    target.mkdir()
    inner = target / "0_MLMTransformer"
    kept = {"modules.json", "config_sentence_transformers.json", "1_SpladePooling"}
    shutil.copytree(folder, inner, ignore=shutil.ignore_patterns(*kept))
    for name in kept:
        copy = shutil.copytree if (folder / name).is_dir() else shutil.copy
        copy(folder / name, target / name)
    modules = json.loads((folder / "modules.json").read_text())
    modules[0] |= {"path": "0_MLMTransformer", "type": "sentence_transformers.sparse_encoder.models.MLMTransformer"}
    modules[1]["type"] = "sentence_transformers.sparse_encoder.models.SpladePooling"
    (target / "modules.json").write_text(json.dumps(modules))
    return target


def test_both_layouts_of_stock_folders_make_the_same_graph(folders, exported, tmp_path):
    older = as_older_layout(folders / "siamese", tmp_path / "siamese")
    graph = SparseGraph(SparseEncoder.load(older, device="cpu"))
    assert to_onnx(graph) == read(exported["siamese", "onnx"].encoder, "siamese.onnx")


@pytest.mark.parametrize("model_format", ["torchscript", "onnx"])
def test_a_modern_bert_is_exported(pieces, model_format):
    model = export_models.modern_masked_language_model(len(pieces))
    encoder = SparseEncoder(stock_network(model, pieces, export_models.MAX_TOKENS))
    graph = runnable(write_graph(SparseGraph(encoder), model_format), model_format)
    parity = check_parity(encoder, graph, server_tokenizer(encoder)[0], FEW)
    assert parity.heaviest_weight > 0.1
    assert parity.largest_difference <= TOLERANCE


def test_a_model_with_prompts_is_refused(folders, tmp_path):
    shutil.copytree(folders / "siamese", tmp_path / "prompted")
    card = tmp_path / "prompted" / "config_sentence_transformers.json"
    card.write_text(json.dumps(json.loads(card.read_text()) | {"prompts": {"document": "passage: ", "query": ""}}))
    with pytest.raises(ModelError, match="puts 'passage: ' before every document"):
        export_model(tmp_path / "prompted", tmp_path / "out")


def test_int8_is_written_with_what_it_costs(folders, exported, tmp_path):
    whole = exported["siamese", "onnx"].encoder
    archive = export_model(folders / "siamese", tmp_path, model_format="onnx", precision="int8").encoder
    card = archive.card
    assert (card.precision, card.version) == ("int8", f"{card.folder_version}-onnx-int8")
    assert 0.9 < card.quality["worst_cosine"] <= card.quality["mean_cosine"] <= 1
    assert card.quality["active_dimensions_fp32"] == pytest.approx(card.quality["active_dimensions_int8"], rel=0.2)
    assert len(read(archive, "siamese.onnx")) < 0.7 * len(read(whole, "siamese.onnx"))
    answer = OnnxEncoder(archive.path).encode([card.probe_text])[0]
    assert answer == pytest.approx(card.probe_weights, abs=1e-5)
    assert card.tolerance > whole.card.tolerance


def test_int8_is_for_onnx_only(folders, tmp_path):
    with pytest.raises(UsageError, match="8-bit weights are written as ONNX only"):
        export_model(folders / "siamese", tmp_path, precision="int8")


def test_quantising_twice_makes_the_same_bytes(pieces):
    file = to_onnx(SparseGraph(export_models.encoder("floor", pieces)))
    assert to_onnx(SparseGraph(export_models.encoder("floor", pieces))) == file
    assert quantized(file) == quantized(file)
