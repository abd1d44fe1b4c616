"""Text in, one vector out: the same in sentence-transformers, after a save, in any batch, and as an exported graph."""

import json
import shutil

import numpy as np
import pytest
from sentence_transformers import SentenceTransformer

from dense_ko import BiEncoder, TemplateMode, get_bi_encoder
from opensearch_ko.export import export_dense
from retrieval_ko.errors import DataError, ModelError, UsageError


@pytest.fixture(params=["mini", "static"])
def folder(request, saved):
    return saved / request.param


def changed(folder, target, name, change):
    """A copy of a model's folder with one of its JSON files changed."""
    shutil.copytree(folder, target)
    content = json.loads((target / name).read_text(encoding="utf-8"))
    change(content)
    (target / name).write_text(json.dumps(content), encoding="utf-8")
    return target


def test_a_saved_folder_gives_the_same_vectors_in_sentence_transformers(folder, texts):
    encoder, stock = BiEncoder.load(folder, device="cpu"), SentenceTransformer(str(folder), device="cpu")
    np.testing.assert_allclose(encoder.encode_passages(texts), stock.encode_document(texts), atol=1e-5)
    short = ["전세 보증금", "법인세"]
    np.testing.assert_allclose(encoder.encode_queries(short), stock.encode_query(short), atol=1e-5)


def test_a_saved_folder_names_stock_modules_only(folder):
    modules = json.loads((folder / "modules.json").read_text(encoding="utf-8"))
    assert [module["type"].rpartition(".")[2] for module in modules] == ["Transformer", "Pooling", "Normalize"]
    assert all(module["type"].startswith("sentence_transformers.") for module in modules)


@pytest.mark.parametrize("side", ["right", "left"])
def test_what_training_reads_is_what_the_tokenizer_says(folder, texts, side):
    encoder = BiEncoder.load(folder, device="cpu")
    encoder.tokenizer.padding_side = side
    read = encoder.tokenize([*texts, "가" * 3000], "document")
    prefix = encoder._prefixes.passage
    said = encoder.tokenizer(
        [prefix + text for text in [*texts, "가" * 3000]],
        truncation=True,
        max_length=encoder.get_max_seq_length("document"),
        padding=True,
        return_tensors="pt",
    )
    for name in ("input_ids", "attention_mask"):
        np.testing.assert_array_equal(read[name], said[name])


def test_vectors_have_length_1_and_do_not_depend_on_the_batch(folder, texts):
    encoder = BiEncoder.load(folder, device="cpu")
    done = []
    one_by_one = encoder.encode_passages(texts, batch_size=1, on_progress=done.append)
    assert done == list(range(1, len(texts) + 1))
    np.testing.assert_allclose(encoder.encode_passages(texts), one_by_one, atol=1e-5)
    np.testing.assert_allclose(
        np.linalg.norm(one_by_one, axis=1), 1, atol=1e-5
    )  # the empty text's too: a cluster refuses a vector of zeros
    assert encoder.encode_queries([]).shape == (0, encoder.get_embedding_dimension()) == (0, 32)


def test_the_template_is_put_before_each_side(saved):
    encoder = BiEncoder.load(saved / "mini", device="cpu")
    plain = encoder.with_template("none")
    assert encoder.template is TemplateMode.E5
    np.testing.assert_allclose(encoder.encode_queries(["보증금"]), plain.encode_queries(["query: 보증금"]), atol=1e-6)
    np.testing.assert_allclose(encoder.encode_passages(["보증금"]), plain.encode_passages(["passage: 보증금"]), atol=1e-6)
    assert np.abs(encoder.encode_queries(["보증금"]) - plain.encode_queries(["보증금"])).max() > 1e-3


def test_each_side_is_cut_at_its_own_length(folder):
    encoder = BiEncoder.load(folder, device="cpu")
    long = ["보증금 " * 100]
    lengths = {kind: encoder.tokenize(long, kind)["input_ids"].shape[1] for kind in ("query", "document")}
    assert lengths == {"query": 24, "document": 48}
    assert encoder.tokenize(long, "document", 10)["input_ids"].shape == (1, 10)
    assert encoder.tokenize(long, "query", 40)["input_ids"].shape == (1, 24)
    assert (encoder.get_max_seq_length(), encoder.get_max_seq_length("query"), encoder.model.max_seq_length) == (48, 24, 48)


