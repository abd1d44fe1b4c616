"""Promises kept on a real node: deploy twice is deploy once, the node's words are shown, what is found is explained."""

import json
import uuid
import zipfile
from dataclasses import replace

import pytest
import torch
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors
from torch import nn
from transformers import BertConfig, BertForMaskedLM

from opensearch_ko.cluster import Cluster, connect
from opensearch_ko.deployment import deploy_archive, plan_deployment, survey
from opensearch_ko.errors import ClusterError, DeployError
from opensearch_ko.export.archive import CARD_NAME, ExportCard, ModelArchive
from opensearch_ko.indexes import IndexMeta, IndexPlan, ModelReference, card_fingerprint, ensure_index, read_meta
from opensearch_ko.ingest import index_collection
from opensearch_ko.models import (
    CHUNK_BYTES,
    MODELS,
    delete,
    deploy,
    ensure_deployed,
    find_models,
    model_state,
    predict_sparse,
    registration,
    undeploy,
    verify_deployed,
)
from opensearch_ko.pipelines import pipeline_name
from opensearch_ko.preflight import ML_PREFIX
from opensearch_ko.queries import query_tokens, search
from retrieval_ko.records import Passage

pytestmark = pytest.mark.node

SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
WORDS = ["전세", "보증금", "임대차", "계약", "손해", "배상", "근로", "퇴직금", "이혼", "위자료", "상속", "세금", "주택", "소음", "층간"]
ENDINGS = ["##을", "##를", "##이", "##은", "##는", "##과", "##하면"]
PROBE_TEXT = "전세 보증금과 손해 배상"
PASSAGES = [
    Passage(id="a", title="전세 보증금", text="임대차 계약이 끝나면 전세 보증금을 돌려받는다."),
    Passage(id="b", text="퇴직금은 근로 계약이 끝난 뒤 지급한다.", metadata={"parent_id": "근로기준법"}),
    Passage(id="c", title="층간 소음", text="층간 소음으로 손해 배상을 청구하는 주택의 이웃"),
    Passage(id="d", title="상속", text="상속 세금과 이혼 위자료"),
]


def words(text):
    """Stand in for Kiwi's content terms: these tests are about the cluster."""
    return text.split()


class TinySparse(nn.Module):
    """A SPLADE encoder of 32 dimensions with the graph that ML Commons reads (contract, 1.1)."""

    def __init__(self, vocabulary_size, seed):
        super().__init__()
        torch.manual_seed(seed)
        shape = {
            "hidden_size": 32,
            "num_hidden_layers": 1,
            "num_attention_heads": 2,
            "intermediate_size": 64,
            "max_position_embeddings": 64,
        }
        self.bert = BertForMaskedLM(BertConfig(vocab_size=vocabulary_size, attn_implementation="eager", **shape)).eval()
        with torch.no_grad():
            self.bert.cls.predictions.decoder.weight.mul_(20)
        keep = torch.ones(vocabulary_size)
        keep[: len(SPECIAL)] = 0
        self.register_buffer("keep", keep)

    def forward(self, texts):
        logits = self.bert(input_ids=texts["input_ids"], attention_mask=texts["attention_mask"]).logits
        weights = torch.log1p(torch.relu(logits)) * texts["attention_mask"].unsqueeze(-1)
        return {"output": weights.amax(dim=1) * self.keep}


def tiny_tokenizer():
    syllables = sorted({syllable for word in [*WORDS, *ENDINGS] for syllable in word.removeprefix("##")})
    vocabulary = list(dict.fromkeys([*SPECIAL, *WORDS, *ENDINGS, *syllables, *(f"##{syllable}" for syllable in syllables)]))
    tokenizer = Tokenizer(models.WordPiece({token: number for number, token in enumerate(vocabulary)}, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.NFC()
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.decoder = decoders.WordPiece(cleanup=False)
    tokenizer.post_processor = processors.TemplateProcessing(single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)])
    tokenizer.add_special_tokens(SPECIAL)
    tokenizer.enable_truncation(64)
    return tokenizer


def write_archive(folder, *, seed=0, name=None, graph=None):
    """Write a zip as `sparse-ko export` does; `graph` replaces the model by any bytes."""
    folder.mkdir(exist_ok=True, parents=True)
    tokenizer = tiny_tokenizer()
    model = TinySparse(tokenizer.get_vocab_size(), seed).eval()
    encoding = tokenizer.encode(PROBE_TEXT)
    texts = {"input_ids": torch.tensor([encoding.ids]), "attention_mask": torch.tensor([encoding.attention_mask])}
    with torch.no_grad():
        row = model(texts)["output"][0]
        torch.jit.trace(model, (texts,), strict=False).save(folder / "model.pt")
    card = ExportCard(
        name=name or f"tiny-{uuid.uuid4().hex[:8]}",
        version=f"{seed:012x}",
        vocabulary_size=tokenizer.get_vocab_size(),
        max_tokens=64,
        probe_text=PROBE_TEXT,
        probe_weights={tokenizer.decode([number]): float(row[number]) for number in row.nonzero().flatten().tolist()},
        parity={"texts": 1},
        versions={"torch": torch.__version__},
    )
    path = folder / "model.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("model.pt", graph if graph is not None else (folder / "model.pt").read_bytes())
        archive.writestr("tokenizer.json", tokenizer.to_str())
        archive.writestr(CARD_NAME, card.model_dump_json())
    return ModelArchive.read(path)


