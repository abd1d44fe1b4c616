"""The exported zip is what ML Commons registers, answers as the model does, and is the same bytes every time."""

import json
import os
import shutil
import subprocess
import sys
import unicodedata
import zipfile
from importlib.metadata import version

import numpy as np
import pytest
import torch
from sentence_transformers import SparseEncoder as StockEncoder
from sentence_transformers.base.modules import Transformer
from sentence_transformers.sparse_encoder.modules import SpladePooling
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import BertConfig, BertForMaskedLM, PreTrainedTokenizerFast

from opensearch_ko.export import ModelArchive, export_model, writer
from opensearch_ko.export.graph import SparseGraph, load_traced, trace
from opensearch_ko.export.parity import TOLERANCE, check_parity, torchscript_graph
from opensearch_ko.export.parity_texts import PARITY_TEXTS
from opensearch_ko.export.tokenizer import server_tokenizer
from opensearch_ko.export.writer import default_name
from retrieval_ko.errors import ModelError, UsageError
from retrieval_ko.files import folder_sha256
from sparse_ko.model import SparseEncoder
from sparse_ko.scratch import build_from_scratch, inverse_document_frequency
from sparse_ko.settings import ModelSettings
from sparse_ko.vocabulary import SPECIAL_TOKENS, build_tokenizer

MAX_TOKENS = 48
FORMS = ("static", "transformer")
WORDS = ["전세", "보증금", "임차인", "절차", "신청", "서울", "opensearch", "검색", "한국어", "##에서", "##하는", "##습니다"]


def save(model, tokenizer, folder, activation="relu"):
    """Save a masked language model under a SPLADE pooling, with nothing but stock modules."""
    parts = folder.with_name(f"{folder.name}-parts")
    model.save_pretrained(parts)
    tokenizer.save_pretrained(parts)
    body = Transformer(str(parts), transformer_task="fill-mask", max_seq_length=MAX_TOKENS)
    StockEncoder(modules=[body, SpladePooling("max", activation_function=activation)], device="cpu").save_pretrained(str(folder))
    shutil.rmtree(parts)
    return folder


def random_model(vocabulary_size):
    """Return a masked language model that gives every token of the vocabulary some weight in some text."""
    torch.manual_seed(3)
    config = BertConfig(
        vocab_size=vocabulary_size,
        hidden_size=32,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=64,
        max_position_embeddings=MAX_TOKENS,
        initializer_range=0.3,
    )
    return BertForMaskedLM(config).eval()


@pytest.fixture(scope="session")
def word_pieces():
    """A WordPiece tokenizer over the characters of the parity texts and a few words."""
    composed = unicodedata.normalize("NFC", "".join(PARITY_TEXTS)).lower()
    characters = sorted({char for char in composed if char.isprintable() and not char.isspace()})
    return build_tokenizer([*SPECIAL_TOKENS, *characters, *(f"##{char}" for char in characters if char.isalnum()), *WORDS], MAX_TOKENS)


@pytest.fixture(scope="session")
def folders(word_pieces, tmp_path_factory):
    """A saved model of each form that starts lexical, and one of random weights in which special tokens are loud."""
    root = tmp_path_factory.mktemp("models")
    idf = inverse_document_frequency(word_pieces, PARITY_TEXTS)
    for form in FORMS:
        settings = ModelSettings(body=form, layers=1, dimensions=32, heads=2, max_tokens=MAX_TOKENS)
        save(build_from_scratch(settings, word_pieces, idf, seed=5), word_pieces, root / form)
    loud = random_model(len(word_pieces))
    with torch.no_grad():
        loud.cls.predictions.bias[word_pieces.all_special_ids] = 5.0
    save(loud, word_pieces, root / "loud")
    save(random_model(len(word_pieces)), word_pieces, root / "twice", activation="log1p_relu")
    return root


@pytest.fixture(scope="session")
def archives(folders, tmp_path_factory):
    """What `export_model` made of both forms."""
    out = tmp_path_factory.mktemp("exports")
    return {form: export_model(folders / form, out).encoder for form in FORMS}


@pytest.fixture(scope="session")
def fresh_exports(folders, tmp_path_factory):
    """The archives of two processes that know nothing of each other, with different orders of their sets."""
    code = (
        "import sys; from opensearch_ko.export import export_model; "
        "print(export_model(sys.argv[1], sys.argv[2]).encoder.path); "
        "print(export_model(sys.argv[1], sys.argv[2], model_format='onnx', precision='int8').encoder.path)"
    )
    running = []
    for hash_seed in ("1", "2"):
        out = tmp_path_factory.mktemp("fresh")
        command = [sys.executable, "-c", code, str(folders / "transformer"), str(out)]
        environment = {**os.environ, "PYTHONHASHSEED": hash_seed, "OMP_NUM_THREADS": hash_seed, "OMP_WAIT_POLICY": "PASSIVE"}
        running.append(subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True))
    answers = [(process.communicate(timeout=120), process.returncode) for process in running]
    assert [code for _, code in answers] == [0, 0], answers
    return [[ModelArchive.read(line) for line in output.strip().splitlines()[-2:]] for (output, _), _ in answers]