def test_what_training_did_stands_beside_the_model(build, tmp_path):
    encoder = build(template="e5")
    encoder.describe_run({"name": "tiny"}, {"tiny": "ab" * 32}, 13, "c0ffee")
    encoder.save(tmp_path / "model")
    kept = json.loads((tmp_path / "model" / "training_config.json").read_text(encoding="utf-8"))
    assert (kept["template"], kept["query_max_seq_length"], kept["passage_max_seq_length"]) == ("e5", 24, 48)
    assert (kept["data"], kept["seed"], kept["commit"], kept["config"]) == ({"tiny": "ab" * 32}, 13, "c0ffee", {"name": "tiny"})
    assert BiEncoder.load(tmp_path / "model").record == encoder.record
    assert encoder.get_training_config() is None


@pytest.mark.parametrize(
    "asked",
    [{"template": "bge"}, {"normalize": False}, {"max_seq_length": 30}, {"query_max_seq_length": 25}, {"passage_max_seq_length": 47}],
)
def test_a_model_is_not_used_otherwise_than_it_was_trained(saved, asked):
    with pytest.raises(UsageError, match=r"was trained with .*training_config\.json"):
        BiEncoder(saved / "mini", **asked)


def test_what_agrees_may_be_asked_for(saved):
    encoder = BiEncoder(saved / "mini", "e5", normalize=True, query_max_seq_length=24, passage_max_seq_length=48)
    assert encoder.template is TemplateMode.E5


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("config_sentence_transformers.json", lambda content: content["prompts"].update(query="")),
        ("training_config.json", lambda content: content.update(query_prefix="frage: ")),
        ("training_config.json", lambda content: content.update(normalize=False)),
        ("training_config.json", lambda content: content.update(passage_max_seq_length=40)),
    ],
)
def test_files_that_contradict_each_other_are_refused(saved, tmp_path, name, change):
    with pytest.raises(ModelError, match="contradicts itself"):
        BiEncoder.load(changed(saved / "mini", tmp_path / "model", name, change))


def test_a_folder_of_others_loads_with_its_own_prompts(bases, tmp_path):
    stock = SentenceTransformer(str(bases / "body"), device="cpu", prompts={"query": "질문: ", "passage": "글: "})
    stock.prompts.pop("document", None)
    stock.save_pretrained(str(tmp_path / "others"), create_model_card=False)
    encoder = BiEncoder(tmp_path / "others", max_seq_length=40, device="cpu")
    assert encoder.template is TemplateMode.OWN
    expected = stock.encode(["글: 보증금"], normalize_embeddings=True, prompt="")
    np.testing.assert_allclose(encoder.encode_passages(["보증금"]), expected, atol=1e-5)
    assert encoder.get_max_seq_length() == 40
    encoder.save(tmp_path / "again")
    np.testing.assert_allclose(BiEncoder.load(tmp_path / "again").encode_passages(["보증금"]), expected, atol=1e-5)


def test_a_folder_of_transformers_is_pooled_by_the_mean_and_templated_by_its_name(bases, tmp_path):
    shutil.copytree(bases / "body", tmp_path / "multilingual-e5-small")
    encoder = BiEncoder(tmp_path / "multilingual-e5-small", device="cpu")
    assert encoder.template is TemplateMode.E5
    assert encoder.get_max_seq_length() == 64  # its positions
    with pytest.raises(UsageError, match="reads 64 tokens at most, not 128"):
        BiEncoder(bases / "body", query_max_seq_length=128)


def test_without_normalisation_vectors_keep_their_length(bases):
    plain, normalised = (BiEncoder(bases / "body", normalize=wanted, device="cpu") for wanted in (False, True))
    vectors = plain.encode_passages(["보증금을 신청한다"])
    assert abs(np.linalg.norm(vectors) - 1) > 0.01
    np.testing.assert_allclose(vectors / np.linalg.norm(vectors), normalised.encode_passages(["보증금을 신청한다"]), atol=1e-5)


