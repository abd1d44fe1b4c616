"""ML Commons runs a TorchScript model in the node with the libtorch of the assembly, without fetching anything."""

import hashlib
import io
import json
import time
import urllib.request
import zipfile

import pytest
import torch
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Whitespace

pytestmark = pytest.mark.node

VOCABULARY = {"[UNK]": 0, "한국어": 1, "검색": 2, "엔진": 3}


class CountsWords(torch.nn.Module):
    """Gives each word of the text its number of occurrences: a sparse encoder whose answer is known."""

    def forward(self, inputs: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        words = torch.nn.functional.one_hot(inputs["input_ids"], num_classes=len(VOCABULARY)).float()
        return {"output": (words * inputs["attention_mask"].unsqueeze(-1)).sum(dim=1)}


def model_zip():
    tokenizer = Tokenizer(WordLevel(VOCABULARY, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = Whitespace()
    graph = io.BytesIO()
    example = {"input_ids": torch.tensor([[1, 2, 3]]), "attention_mask": torch.ones(1, 3, dtype=torch.int64)}
    torch.jit.save(torch.jit.trace(CountsWords(), example, strict=False), graph)
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("model.pt", graph.getvalue())
        archive.writestr("tokenizer.json", tokenizer.to_str())
    return packed.getvalue()


@pytest.fixture
def ask(node_url):
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))

    def send(method, path, body=None):
        data = body if isinstance(body, bytes) or body is None else json.dumps(body, ensure_ascii=False).encode()
        request = urllib.request.Request(
            f"{node_url}/_plugins/_ml{path}", data=data, method=method, headers={"Content-Type": "application/json"}
        )
        with opener.open(request, timeout=60) as response:
            return json.load(response)

    return send


def wait_for_state(ask, model_id, state):
    deadline = time.monotonic() + 60
    while (found := ask("GET", f"/models/{model_id}"))["model_state"] != state:
        assert found["model_state"] != "DEPLOY_FAILED", found
        assert time.monotonic() < deadline, found
        time.sleep(0.1)


def test_a_torchscript_model_answers_and_nothing_was_downloaded(ask, embedded_node):
    content = model_zip()
    model_id = ask(
        "POST",
        "/models/_register_meta",
        {
            "name": "counts-words",
            "version": "1",
            "function_name": "SPARSE_ENCODING",
            "model_format": "TORCH_SCRIPT",
            "model_content_size_in_bytes": len(content),
            "model_content_hash_value": hashlib.sha256(content).hexdigest(),
            "total_chunks": 1,
        },
    )["model_id"]
    ask("POST", f"/models/{model_id}/upload_chunk/0", content)
    wait_for_state(ask, model_id, "REGISTERED")
    ask("POST", f"/models/{model_id}/_deploy")
    wait_for_state(ask, model_id, "DEPLOYED")
    answer = ask("POST", f"/models/{model_id}/_predict", {"text_docs": ["한국어 검색 검색"]})
    assert answer["inference_results"][0]["output"][0]["dataAsMap"]["response"] == [{"한국어": 1.0, "검색": 2.0}]

    ask("POST", f"/models/{model_id}/_undeploy")
    ask("DELETE", f"/models/{model_id}")
    libraries = [path for path in embedded_node.home.rglob("*torch*.so*") if path.is_file()]
    assert libraries == []
