"""Encoding on the client: torch and onnxruntime agree with the node, only the index's own model is let in, and the command does it all."""

import json
import shutil
import uuid
import zipfile

import numpy as np
import pytest
from sentence_transformers import SentenceTransformer
from sentence_transformers import SparseEncoder as StockEncoder
from sentence_transformers.base.modules import Transformer
from sentence_transformers.sentence_transformer.modules import Pooling
from sentence_transformers.sparse_encoder.modules import SpladePooling
from transformers import BertConfig, BertModel
from typer.testing import CliRunner

from opensearch_ko.dense_encoding import DenseFolder
from opensearch_ko.encoding import batch_size, check_versions, load_encoder
from opensearch_ko.export import export_dense, export_model
from opensearch_ko.export.archive import CARD_NAME
from opensearch_ko.index_meta import DenseReference, IndexMeta, ModelReference
from opensearch_ko.indexes import IndexPlan
from opensearch_ko.models import delete, ensure_deployed
from opensearch_ko.pipelines import ensure_pipeline, pipeline_name
from opensearch_ko.pruning import Pruning
from retrieval_ko.collection import Collection, sample_folder, texts_of
from retrieval_ko.errors import ModelError, UsageError
from retrieval_ko.files import folder_sha256
from sparse_ko.scratch import build_from_scratch, inverse_document_frequency
from sparse_ko.settings import ModelSettings
from sparse_ko.vocabulary import SPECIAL_TOKENS, build_tokenizer
from sparse_ko_cli.sparse import app

PASSAGES = list(Collection.read(sample_folder()).passages.values())[:40]
TEXTS = texts_of(PASSAGES)
MAX_TOKENS = 64
DIMENSIONS = 8


@pytest.fixture(scope="module")
def tokenizer():
    characters = sorted({char for char in "".join(TEXTS).lower() if not char.isspace()})
    return build_tokenizer([*SPECIAL_TOKENS, *characters, *(f"##{char}" for char in characters if char.isalnum())], MAX_TOKENS)


@pytest.fixture(scope="module")
def folder(tokenizer, tmp_path_factory):
    """A stock SPLADE folder that starts lexical."""
    root = tmp_path_factory.mktemp("model")
    settings = ModelSettings(body="transformer", layers=1, dimensions=32, heads=2, max_tokens=MAX_TOKENS)
    build_from_scratch(settings, tokenizer, inverse_document_frequency(tokenizer, TEXTS), seed=5).save_pretrained(root / "parts")
    tokenizer.save_pretrained(root / "parts")
    body = Transformer(str(root / "parts"), transformer_task="fill-mask", max_seq_length=MAX_TOKENS)
    StockEncoder(modules=[body, SpladePooling("max")], device="cpu").save_pretrained(str(root / "words"))
    shutil.rmtree(root / "parts")
    return root / "words"


