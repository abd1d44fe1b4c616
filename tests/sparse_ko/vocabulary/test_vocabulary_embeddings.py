"""PPMI-SVD against formulas worked out beside it, and vectors that do not depend on chance."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.sparse import csr_matrix

from retrieval_ko.errors import DataError, ModelError, UsageError
from retrieval_ko.files import sha256
from sparse_ko.vocabulary import SPECIAL_TOKENS, embeddings
from sparse_ko.vocabulary.embeddings import co_occurrences, embed_pieces, load_embeddings, positive_pmi, truncated_svd
from sparse_ko.vocabulary.tokenizer import word_pieces

SIZE = 6


def counted_by_hand(rows, window):
    counts = np.zeros((SIZE, SIZE))
    for row in rows:
        for left in range(len(row)):
            for right in range(len(row)):
                if left != right and abs(left - right) <= window and row[left] >= 0 and row[right] >= 0:
                    counts[row[left], row[right]] += 1
    return counts


@given(st.lists(st.lists(st.integers(-1, SIZE - 1), max_size=9), max_size=5), st.integers(1, 4))
def test_pairs_are_counted_within_the_window_both_ways(rows, window):
    found = co_occurrences(rows, SIZE, window).toarray()
    # a pair of one piece with itself is met from both ends, once each
    np.testing.assert_array_equal(found, counted_by_hand(rows, window))


def test_counting_in_parts_changes_nothing(monkeypatch):
    rows = np.random.default_rng(1).integers(-1, SIZE, size=(20, 12)).tolist()
    whole = co_occurrences(rows, SIZE).toarray()
    monkeypatch.setattr(embeddings, "_PAIRS_AT_ONCE", 7)
    np.testing.assert_array_equal(co_occurrences(rows, SIZE).toarray(), whole)


@pytest.mark.parametrize("smoothing", [1.0, 0.75])
def test_ppmi_is_the_formula(smoothing):
    counts = np.array([[0, 6, 1], [6, 0, 2], [1, 2, 4.0]])
    total = counts.sum()
    context = (counts.sum(axis=0) ** smoothing) / (counts.sum(axis=0) ** smoothing).sum()
    with np.errstate(divide="ignore"):
        expected = np.maximum(0, np.log((counts / total) / np.outer(counts.sum(axis=1) / total, context)))
    np.testing.assert_allclose(positive_pmi(csr_matrix(counts), smoothing).toarray(), expected, rtol=1e-6)


@pytest.mark.parametrize("dense", [True, False])
def test_svd_of_few_dimensions_is_the_best_of_its_rank(dense, monkeypatch):
    monkeypatch.setattr(embeddings, "DENSE_ROWS", 100 if dense else 0)
    matrix = csr_matrix(np.random.default_rng(2).random((12, 12)))
    found = truncated_svd(matrix, 4)
    left, lengths, _ = np.linalg.svd(matrix.toarray())
    expected = left[:, :4] * np.sqrt(lengths[:4])
    np.testing.assert_allclose(np.abs(found), np.abs(expected), atol=1e-5)
    assert (found[np.abs(found).argmax(axis=0), range(4)] > 0).all()


def test_svd_leaves_axes_that_are_rounding_empty():
    one_axis = csr_matrix(np.outer([1.0, 2, 3, 0, 0, 0], [1.0, 2, 3, 0, 0, 0]))
    found = truncated_svd(one_axis, 3)
    np.testing.assert_allclose(found[:, 0] ** 2 * 14, np.array([1, 4, 9, 0, 0, 0]) * 14.0, atol=1e-4)  # √14² · (x/√14)²
    assert not found[:, 1:].any()


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """A corpus in which 개 and 고양이 keep the same company, 법 and 령 another."""
    folder = tmp_path_factory.mktemp("embed")
    pieces = [*SPECIAL_TOKENS, "개", "고양이", "짖다", "먹다", "법", "령", "정하다", "따르다", "홀로"]
    tokenizer = word_pieces(pieces)
    tokenizer.add_special_tokens(list(SPECIAL_TOKENS))
    tokenizer.save(str(folder / "tokenizer.json"))
    lines = ["개 먹다 짖다", "고양이 먹다 짖다", "법 정하다 따르다", "령 정하다 따르다"] * 5 + ["모름 홀로 모름"]
    (folder / "texts.txt").write_text("\n".join(lines), encoding="utf-8")
    facts = embed_pieces(folder, [folder / "texts.txt"], 4, folder / "vectors.safetensors")
    return folder, pieces, facts


def test_words_of_one_company_are_neighbours(files):
    folder, pieces, _ = files
    vectors = load_embeddings(folder / "vectors.safetensors", pieces)
    cosine = dict(zip(pieces, (vectors @ vectors[pieces.index("개")]).tolist(), strict=True))
    assert cosine["고양이"] > 0.99
    assert cosine["법"] < 0.1
    assert vectors.dtype == torch.float32


def test_pieces_without_company_have_no_vector_and_the_others_length_1(files):
    folder, pieces, facts = files
    lengths = load_embeddings(folder / "vectors.safetensors", pieces).norm(dim=1)
    alone = {*SPECIAL_TOKENS, "홀로"}  # beside it stand only unknown words
    np.testing.assert_allclose(lengths, [0.0 if piece in alone else 1.0 for piece in pieces], atol=1e-6)
    assert facts == {"pieces": len(pieces), "with_vector": 8, "pairs": facts["pairs"], "dimensions": 4}


def test_another_order_of_pieces_gets_the_same_vectors_and_unknown_ones_zeros(files):
    folder, pieces, _ = files
    asked = [*reversed(pieces), "새말"]
    found = load_embeddings(folder / "vectors.safetensors", asked)
    torch.testing.assert_close(found[:-1], load_embeddings(folder / "vectors.safetensors", pieces).flip(0))
    assert not found[-1].any()


def test_the_same_corpus_gives_the_same_bytes(files, tmp_path):
    folder, _, _ = files
    embed_pieces(folder, [folder / "texts.txt"], 4, tmp_path / "again.safetensors")
    assert sha256(tmp_path / "again.safetensors") == sha256(folder / "vectors.safetensors")


def test_vectors_of_another_vocabulary_are_refused(files):
    with pytest.raises(ModelError, match="lacks 3 of 4 pieces"):
        load_embeddings(files[0] / "vectors.safetensors", ["개", "x", "y", "z"])


def test_a_file_that_holds_none_is_refused(tmp_path):
    (tmp_path / "no.safetensors").write_bytes(b"nothing")
    with pytest.raises(ModelError, match="holds no vectors of pieces"):
        load_embeddings(tmp_path / "no.safetensors", ["a"])


def test_more_dimensions_than_pieces_are_wrong_use(files, tmp_path):
    with pytest.raises(UsageError, match="14 pieces have no 14 dimensions"):
        embed_pieces(files[0], [files[0] / "texts.txt"], 14, tmp_path / "x")


def test_texts_of_single_words_are_no_corpus(files, tmp_path):
    (tmp_path / "words.txt").write_text("개\n법\n", encoding="utf-8")
    with pytest.raises(DataError, match="no two pieces stand beside each other"):
        embed_pieces(files[0], [tmp_path / "words.txt"], 3, tmp_path / "x")