@pytest.fixture(scope="module")
def cluster(node_url):
    return connect(node_url)


@pytest.fixture
def new_archive(cluster, tmp_path):
    """Make archives of models that are deleted again when the test ends."""
    made = []

    def make(**settings):
        made.append(write_archive(tmp_path / str(len(made)), **settings))
        return made[-1]

    yield make
    for archive in made:
        for model in find_models(cluster, archive):
            delete(cluster, model.model_id)


@pytest.fixture
def index(cluster):
    """Return the name of an index that no one else uses; it and its pipeline are deleted when the test ends."""
    name = f"test-{uuid.uuid4().hex[:8]}"
    yield name
    cluster.request("DELETE", f"/{name}", params={"ignore_unavailable": "true"})
    if cluster.find(f"/_ingest/pipeline/{pipeline_name(name)}"):
        cluster.request("DELETE", f"/_ingest/pipeline/{pipeline_name(name)}")


def bring_up(cluster, archive, index, **settings):
    steps = []
    return deploy_archive(cluster, archive, index, on_step=steps.append, **settings), steps


def test_a_second_deploy_changes_nothing(cluster, new_archive, index):
    archive = new_archive()
    first, _ = bring_up(cluster, archive, index)
    pipeline = cluster.request("GET", f"/_ingest/pipeline/{pipeline_name(index)}")
    shape = cluster.request("GET", f"/{index}")
    second, steps = bring_up(cluster, archive, index)
    assert not first.already
    assert second.already
    assert steps == []
    assert replace(second, model_already=False, pipeline_already=False, index_already=False) == first
    assert cluster.request("GET", f"/_ingest/pipeline/{pipeline_name(index)}") == pipeline
    assert cluster.request("GET", f"/{index}") == shape
    assert len(find_models(cluster, archive)) == 1
    assert first.largest_difference < 1e-4


def test_the_same_model_zipped_again_is_the_same_model(cluster, new_archive, index):
    archive = new_archive()
    first, _ = bring_up(cluster, archive, index)
    with zipfile.ZipFile(archive.path, "a") as zipped:
        zipped.writestr("LICENSE", "Apache-2.0")
    again = ModelArchive.read(archive.path)
    assert again.sha256 != archive.sha256
    second, _ = bring_up(cluster, again, index)
    assert second.already
    assert second.model_id == first.model_id


def test_a_dry_run_names_every_write_and_sends_none(cluster, new_archive, index):
    archive = new_archive()
    planned = plan_deployment(cluster, archive, index, survey(cluster, archive, index))
    assert [(request.method, request.path.replace(index, "INDEX")) for request in planned] == [
        ("POST", f"{MODELS}/_register_meta"),
        ("POST", f"{MODELS}/{{model_id}}/upload_chunk/0"),
        ("POST", f"{MODELS}/{{model_id}}/_deploy"),
        ("POST", f"{MODELS}/{{model_id}}/_predict"),
        ("PUT", "/_ingest/pipeline/INDEX-ingest"),
        ("PUT", "/INDEX"),
    ]
    assert find_models(cluster, archive) == []
    assert read_meta(cluster, index) is None


def test_a_model_that_no_node_can_load_shows_the_nodes_words(cluster, new_archive):
    archive = new_archive(graph=b"this is not TorchScript")
    with pytest.raises(DeployError) as refusal:
        ensure_deployed(cluster, archive)
    [reason] = json.loads(refusal.value.reason).values()
    assert reason in refusal.value.problem
    node = next(iter(cluster.request("GET", "/_nodes/_all/name")["nodes"].values()))["name"]
    assert f"node {node}" in refusal.value.problem


def test_a_model_of_several_chunks_arrives_whole(cluster, new_archive):
    archive = new_archive()
    with zipfile.ZipFile(archive.path, "a") as zipped:
        zipped.writestr("padding.bin", bytes(CHUNK_BYTES + 1))  # stored, not compressed
    archive = ModelArchive.read(archive.path)
    steps = []
    model = ensure_deployed(cluster, archive, steps.append)
    assert steps[:2] == ["upload 1 of 2", "upload 2 of 2"]
    assert verify_deployed(cluster, model.model_id, archive.card) < 1e-4
    delete(cluster, model.model_id)


