"""A saved model is the same model everywhere, whatever the batch, and its explanations add up."""

import shutil

import numpy as np
import pytest
from sentence_transformers import SparseEncoder as StockEncoder

from retrieval_ko.errors import DataError, ModelError
from sparse_ko.model import SparseEncoder

FORMS = ("static", "transformer")


@pytest.fixture(scope="module")
def folders(untrained, tmp_path_factory):
    folder = tmp_path_factory.mktemp("models")
    for form in FORMS:
        untrained[form].save(folder / form)
    return folder


@pytest.fixture
def broken(folders, tmp_path):
    """A copy of a model folder, to take something away from."""
    return shutil.copytree(folders / "static", tmp_path / "model")


def test_the_weights_of_a_text_do_not_depend_on_its_batch(encoder, texts):
    alone, together, reversed_ = (
        encoder.encode_document(texts, batch_size=1).toarray(),
        encoder.encode_document(texts, batch_size=len(texts)).toarray(),
        encoder.encode_document(texts[::-1], batch_size=5).toarray()[::-1],
    )
    np.testing.assert_allclose(together, alone, atol=1e-5)
    np.testing.assert_allclose(reversed_, alone, atol=1e-5)


def test_weights_are_never_negative_and_special_tokens_weigh_nothing(encoder, texts):
    weights = encoder.encode_document(texts)
    assert weights.shape == (len(texts), len(encoder.tokenizer))
    assert weights.dtype == np.float32
    assert weights.data.min() > 0
    assert weights[:, encoder.tokenizer.all_special_ids].nnz == 0


def test_no_texts_are_no_rows(encoder):
    assert encoder.encode_query([]).shape == (0, len(encoder.tokenizer))


@pytest.mark.parametrize("form", FORMS)
def test_what_is_saved_loads_with_equal_outputs(untrained, folders, texts, form):
    loaded = SparseEncoder.load(folders / form, device="cpu")
    assert (loaded.encode_document(texts) != untrained[form].encode_document(texts)).nnz == 0
    assert loaded.max_tokens == untrained[form].max_tokens == 64


@pytest.mark.parametrize("form", FORMS)
def test_plain_sentence_transformers_loads_it_with_equal_outputs(untrained, folders, texts, form):
    stock = StockEncoder(str(folders / form), local_files_only=True, device="cpu")
    for ours, theirs in ((untrained[form].encode_document, stock.encode_document), (untrained[form].encode_query, stock.encode_query)):
        expected = np.stack([row.to_dense().numpy() for row in theirs(texts, convert_to_tensor=False)])
        np.testing.assert_array_equal(ours(texts).toarray(), expected)
        assert not expected[:, untrained[form].tokenizer.all_special_ids].any()


def test_a_trained_model_keeps_its_special_tokens_silent_in_plain_sentence_transformers(runs, texts):
    stock = StockEncoder(str(runs.first.model_folder), local_files_only=True, device="cpu")
    weights = stock.encode_document(texts).to_dense()
    assert weights.any()
    assert not weights[:, stock.tokenizer.all_special_ids].any()


def test_the_folder_holds_no_code_of_its_own(folders):
    assert not list(folders.rglob("*.py"))
    assert not [path for path in folders.rglob("*.json") if "auto_map" in path.read_text(encoding="utf-8")]


def test_an_explanation_adds_up_to_the_score(encoder, collection):
    for query, judged in collection.judgements["test"].items():
        asked, [passage] = collection.queries[query].text, judged
        offered = collection.passages[passage].passage_text
        matches = encoder.explain(asked, offered)
        score = (encoder.encode_query([asked]) @ encoder.encode_document([offered]).T).toarray()[0, 0]
        assert sum(match.contribution for match in matches) == pytest.approx(score, rel=1e-5)
        assert [match.contribution for match in matches] == sorted((match.contribution for match in matches), reverse=True)
        assert all(match.contribution == match.query_weight * match.passage_weight for match in matches)


def test_texts_without_a_common_token_have_nothing_to_explain(encoder):
    assert encoder.explain("", "보증금") == []


def test_tokens_come_heaviest_first_and_no_more_than_asked(encoder, texts):
    weights = encoder.encode_document(texts[:3])
    everything, few = encoder.to_tokens(weights), encoder.to_tokens(weights, top=4)
    for whole, part in zip(everything, few, strict=True):
        assert list(whole.values()) == sorted(whole.values(), reverse=True)
        assert list(part.items()) == list(whole.items())[:4]


def test_a_missing_folder_is_named(tmp_path):
    with pytest.raises(ModelError, match="There is no model folder") as caught:
        SparseEncoder.load(tmp_path / "nothing")
    assert "sparse-ko train" in caught.value.remedy


def test_a_folder_without_modules_is_no_model(broken):
    (broken / "modules.json").unlink()
    with pytest.raises(ModelError, match=r"is no model folder: it has no modules\.json"):
        SparseEncoder.load(broken)


def test_a_runs_folder_is_answered_with_the_model_inside(broken):
    with pytest.raises(ModelError) as caught:
        SparseEncoder.load(broken.parent)
    assert caught.value.remedy == f"Did you mean {broken}?"


def test_a_folder_without_a_tokenizer_is_refused(broken):
    (broken / "tokenizer.json").unlink()
    with pytest.raises(ModelError, match=r"has no tokenizer\.json, so no text can be cut into tokens"):
        SparseEncoder.load(broken)


def test_a_folder_without_weights_is_refused(broken):
    (broken / "model.safetensors").unlink()
    with pytest.raises(ModelError, match=r"has no weights \(\*\.safetensors\)"):
        SparseEncoder.load(broken)


@pytest.mark.parametrize("part", ["modules.json", "tokenizer.json", "config.json", "model.safetensors"])
def test_a_damaged_part_is_an_error_that_names_the_folder(broken, part):
    content = (broken / part).read_bytes()
    (broken / part).write_bytes(content[: len(content) // 2])
    with pytest.raises((ModelError, DataError)) as caught:
        SparseEncoder.load(broken)
    assert str(broken) in caught.value.problem