@pytest.fixture(scope="module")
def dense_folder(tokenizer, tmp_path_factory):
    """A stock bi-encoder."""
    root = tmp_path_factory.mktemp("dense")
    shape = {"num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16, "max_position_embeddings": MAX_TOKENS}
    BertModel(BertConfig(vocab_size=len(tokenizer), hidden_size=DIMENSIONS, **shape)).save_pretrained(root / "parts")
    tokenizer.save_pretrained(root / "parts")
    body = Transformer(str(root / "parts"), max_seq_length=MAX_TOKENS)
    SentenceTransformer(modules=[body, Pooling(DIMENSIONS, "mean")], device="cpu").save_pretrained(str(root / "dense"))
    return root / "dense"


@pytest.fixture(scope="module")
def archive(folder, tmp_path_factory):
    """The folder as ONNX, which client and node both run."""
    return export_model(folder, tmp_path_factory.mktemp("exports"), model_format="onnx").encoder


def with_card(archive, path, **changes):
    """Copy an archive with another card."""
    with zipfile.ZipFile(archive.path) as old, zipfile.ZipFile(path, "w") as new:
        for name in old.namelist():
            changed = archive.card.model_copy(update=changes).model_dump_json().encode()
            new.writestr(name, changed if name == CARD_NAME else old.read(name))
    return path


def meta_of(version, dense=None):
    reference = {"model_id": "", "name": "words", "fingerprint": "f"}
    vectors = DenseReference(**reference, version=dense, dimension=DIMENSIONS) if dense else None
    return IndexMeta(encoder=ModelReference(**reference, version=version), dense=vectors)


def test_torch_and_onnx_give_the_same_weights_in_the_order_of_the_texts(folder, archive):
    torch_encoder, onnx_encoder = load_encoder(folder), load_encoder(archive.path)
    ours, theirs = torch_encoder.sparse(TEXTS), onnx_encoder.sparse(TEXTS)
    assert len(ours) == len(TEXTS)
    for one, other in zip(ours, theirs, strict=True):
        assert one
        assert other == pytest.approx(one, abs=1e-4)
    for place in (0, 7, 39):  # whatever batch a text was in
        assert torch_encoder.sparse([TEXTS[place]])[0] == pytest.approx(ours[place], abs=1e-4)
    assert torch_encoder.dense(TEXTS) is None


def test_a_batch_of_a_large_vocabulary_fits_into_memory():
    assert batch_size(64, 1_000) == 32
    for vocabulary in (9_225, 32_000, 250_000):
        assert batch_size(512, vocabulary) == 1 or batch_size(512, vocabulary) * 512 * vocabulary * 4 <= 128 * 2**20


def test_ids_are_the_vocabularys(tokenizer, folder, archive):
    vocabulary = tokenizer.get_vocab()
    for encoder in (load_encoder(folder), load_encoder(archive.path)):
        for token in encoder.sparse(TEXTS[:1])[0]:
            assert encoder.ids(token) == vocabulary[token]
        assert encoder.ids("낱말이 아니다") is None


def test_vectors_are_the_folders_own(folder, dense_folder):
    vectors = load_encoder(folder, dense_folder).dense(TEXTS[:5])
    expected = SentenceTransformer(str(dense_folder), device="cpu").encode_document(TEXTS[:5])
    np.testing.assert_allclose(vectors, expected, atol=1e-6)


def test_only_the_model_of_the_index_is_let_in(folder, dense_folder, archive, tmp_path):
    own = folder_sha256(folder)[:12]
    check_versions(meta_of(own), "demo", folder)
    check_versions(meta_of(f"{own}-onnx"), "demo", folder)
    check_versions(meta_of(own), "demo", archive.path)
    five = with_card(archive, tmp_path / "five.zip", version=f"{own}-onnx-top-k-5")
    check_versions(meta_of(f"{own}-top-k-5"), "demo", five)  # deployed as TorchScript
    check_versions(meta_of(own, dense=folder_sha256(dense_folder)[:12]), "demo", folder, dense_folder)
    for model, version, words in [
        (folder, "0" * 12, "cannot be mixed"),
        (archive.path, "0" * 12, "cannot be mixed"),
        (archive.path, f"{own}-onnx-int8", "cannot be mixed"),
        (folder, f"{own}-top-k-5", "with --format onnx, and name that zip: --model ZIP"),
        (folder, f"{own}-onnx-top-k-5", "Name the zip that was deployed: --model ZIP"),
        (archive.path, f"{own}-top-k-5", "cannot be mixed"),
    ]:
        with pytest.raises(UsageError) as refusal:
            check_versions(meta_of(version), "demo", model)
        assert words in refusal.value.remedy
    with pytest.raises(UsageError, match="no dense field"):
        check_versions(meta_of(own), "demo", folder, dense_folder)
    with pytest.raises(UsageError, match="belongs to version"):
        check_versions(meta_of(own, dense="0" * 12), "demo", folder, dense_folder)


def test_a_dense_graph_that_the_folder_does_not_hold_is_run_from_its_zip(folder, dense_folder, tmp_path):
    own, vectors = folder_sha256(folder)[:12], folder_sha256(dense_folder)[:12]
    eighth = export_dense(dense_folder, tmp_path, model_format="onnx", precision="int8", passage_prefix="글: ")
    index = meta_of(own, dense=eighth.card.version)
    with pytest.raises(UsageError, match="answers otherwise than the folder") as refusal:
        check_versions(index, "demo", folder, dense_folder)
    assert refusal.value.remedy == "Name the zip that was deployed: --dense ZIP"
    check_versions(index, "demo", folder, eighth.path)  # what the remedy says
    encoder = load_encoder(folder, eighth.path, meta=index)
    with_others = [eighth.card.probe_text, *TEXTS[:3]]  # an int8 graph would be another one in a batch
    np.testing.assert_allclose(encoder.dense(with_others)[0], eighth.card.probe_vector, atol=1e-5)
    whole = export_dense(dense_folder, tmp_path, model_format="onnx").path
    with pytest.raises(UsageError) as refusal:
        check_versions(index, "demo", folder, whole)
    assert f"sparse-ko deploy --model DIR|ZIP --dense {whole} --index OTHER" in refusal.value.remedy
    for prefixed in (f"{vectors}-prefixes-0123abcd", f"{vectors}-onnx-prefixes-0123abcd"):  # the index remembers them
        check_versions(meta_of(own, dense=prefixed), "demo", folder, dense_folder)
        check_versions(meta_of(own, dense=prefixed), "demo", folder, whole)
    remembered = meta_of(own, dense=vectors)
    remembered = remembered.model_copy(update={"dense": remembered.dense.model_copy(update={"passage_prefix": "본문 "})})
    for model in (whole, dense_folder):
        expected = SentenceTransformer(str(dense_folder), device="cpu").encode(f"본문 {TEXTS[0]}", prompt="")
        np.testing.assert_allclose(load_encoder(folder, model, meta=remembered).dense(TEXTS[:1])[0], expected, atol=1e-5)


def test_what_cannot_encode_here_says_what_can(folder, archive, dense_folder, tmp_path):
    with pytest.raises(UsageError, match="TorchScript") as refusal:
        load_encoder(with_card(archive, tmp_path / "traced.zip", model_format="TORCH_SCRIPT"))
    assert "--format onnx" in refusal.value.remedy
    with pytest.raises(UsageError, match="is a dense"):
        load_encoder(with_card(archive, tmp_path / "dense.zip", role="dense"))
    with pytest.raises(ModelError, match="no file"):
        load_encoder(tmp_path / "missing.zip")
    with pytest.raises(ModelError, match="no dense model folder"):
        load_encoder(folder, tmp_path / "missing")
    with pytest.raises(UsageError, match=r"sparse model's \(encoder\), no dense one's"):
        load_encoder(folder, archive.path)
    with pytest.raises(UsageError, match="runs in the cluster only") as refusal:
        load_encoder(folder, export_dense(dense_folder, tmp_path).path)
    assert "--format onnx" in refusal.value.remedy
    (tmp_path / "empty").mkdir()
    with pytest.raises(ModelError, match="cannot be loaded"):
        DenseFolder(tmp_path / "empty")


@pytest.fixture(scope="module")
def deployed(cluster, archive):
    """The model in the cluster, and what makes indexes of it."""
    model_id = ensure_deployed(cluster, archive).model_id
    meta = IndexMeta(encoder=ModelReference.of(archive.card, model_id), pruning=Pruning.parse("max_ratio:0.3"))
    made = []

    def index():
        made.append(f"test-{uuid.uuid4().hex[:8]}")
        ensure_pipeline(cluster, made[-1], meta)
        cluster.request("PUT", f"/{made[-1]}", IndexPlan(made[-1], meta).body())
        return made[-1]

    yield index
    for name in made:
        cluster.request("DELETE", f"/{name}")
        cluster.request("DELETE", f"/_ingest/pipeline/{pipeline_name(name)}")
    delete(cluster, model_id)


@pytest.fixture
def run(cluster, monkeypatch, tmp_path):
    """Call `sparse-ko index` with a cache of its own."""
    monkeypatch.setenv("SPARSE_KO_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    Collection("sample", {passage.id: passage for passage in PASSAGES}).write(tmp_path / "collection")

    def running(*arguments):
        arguments = ["index", "--collection", str(tmp_path / "collection"), "--cluster", cluster.url, "--workers", "1", *arguments]
        return CliRunner().invoke(app, [str(argument) for argument in arguments])

    return running


@pytest.mark.node
def test_the_command_stores_the_same_whoever_encodes(cluster, deployed, folder, archive, run, tmp_path):
    indexes = [deployed() for _ in range(3)]
    for index, options in zip(
        indexes, [[], ["--encode", "client", "--model", folder], ["--encode", "client", "--model", archive.path]], strict=True
    ):
        result = run("--index", index, "--json", *options)
        assert result.exit_code == 0, result.stderr
        report = json.loads(result.stdout)
        assert (report["indexed"], report["failed"], report["skipped"], report["failures"]) == (len(PASSAGES), 0, 0, None)
    stored = [
        {hit["_id"]: hit["_source"] for hit in cluster.request("POST", f"/{index}/_search", {"size": 100})["hits"]["hits"]}
        for index in indexes
    ]
    assert stored[0].keys() == {passage.id for passage in PASSAGES}
    for passage_id, by_cluster in stored[0].items():
        for by_client in (stored[1][passage_id], stored[2][passage_id]):
            assert by_client["morphemes"] == by_cluster["morphemes"]
            assert by_client["sparse"] == pytest.approx(by_cluster["sparse"], abs=1e-4)
    assert list((tmp_path / "cache" / "ingest").iterdir()) == []


@pytest.mark.node
def test_the_command_says_what_was_refused_and_tries_only_that_again(deployed, run, tmp_path):
    index = deployed()
    corpus = tmp_path / "collection" / "corpus.jsonl"
    corpus.write_text(corpus.read_text(encoding="utf-8") + json.dumps({"_id": "가" * 200, "text": "전세"}) + "\n", encoding="utf-8")
    first = run("--index", index)
    assert first.exit_code == 1
    assert f"{len(PASSAGES)} passages in {index}" in first.stdout
    assert f"{index}-failed.jsonl" in first.stderr
    assert "600 bytes" in first.stderr
    second = run("--index", index, "--json")
    assert json.loads(second.stdout)["skipped"] == len(PASSAGES)
    corpus.write_text("".join(corpus.read_text(encoding="utf-8").splitlines(keepends=True)[:-1]), encoding="utf-8")
    third = run("--index", index)
    assert third.exit_code == 0
    assert "left aside" in third.stderr


@pytest.mark.node
@pytest.mark.parametrize(
    "options", [["--encode", "client"], ["--model", "somewhere"], ["--dense", "somewhere"], ["--workers", "-1"], ["--index", "nowhere-x"]]
)
def test_wrong_use_ends_with_2_and_a_missing_index_with_1(run, options):
    result = run(*(options if "--index" in options else ["--index", "demo", *options]))
    assert result.exit_code == (1 if "--index" in options else 2)
    assert "Traceback" not in result.stderr