def test_an_upload_that_is_interrupted_leaves_nothing(cluster, new_archive):
    archive = new_archive()

    def interrupt(step):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        ensure_deployed(cluster, archive, interrupt)
    assert find_models(cluster, archive) == []


@pytest.mark.parametrize("deployed_in_vain", [False, True])
def test_a_registration_without_its_chunks_is_done_anew(cluster, new_archive, deployed_in_vain):
    archive = new_archive()
    broken = cluster.request("POST", f"{MODELS}/_register_meta", registration(archive))["model_id"]
    if deployed_in_vain:
        with pytest.raises(DeployError, match="Fail to find model chunk"):
            deploy(cluster, broken)
    model = ensure_deployed(cluster, archive)
    assert model.model_id != broken
    assert model_state(cluster, broken) is None
    assert [found.model_id for found in find_models(cluster, archive)] == [model.model_id]


def test_an_undeployed_model_is_deployed_again_under_its_id(cluster, new_archive):
    archive = new_archive()
    first = ensure_deployed(cluster, archive)
    undeploy(cluster, first.model_id)
    with pytest.raises(ClusterError, match="Model not ready yet"):
        predict_sparse(cluster, first.model_id, ["전세"])
    second = ensure_deployed(cluster, archive)
    assert (second.model_id, second.already) == (first.model_id, False)


def test_a_model_that_answers_otherwise_is_refused_with_its_worst_token(cluster, new_archive):
    archive = new_archive()
    model = ensure_deployed(cluster, archive)
    card = archive.card.model_copy(update={"probe_weights": archive.card.probe_weights | {"전세": 9.0}})
    with pytest.raises(DeployError, match=r"전세: here 9\.00000"):
        verify_deployed(cluster, model.model_id, card)


def test_an_index_of_another_model_stays_as_it_is(cluster, new_archive, index):
    mine, other = new_archive(seed=1), new_archive(seed=2)
    bring_up(cluster, mine, index)
    before = cluster.request("GET", f"/{index}"), cluster.request("GET", f"/_ingest/pipeline/{pipeline_name(index)}")
    with pytest.raises(ClusterError, match="weights of another model") as refusal:
        bring_up(cluster, other, index)
    assert "--index" in refusal.value.remedy
    assert (cluster.request("GET", f"/{index}"), cluster.request("GET", f"/_ingest/pipeline/{pipeline_name(index)}")) == before
    assert find_models(cluster, other) == []


def test_an_index_that_is_not_ours_is_refused(cluster, new_archive, index):
    cluster.request("PUT", f"/{index}", {"settings": {"number_of_replicas": 0}})
    with pytest.raises(ClusterError, match="was not made by sparse-ko"):
        bring_up(cluster, new_archive(), index)


def test_a_model_registered_again_keeps_its_index(cluster, new_archive, index):
    archive = new_archive()
    first, _ = bring_up(cluster, archive, index)
    delete(cluster, first.model_id)
    second, _ = bring_up(cluster, archive, index)
    assert second.model_id != first.model_id
    meta = read_meta(cluster, index)
    assert meta is not None
    assert meta.encoder.model_id == second.model_id


def test_settings_that_stand_in_the_way_change_only_on_request(cluster, new_archive, index):
    archive, setting = new_archive(), f"{ML_PREFIX}allow_registering_model_via_local_file"
    cluster.request("PUT", "/_cluster/settings", {"persistent": {setting: False}})
    try:
        with pytest.raises(ClusterError, match="may not be uploaded") as refusal:
            bring_up(cluster, archive, index)
        assert "--apply-settings" in refusal.value.remedy
        done, _ = bring_up(cluster, archive, index, apply_needed_settings=True)
        assert not done.already
    finally:
        cluster.request("PUT", "/_cluster/settings", {"persistent": {setting: None}})


@pytest.fixture(scope="module")
def filled(cluster, tmp_path_factory):
    """An index of the four passages, encoded by the node, and its model's id."""
    archive, name = write_archive(tmp_path_factory.mktemp("filled"), seed=3), f"test-{uuid.uuid4().hex[:8]}"
    model_id = bring_up(cluster, archive, name)[0].model_id
    report = index_collection(cluster, name, PASSAGES, content_terms=words)
    assert (report.indexed, report.failed, report.failures) == (4, 0, None)
    yield name, model_id
    cluster.request("DELETE", f"/{name}")
    cluster.request("DELETE", f"/_ingest/pipeline/{pipeline_name(name)}")
    delete(cluster, model_id)


def test_indexing_twice_keeps_one_passage_per_id(cluster, filled):
    index_collection(cluster, filled[0], PASSAGES, content_terms=words)
    assert cluster.request("GET", f"/{filled[0]}/_count")["count"] == len(PASSAGES)


