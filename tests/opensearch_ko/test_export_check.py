"""`export check` finds in a zip of anybody what would keep it from being deployed, and says what mends it."""

import json
import sys
import zipfile
from pathlib import Path

import onnx
import pytest
import torch
from torch import nn

sys.path.insert(0, str(Path(__file__).parent))
import export_models

from opensearch_ko.export import check_archive, export_dense, export_model
from opensearch_ko.export.checking import is_deployable
from opensearch_ko.export.graph import trace
from opensearch_ko.export.onnx_graph import to_onnx
from retrieval_ko.errors import ModelError


@pytest.fixture(scope="module")
def pieces():
    return export_models.tokenizer()


@pytest.fixture(scope="module")
def exported(pieces, tmp_path_factory):
    root = tmp_path_factory.mktemp("models")
    export_models.encoder("floor", pieces).save(root / "floor")
    return export_model(root / "floor", root / "out")


@pytest.fixture(scope="module")
def whole(exported):
    with zipfile.ZipFile(exported.encoder.path) as content:
        return {name: content.read(name) for name in content.namelist()}


def write(path, entries):
    with zipfile.ZipFile(path, "w") as target:
        for name, content in entries.items():
            if content is not None:
                target.writestr(name, content)
    return path


def forbidding(path):
    findings = check_archive(path)
    assert not is_deployable(findings)
    return {finding.name: f"{finding.found} {finding.meaning} {finding.remedy}" for finding in findings if finding.level == "forbids"}


def test_what_was_exported_passes_with_every_finding_fine(exported, tmp_path_factory, pieces):
    root = tmp_path_factory.mktemp("dense")
    bi_encoder = export_dense(export_models.save_dense(root / "dense", pieces), root, model_format="onnx")
    for archive in (exported.encoder, exported.query, bi_encoder):
        findings = check_archive(archive.path)
        assert [finding for finding in findings if finding.level != "fine"] == []
        assert is_deployable(findings)


@pytest.mark.parametrize(
    ("change", "name", "says"),
    [
        ({"floor.pt": None}, "graph file", "neither a graph nor an idf.json"),
        ({"other.pt": b"graph"}, "graph file", "exactly one graph"),
        ({"__MACOSX/._floor.pt": b"x"}, "graph file", "macOS puts them there"),
        ({"tokenizer.json": None}, "tokenizer file", "no tokenizer.json at the root"),
        ({"tokenizer.json": b"{}"}, "tokenizer file", "can't load it"),
        ({"floor.pt": b"graph"}, "graph", "PyTorch can't load it"),
        ({"floor.pt": None, "floor.onnx": b"graph"}, "graph", "no ONNX file"),
        ({"sparse_ko.json": b"{}"}, "card", "not readable"),
    ],
)
def test_a_zip_with_a_wrong_part_is_refused(whole, tmp_path, change, name, says):
    assert says in forbidding(write(tmp_path / "model.zip", whole | change))[name]


def test_a_zip_that_was_cut_or_damaged_is_refused(exported, tmp_path):
    content = exported.encoder.path.read_bytes()
    (tmp_path / "cut.zip").write_bytes(content[:-100])
    assert "can't be unpacked" in forbidding(tmp_path / "cut.zip")["zip"]
    (tmp_path / "damaged.zip").write_bytes(content[:5000] + bytes([content[5000] ^ 1]) + content[5001:])
    assert "zip" in forbidding(tmp_path / "damaged.zip")
    with pytest.raises(ModelError, match="There is no file"):
        check_archive(tmp_path / "nothing.zip")


class Graph(nn.Module):
    """A graph whose weights are the tokens that stand in the text, spoilt in one way."""

    def __init__(self, size, fault):
        super().__init__()
        self.size, self.fault = size, fault
        self.register_buffer("keep", torch.tensor([0.0] * 5 + [1.0] * (size - 5)))

    def forward(self, features):
        ids = features["input_ids"]
        if self.fault == "types":
            ids = ids + features["token_type_ids"]
        there = nn.functional.one_hot(ids, self.size).float() * features["attention_mask"].unsqueeze(-1)
        weights = there.amax(dim=1) * self.keep
        if self.fault == "negative":
            weights = weights - 0.5
        if self.fault == "infinite":
            weights = weights / 0
        if self.fault == "loud":
            weights = weights + torch.tensor([0.0, 0, 1.0] + [0.0] * (self.size - 3))
        if self.fault == "length":
            weights = weights + 0 * (ids + torch.zeros(1, 5, dtype=torch.int64)).sum()
        if self.fault == "narrow":
            weights = weights[:, :-9]
        if self.fault == "two outputs":
            return {"output": weights, "other": weights}
        return {"output": there if self.fault == "not pooled" else weights}