def read_zip(archive):
    with zipfile.ZipFile(archive.path) as content:
        return {name: content.read(name) for name in content.namelist()}


def graph_of(archive):
    [name] = [name for name in read_zip(archive) if name.endswith(".pt")]
    return load_traced(read_zip(archive)[name])


def raw_output(graph, encodings):
    """Run the graph on token ids, padded to the longest with 0, and return weights by token id."""
    longest = max(len(ids) for ids in encodings)
    ids = torch.tensor([row + [0] * (longest - len(row)) for row in encodings])
    mask = torch.tensor([[1] * len(row) + [0] * (longest - len(row)) for row in encodings])
    with torch.no_grad():
        return graph({"input_ids": ids, "attention_mask": mask})["output"].numpy()


def encodings_of(archive, texts=PARITY_TEXTS):
    tokenizer = Tokenizer.from_str(read_zip(archive)["tokenizer.json"].decode())
    return [tokenizer.encode(text).ids for text in texts]


@pytest.mark.parametrize("form", FORMS)
def test_the_zip_holds_one_graph_one_tokenizer_and_the_card(archives, form):
    content = read_zip(archives[form])
    assert sorted(content) == sorted([f"{form}.pt", "tokenizer.json", "sparse_ko.json"])


@pytest.mark.parametrize("form", FORMS)
def test_the_tokenizer_of_the_zip_cuts_where_the_model_does_and_leaves_padding_to_the_node(archives, form):
    content = json.loads(read_zip(archives[form])["tokenizer.json"])
    assert content["truncation"] == {"direction": "Right", "max_length": MAX_TOKENS, "strategy": "LongestFirst", "stride": 0}
    assert content["padding"] is None
    assert max(len(ids) for ids in encodings_of(archives[form])) == MAX_TOKENS


@pytest.mark.parametrize("form", FORMS)
def test_the_card_says_what_was_exported_and_what_the_model_answered(archives, folders, form):
    archive, encoder = archives[form], SparseEncoder.load(folders / form, device="cpu")
    card = archive.card
    assert (card.name, card.version) == (form, folder_sha256(folders / form)[:12])
    assert (card.function_name, card.model_format) == ("SPARSE_ENCODING", "TORCH_SCRIPT")
    assert (card.vocabulary_size, card.max_tokens) == (len(encoder.tokenizer), MAX_TOKENS)
    assert card.probe_weights == pytest.approx(encoder.to_tokens(encoder.encode_document([card.probe_text]))[0], abs=1e-6)
    assert card.probe_weights
    assert card.parity["texts"] == len(PARITY_TEXTS)
    assert card.parity["largest_difference"] <= card.parity["tolerance"] == TOLERANCE
    assert card.versions["torch"] == version("torch")
    assert archive.path.name == f"{form}-{card.version}.zip"
    assert archive.size_bytes == archive.path.stat().st_size
    assert ModelArchive.read(archive.path) == archive


@pytest.mark.parametrize(
    ("settings", "folder", "name"),
    [("name: ko-law\n", "model", "ko-law"), (None, "KLUE_BERT v2", "klue-bert-v2"), (None, "한국어", "sparse-encoder")],
)
def test_a_model_is_named_after_its_run_or_else_its_folder(tmp_path, settings, folder, name):
    if settings:
        (tmp_path / "config.yaml").write_text(settings)
    assert default_name(tmp_path / folder) == name


def test_two_fresh_processes_write_the_same_bytes(fresh_exports):
    for first, second in zip(*fresh_exports, strict=True):
        assert first.path != second.path
        assert first.sha256 == second.sha256


@pytest.mark.parametrize("name", [*FORMS, "loud", "twice"])
def test_the_graph_weighs_every_token_as_the_model_does(folders, name):
    encoder = SparseEncoder.load(folders / name, device="cpu")
    parity = check_parity(encoder, torchscript_graph(load_traced(trace(SparseGraph(encoder)))), server_tokenizer(encoder)[0])
    assert parity.texts == len(PARITY_TEXTS)
    assert parity.largest_difference <= TOLERANCE


def tampered(folder):
    """Return the model with one number of one tensor changed: the bias of a token gets 0.5 more."""
    encoder = SparseEncoder.load(folder, device="cpu")
    token = encoder.tokenizer.convert_tokens_to_ids("보증금")
    with torch.no_grad():
        encoder.masked_language_model.cls.predictions.bias[token] += 0.5
    return encoder