@pytest.mark.parametrize("mode", ["bm25", "sparse"])
def test_the_contributions_of_a_hit_sum_to_its_score(cluster, filled, mode):
    answer = search(cluster, filled[0], "전세 계약이 끝나면 보증금 전세", mode, content_terms=words)
    assert answer.hits
    assert [hit.score for hit in answer.hits] == sorted((hit.score for hit in answer.hits), reverse=True)
    for hit in answer.hits:
        assert sum(hit.terms.values()) == pytest.approx(hit.score, rel=0.001)
    shape = answer.model_dump()
    assert shape.keys() == {"mode", "took_ms", "hits"}
    assert shape["hits"][0].keys() == {"id", "score", "title", "text", "terms"}


def test_bm25_finds_by_the_clients_terms_and_returns_the_passage(cluster, filled):
    [hit] = search(
        cluster, filled[0], "퇴직금은", "bm25", content_terms=words
    ).hits  # "퇴직금" alone would not match: no analysis on the node
    assert (hit.id, hit.title, hit.text) == ("b", PASSAGES[1].title, PASSAGES[1].text)
    assert set(hit.terms) == {"퇴직금은"}


def test_sparse_scores_are_the_dot_products_of_the_models_weights(cluster, filled):
    name, model_id = filled
    [asked] = predict_sparse(cluster, model_id, ["전세 보증금"])
    offered = predict_sparse(cluster, model_id, [passage.passage_text for passage in PASSAGES])
    expected = {
        passage.id: sum(weight * weights.get(token, 0.0) for token, weight in asked.items())
        for passage, weights in zip(PASSAGES, offered, strict=True)
    }
    found = {hit.id: hit.score for hit in search(cluster, name, "전세 보증금", "sparse", content_terms=words, terms=False).hits}
    assert found == pytest.approx(expected, rel=0.005)
    encoded_here = cluster.request("POST", f"/{name}/_search", query_tokens(asked))["hits"]["hits"]
    assert {hit["_id"]: hit["_score"] for hit in encoded_here} == pytest.approx(found, rel=1e-4)


def test_passages_encoded_on_the_client_score_as_those_of_the_pipeline(cluster, filled, new_archive, index):
    name, model_id = filled
    meta = read_meta(cluster, name)
    assert meta is not None
    card = new_archive().card
    encoder = ModelReference(model_id=model_id, name=card.name, version=card.version, fingerprint=card_fingerprint(card))
    ensure_index(cluster, IndexPlan(index, IndexMeta(encoder=encoder)), card)
    report = index_collection(
        cluster,
        index,
        PASSAGES,
        content_terms=words,
        encode="client",
        encode_documents=lambda texts: predict_sparse(cluster, model_id, texts),
    )
    assert report.indexed == len(PASSAGES)
    by_pipeline, by_client = (
        {hit.id: hit.score for hit in search(cluster, where, "층간 소음", "sparse", content_terms=words, model_id=model_id).hits}
        for where in (name, index)
    )
    assert by_client == pytest.approx(by_pipeline, rel=1e-4)


def test_passages_that_the_node_cannot_encode_are_listed_with_the_reason(cluster, new_archive, index, tmp_path):
    archive = new_archive()
    done, _ = bring_up(cluster, archive, index)
    undeploy(cluster, done.model_id)
    report = index_collection(cluster, index, PASSAGES, content_terms=words, failures=tmp_path / "failed.jsonl")
    assert (report.indexed, report.failed) == (0, len(PASSAGES))
    rows = [json.loads(line) for line in (tmp_path / "failed.jsonl").read_text(encoding="utf-8").splitlines()]
    assert [row["_id"] for row in rows] == [passage.id for passage in PASSAGES]
    assert all("Model not ready yet" in row["reason"] for row in rows)


def test_one_passage_that_is_refused_does_not_keep_the_others_out(cluster, filled, tmp_path):
    broken = Passage(id="가" * 400, text="이 식별자는 512바이트를 넘는다.")
    report = index_collection(cluster, filled[0], [broken, *PASSAGES], content_terms=words, failures=tmp_path / "failed.jsonl")
    assert (report.indexed, report.failed) == (len(PASSAGES), 1)
    assert "512" in (tmp_path / "failed.jsonl").read_text(encoding="utf-8")


@pytest.mark.parametrize("mode", ["bm25", "sparse"])
def test_a_missing_index_says_how_it_is_made(cluster, index, mode):
    with pytest.raises(ClusterError, match=f"has no index {index}") as refusal:
        search(cluster, index, "전세", mode, content_terms=words)
    assert f"--index {index}" in refusal.value.remedy


def test_the_connection_is_described_by_its_address(cluster):
    assert isinstance(cluster, Cluster)
    assert repr(cluster) == f"Cluster({cluster.url})"