def traced(graph):
    ids = torch.tensor([[2, 5, 6, 7, 3]])
    features = {"input_ids": ids, "attention_mask": torch.ones_like(ids), "token_type_ids": torch.zeros_like(ids)}
    if graph.fault != "types":
        del features["token_type_ids"]
    path = Path(graph.folder) / "graph.pt"
    torch.jit.trace(graph, (features,), strict=False).save(path)
    return path.read_bytes()


@pytest.mark.parametrize(
    ("fault", "name", "says"),
    [
        ("types", "input", "wants token_type_ids"),
        ("negative", "weights", "the ReLU is missing"),
        ("infinite", "weights", "not finite"),
        ("length", "lengths", "the trace baked a length in"),
        ("two outputs", "output", "a row of weights of its own"),
    ],
)
def test_a_graph_that_breaks_the_contract_is_refused(whole, pieces, tmp_path, fault, name, says):
    graph = Graph(len(pieces), fault)
    graph.folder = tmp_path
    found = forbidding(write(tmp_path / "model.zip", {"model.pt": traced(graph), "tokenizer.json": whole["tokenizer.json"]}))
    assert says in found[name]


def test_a_graph_that_is_not_pooled_is_taken_for_no_sparse_encoder(whole, pieces, tmp_path):
    path = write(tmp_path / "model.zip", {"model.pt": trace(Graph(len(pieces), "not pooled")), "tokenizer.json": whole["tokenizer.json"]})
    findings = {finding.name: finding for finding in check_archive(path)}
    assert "bi-encoder" in findings["kind"].found
    assert findings["output"].level == "warning"


def test_special_tokens_that_weigh_something_are_warned_of(whole, pieces, tmp_path):
    path = write(tmp_path / "model.zip", {"model.pt": trace(Graph(len(pieces), "loud")), "tokenizer.json": whole["tokenizer.json"]})
    findings = {finding.name: finding for finding in check_archive(path)}
    assert (findings["special tokens weigh"].level, findings["special tokens weigh"].found) == ("warning", "[CLS]")
    assert findings["card"].level == "note"
    assert is_deployable(list(findings.values()))


def test_a_tokenizer_of_another_model_is_refused(whole, pieces, tmp_path):
    path = write(tmp_path / "model.zip", {"model.pt": trace(Graph(len(pieces), "narrow")), "tokenizer.json": whole["tokenizer.json"]})
    assert "do not belong together" in forbidding(path)["vocabulary"]


def test_a_graph_that_does_not_answer_as_its_card_says_is_refused(whole, pieces, tmp_path):
    path = write(tmp_path / "model.zip", whole | {"floor.pt": trace(Graph(len(pieces), ""))})
    assert "one of the two was changed" in forbidding(path)["card"]


@pytest.mark.parametrize("fault", ["names", "version"])
def test_an_onnx_graph_that_the_node_does_not_take_is_refused(whole, pieces, tmp_path, fault):
    names = ("ids", "mask") if fault == "names" else ("input1.input_ids", "input1.attention_mask")
    model = onnx.load_from_string(to_onnx(Graph(len(pieces), ""), names))
    if fault == "version":
        model.ir_version = 10
    path = write(tmp_path / "model.zip", {"model.onnx": model.SerializeToString(), "tokenizer.json": whole["tokenizer.json"]})
    says = {"names": "must be named input1.input_ids and input1.attention_mask", "version": "IR version 10"}[fault]
    assert says in forbidding(path)["graph"]


def test_a_query_table_with_a_weight_that_a_node_refuses_is_refused(exported, tmp_path):
    with zipfile.ZipFile(exported.query.path) as content:
        entries = {name: content.read(name) for name in content.namelist()}
    table = json.loads(entries["idf.json"])
    table["보증금"] = 0
    del table["전세"]
    path = write(tmp_path / "query.zip", entries | {"idf.json": json.dumps(table).encode()})
    assert "보증금" in forbidding(path)["idf.json"]
    assert any("missing" in finding.found for finding in check_archive(path) if finding.level == "warning")