@pytest.mark.parametrize("form", FORMS)
def test_a_graph_that_differs_in_one_number_is_refused(folders, form):
    encoder = SparseEncoder.load(folders / form, device="cpu")
    graph = load_traced(trace(SparseGraph(tampered(folders / form))))
    with pytest.raises(ModelError, match="'보증금' weighs") as caught:
        check_parity(encoder, torchscript_graph(graph), server_tokenizer(encoder)[0])
    assert "The exported graph is not the model" in caught.value.problem


def test_a_refused_export_writes_nothing(folders, tmp_path, monkeypatch):
    monkeypatch.setattr(writer, "trace", lambda graph: trace(SparseGraph(tampered(folders / "static"))))
    with pytest.raises(ModelError, match="Nothing was written"):
        export_model(folders / "static", tmp_path / "out")
    assert not list(tmp_path.rglob("*.zip"))


def test_a_graph_that_answers_no_number_is_refused(folders):
    encoder, broken = (SparseEncoder.load(folders / "static", device="cpu") for _ in range(2))
    with torch.no_grad():
        broken.masked_language_model.cls.predictions.bias[encoder.tokenizer.convert_tokens_to_ids("보증금")] = torch.nan
    with pytest.raises(ModelError, match="'보증금' weighs nan"):
        check_parity(encoder, torchscript_graph(load_traced(trace(SparseGraph(broken)))), server_tokenizer(encoder)[0])


def test_special_tokens_weigh_nothing_by_id_even_where_the_model_is_loud(folders, archives):
    encoder = SparseEncoder.load(folders / "loud", device="cpu")
    special = encoder.tokenizer.all_special_ids
    [row] = encoder.stock.encode_document(["보증금"]).to_dense()
    assert (row[special] > 1).all()  # log1p(5) is 1.8: without the export's mask they would be heard
    weights = raw_output(load_traced(trace(SparseGraph(encoder))), encodings_of(archives["static"]))
    assert (weights > 0).any()
    assert not weights[:, special].any()


@pytest.mark.parametrize("form", FORMS)
def test_the_graph_answers_one_text_as_it_answers_many(archives, form):
    graph, encodings = graph_of(archives[form]), encodings_of(archives[form])
    together = raw_output(graph, encodings)
    alone = np.concatenate([raw_output(graph, [ids]) for ids in encodings])
    assert together.shape == (len(PARITY_TEXTS), archives[form].card.vocabulary_size)
    np.testing.assert_allclose(together, alone, atol=1e-5)


@pytest.mark.parametrize("form", FORMS)
def test_padding_changes_no_weight(archives, form):
    graph = graph_of(archives[form])
    [short] = encodings_of(archives[form], ["보증금 신청"])
    weights = raw_output(graph, [short])
    assert weights.any()
    for length in (len(short) + 1, 17, MAX_TOKENS):
        padded = raw_output(graph, [short, [5] * length])[:1]
        np.testing.assert_allclose(padded, weights, atol=1e-5)


def byte_level_tokenizer():
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()  # 256 bytes, of which 128 are no character alone
    tokenizer.train_from_iterator(["보증금 전세"], trainers.BpeTrainer(special_tokens=list(SPECIAL_TOKENS), initial_alphabet=alphabet))
    return tokenizer


def sentence_piece_tokenizer():
    words = ["▁", "▁보증금", "보증금", "▁전세", "전세"]
    tokenizer = Tokenizer(models.Unigram([*((token, 0.0) for token in SPECIAL_TOKENS), *((word, -2.0) for word in words)], unk_id=1))
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.decoder = decoders.Metaspace()
    return tokenizer


@pytest.mark.parametrize(
    ("make", "clash"), [(byte_level_tokenizer, "'�'"), (sentence_piece_tokenizer, "'▁보증금' and '보증금' are both '보증금'")]
)
def test_a_vocabulary_whose_tokens_are_spelt_alike_is_refused(make, clash, tmp_path):
    names = dict(zip(("pad_token", "unk_token", "cls_token", "sep_token", "mask_token"), SPECIAL_TOKENS, strict=True))
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=make(), model_input_names=["input_ids", "attention_mask"], **names)
    folder = save(random_model(len(tokenizer)), tokenizer, tmp_path / "model")
    with pytest.raises(ModelError, match="spelt like another one when decoded alone") as caught:
        export_model(folder, tmp_path / "out")
    assert clash in caught.value.problem
    assert not (tmp_path / "out").exists()


def test_a_pooling_that_the_graph_does_not_compute_is_refused(word_pieces, folders):
    encoder = SparseEncoder.load(folders / "static", device="cpu")
    encoder.stock[1].pooling_strategy = "sum"
    with pytest.raises(ModelError, match="a SPLADE pooling by maximum"):
        SparseGraph(encoder)


def test_an_unknown_format_is_refused_with_the_known_one(folders, tmp_path):
    with pytest.raises(UsageError, match="'tflite' is unknown") as caught:
        export_model(folders / "static", tmp_path, model_format="tflite")
    assert "torchscript" in caught.value.remedy