def test_the_published_factory_takes_its_template_literally(bases):
    encoder = get_bi_encoder(str(bases / "body"), max_len=32)
    assert (encoder.template, encoder.get_max_seq_length(), encoder.normalize) == (TemplateMode.BGE, 32, True)
    assert isinstance(encoder.model, SentenceTransformer)


@pytest.mark.parametrize("model_format", ["torchscript", "onnx"])
def test_a_saved_folder_is_exported_with_its_prefixes(saved, tmp_path, model_format):
    card = export_dense(saved / "mini", tmp_path, model_format=model_format).card
    assert (card.registration["query_prefix"], card.registration["passage_prefix"]) == ("query: ", "passage: ")
    assert (card.vocabulary_size, card.max_tokens) == (32, 48)
    [expected] = BiEncoder.load(saved / "mini", device="cpu").encode_passages([card.probe_text])
    np.testing.assert_allclose(card.probe_vector, expected, atol=1e-4)


def test_a_bag_of_vectors_is_exported_too(saved, tmp_path):
    assert export_dense(saved / "static", tmp_path).card.parity["largest_difference"] <= 1e-4


def test_without_a_packaged_model_the_error_says_how_to_make_one(monkeypatch, tmp_path):
    monkeypatch.setattr("dense_ko.packaged.PACKAGED", tmp_path / "none")
    with pytest.raises(ModelError, match="lex-dpr train"):
        BiEncoder()


@pytest.mark.parametrize(
    ("missing", "message"),
    [("modules.json", r"no modules\.json"), ("tokenizer.json", r"no tokenizer\.json"), ("model.safetensors", "no weights")],
)
def test_a_folder_that_lacks_a_part_says_which(saved, tmp_path, missing, message):
    shutil.copytree(saved / "mini", tmp_path / "model")
    (tmp_path / "model" / missing).unlink()
    if missing == "modules.json":
        (tmp_path / "model" / "config.json").unlink()
    with pytest.raises(ModelError, match=message):
        BiEncoder.load(tmp_path / "model")


def test_damaged_files_are_named(saved, tmp_path):
    shutil.copytree(saved / "mini", tmp_path / "model")
    (tmp_path / "model" / "training_config.json").write_text('{"template": "e7"}', encoding="utf-8")
    with pytest.raises(DataError, match=r"training_config\.json"):
        BiEncoder.load(tmp_path / "model")
    (tmp_path / "model" / "training_config.json").write_text("{", encoding="utf-8")
    with pytest.raises(DataError, match="not JSON"):
        BiEncoder.load(tmp_path / "model")


def test_the_packaged_model_is_what_no_name_means(monkeypatch, saved):
    monkeypatch.setattr("dense_ko.packaged.PACKAGED", saved / "static")
    assert BiEncoder().record == BiEncoder.load(saved / "static").record


def test_a_missing_folder_is_no_name_on_the_hub(tmp_path):
    with pytest.raises(ModelError, match="There is no model folder"):
        BiEncoder.load("owner/name")


@pytest.mark.parametrize("name", ["mini", "static"])
def test_half_precision_answers_alike_here_and_in_sentence_transformers(saved, texts, tmp_path, name):
    from sentence_transformers import SentenceTransformer

    trained = BiEncoder.load(saved / name, device="cpu")
    trained.save(tmp_path / "half", precision="fp16")
    half, whole = (path.stat().st_size for path in (tmp_path / "half" / "model.safetensors", saved / name / "model.safetensors"))
    assert half < 0.6 * whole
    loaded = BiEncoder.load(tmp_path / "half", device="cpu")
    assert (loaded.record.precision, trained.record.precision) == ("fp16", "fp32")
    np.testing.assert_allclose(loaded.encode_passages(texts), trained.encode_passages(texts), atol=2e-3)
    alone = SentenceTransformer(str(tmp_path / "half"), device="cpu", local_files_only=True)
    assert {parameter.dtype.itemsize for parameter in alone.parameters()} == {4}
